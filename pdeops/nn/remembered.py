"""A result that is given again while what it was made of stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pdeops.watched import watched


class Remembered:
    """The last result of a function of tensors and modules. What it was made of is compared by value, so that nothing
    that changes weights has to tell; copies begin anew. Without gradients alone, where values are at hand, and where no
    module is in training, which may be random. Threads may share one: a result and what it was made of are kept, and
    read, as one.
    """

    def __init__(self) -> None:
        self._kept: tuple[torch.dtype | None, list[Tensor], Any] | None = None

    def __call__(self, function: Callable[[], Any], *made_of: Tensor | nn.Module) -> Any:
        """function(), which depends on these tensors, these modules' tensors, their types and autocast alone."""
        training = any(part.training for part in made_of if isinstance(part, nn.Module))
        if torch.is_grad_enabled() or watched() or training:
            return function()
        given = [x for part in made_of for x in _tensors(part)]
        if any(x.is_meta for x in given):
            return function()
        kind = given[0].device.type
        cast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        kept = self._kept
        if kept is None or kept[0] != cast or not _same(given, kept[1]):
            copies = [x.detach().clone() for x in given]
            self._kept = kept = cast, copies, function()
        return kept[2]

    def __reduce__(self) -> tuple[type[Remembered], tuple[()]]:
        return Remembered, ()


def _tensors(part: Tensor | nn.Module) -> list[Tensor]:
    return [part] if isinstance(part, Tensor) else [*part.parameters(), *part.buffers()]


def _same(given: list[Tensor], kept: list[Tensor]) -> bool:
    return len(given) == len(kept) and all(
        x.dtype == y.dtype and x.device == y.device and torch.equal(x, y) for x, y in zip(given, kept, strict=True)
    )
