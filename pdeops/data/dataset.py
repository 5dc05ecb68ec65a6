"""Samples as a model sees them, from the file or from memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from pdeops.data.file import DataFile
from pdeops.errors import InputError
from pdeops.window import Batch, Window


class Fields:
    """The target and input fields of some samples: read one by one, or held in one tensor each."""

    def __init__(self, file: DataFile, samples: np.ndarray) -> None:
        self.file, self.samples = file, samples
        self._targets: Tensor | None = None
        self._inputs: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return self.file.spec.nbytes(len(self.samples))

    @property
    def held(self) -> bool:
        return self._targets is not None

    def hold(self, device: torch.device | str) -> Fields:
        """Load all samples to a device, once: targets (n, C, T, *space) or (n, C, *space).

        Raises InputError, naming the sample, if a value is not finite.
        """
        if self._targets is None:
            everything = range(len(self.samples))
            self._targets = torch.stack([self._read_target(i, slice(None)) for i in everything])
            self._inputs = torch.stack([self._read_input(i) for i in everything])
            finite = self._targets.isfinite().flatten(1).all(1) & self._inputs.isfinite().flatten(1).all(1)
            if not finite.all():
                sample = self.samples[int((~finite).nonzero()[0])]
                raise InputError(
                    f"{self.file.path}: sample {sample} holds NaN or infinite values; see: pdeops data check"
                )
        self._targets, self._inputs = self._targets.to(device), self._inputs.to(device)  # type: ignore[union-attr]
        return self

    def frames(self, rows: Sequence[int], starts: Sequence[int], count: int, stride: int) -> Tensor:
        """`count` frames of each row from its start, (B, C, count, *space)."""
        if self._targets is None:
            stop = (count - 1) * stride + 1
            return torch.stack(
                [self._read_target(r, slice(s, s + stop, stride)) for r, s in zip(rows, starts, strict=True)]
            )
        times = torch.as_tensor(starts)[:, None] + stride * torch.arange(count)
        return self._targets[torch.as_tensor(rows)[:, None], :, times].transpose(1, 2)

    def targets(self, rows: Sequence[int]) -> Tensor:
        """The whole targets of each row."""
        if self._targets is None:
            return torch.stack([self._read_target(r, slice(None)) for r in rows])
        return self._targets[torch.as_tensor(rows)]

    def inputs(self, rows: Sequence[int]) -> Tensor:
        """The given fields (B, C, *space) of each row."""
        if self._inputs is None:
            return torch.stack([self._read_input(r) for r in rows])
        return self._inputs[torch.as_tensor(rows)]

    def _read_target(self, row: int, frames: slice) -> Tensor:
        return torch.from_numpy(self.file.read_target(int(self.samples[row]), frames)).float()

    def _read_input(self, row: int) -> Tensor:
        return torch.from_numpy(self.file.read_input(int(self.samples[row]))).float()


class Windows(Dataset[Batch]):
    """Every window, or segment, of every sample; sample by sample, in time order. Without either: every sample.

    `__getitems__` gives a whole batch at once: use `collate_fn=as_is` in a DataLoader.
    """

    def __init__(self, fields: Fields, window: Window) -> None:
        self.fields, self.window = fields, window
        self.starts = window.starts(window.bound[0].n)

    def __len__(self) -> int:
        return len(self.fields.samples) * self.starts

    def __getitem__(self, index: int) -> Batch:
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        a, u, *_ = self.__getitems__([index % len(self)])
        return Batch(a[0], u[0])  # type: ignore[index]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        rows = [i // self.starts for i in indices]
        window, inputs = self.window, self.fields.inputs(rows)
        starts = [i % self.starts for i in indices]
        if window.segment is not None:
            return window.segments(inputs, self.fields.targets(rows), starts)
        if not window.evolves:
            return Batch(inputs, self.fields.targets(rows))
        frames = self.fields.frames(rows, starts, window.n_in + window.n_out, window.stride)
        history, future = frames[:, :, : window.n_in], frames[:, :, window.n_in :]
        return Batch(window.make_input(history, inputs), window.stack(future))


class Trajectories(Dataset[Batch]):
    """Whole samples for rollouts: the first input, and every later frame (C, n, *space), stride apart; of driven
    systems the input of one segment as long as the trajectory, and all of its states."""

    def __init__(self, fields: Fields, window: Window) -> None:
        self.fields, self.window = fields, window
        self._frames = len(range(0, window.bound[0].n, window.stride))  # of an evolution

    def __len__(self) -> int:
        return len(self.fields.samples)

    def __getitem__(self, index: int) -> Batch:
        a, u, *_ = self.__getitems__([index])
        return Batch(a[0], u[0])  # type: ignore[index]

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        if self.window.segment is not None:
            states = self.fields.targets(rows)
            return Batch(self.window.driven(self.fields.inputs(rows), states[..., 0]), states)
        frames = self.fields.frames(rows, [0] * len(rows), self._frames, self.window.stride)
        n_in = self.window.n_in
        return Batch(self.window.make_input(frames[:, :, :n_in], self.fields.inputs(rows)), frames[:, :, n_in:])


class Part(Subset[Batch]):
    """A subset that keeps the batched access of its dataset."""

    def __getitems__(self, indices: list[int]) -> Batch:  # type: ignore[override]
        return self.dataset.__getitems__([self.indices[i] for i in indices])  # type: ignore[attr-defined]


def as_is(batch: Batch) -> Batch:
    """Batches arrive collated."""
    return batch
