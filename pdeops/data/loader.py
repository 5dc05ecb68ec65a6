"""Batches of an epoch, which may be left and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from pdeops.data.sampler import Ordered
from pdeops.window import Batch


class Loader(DataLoader[Batch]):
    """A loader that knows how many batches of an epoch it has given, and after `load_state_dict` leaves these out of
    the next one. They are not read.

    An epoch's iterator is made at its first batch: Lightning asks for it before it tells the sampler the epoch.
    """

    _given = 0
    _skipped = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        self._given, self._skipped = self._skipped, 0
        if isinstance(self.sampler, Ordered):
            assert self.batch_size is not None
            self.sampler.first = self._given * self.batch_size
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self._given}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._skipped = state_dict["batches"] % len(self)
