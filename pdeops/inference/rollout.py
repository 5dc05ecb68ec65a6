"""Rollouts of any length into a file, a frame at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from tqdm import tqdm

from pdeops.errors import InputError, check_positive
from pdeops.files import atomically
from pdeops.grid import Grid
from pdeops.inference.inputs import FileInputs, Inputs, inputs, over_nodes
from pdeops.inference.memory import LARGEST, fitting, out_of_memory, too_large
from pdeops.inference.outputs import Array, Outputs, check_target, native, time_axis
from pdeops.inference.predict import check_finite
from pdeops.surrogate import Surrogate


class Rolled(NamedTuple):
    """path: the file; frames: how many of each sample it holds; stopped: why they are fewer than asked for, or None."""

    path: Path
    frames: int
    stopped: str | None


def rollout_file(
    surrogate: Surrogate,
    source: str | Path,
    out: str | Path,
    *,
    steps: int | None = None,
    every: int = 1,
    batch_size: int | None = None,
    split: str | None = None,
    overwrite: bool = False,
    name: str = "",
) -> Rolled:
    """Roll out every sample of a file by `steps` frames and keep each `every`-th; no more than a batch of samples and
    the frames that the model sees are ever in memory.

    source, split, name: as of `predict_file`. out: `.h5`, a data file, or `.npy`, (n, C, frames, *space). It is there
    once it is complete. A sample whose values are no longer finite ends the rollout: the file then holds the frames
    before, of all samples, and `stopped` says so.

    Of driven systems (`data.window.segment`) the file holds controls on the whole of the axis t, and states of which
    the first counts; steps: segments to follow, None: all of them.

    Raises InputError on what does not fit, before anything is computed where that can be told, and if there is no
    finite frame to keep.
    """
    out, window = Path(out), surrogate.window
    check_target(out, overwrite)
    check_positive("inference", steps=steps, every=every, batch_size=batch_size)
    given = inputs(window, source, split)
    if window.segment is not None:
        if every != 1:
            raise InputError(f"every={every}: a driven system's states are kept on all nodes of t; leave it out")
        if not isinstance(given, FileInputs):
            raise InputError("a driven system takes a data file, which has its controls and the states they begin from")
        return _driven(surrogate, given, out, steps, batch_size or LARGEST, overwrite, name)
    if not window.evolves:
        raise InputError("this surrogate maps fields to fields; there is no time to roll out: use predict")
    if steps is None:
        raise InputError("how many frames? give steps (--steps)")
    frames = steps // every
    if not frames:
        raise InputError(f"steps={steps} and every={every} keep no frame; take more steps")
    size = fitting(surrogate, given.nodes) if batch_size is None else batch_size
    space = window.bound.space.resized(given.nodes[-window.bound.space.ndim :])

    def opened(path: Path, n: int) -> AbstractContextManager[Outputs]:
        if out.suffix == ".npy":
            shape = len(window.targets), n, *space.shape
            return nullcontext(Array(path, given.n, shape, surrogate.normalize_in.mean.dtype))
        grid = Grid((time_axis(n, every * window.time_step, given.time),)) + space
        return native(path, surrogate, given, grid, name)

    bar = tqdm(total=given.n * frames * every, unit="frame", desc="rolling out", disable=None)
    with atomically(out, overwrite=overwrite) as temporary, bar, opened(temporary, frames) as written:
        kept, stopped = _rolled(surrogate, given, written, frames, every, size, bar)
        if kept < frames:
            with atomically(temporary) as shorter, opened(shorter, kept) as cut:
                for sample, frame in product(range(given.n), range(kept)):
                    cut.write(sample, written.read(sample, frame), frame)
    return Rolled(out, kept, stopped)


def _rolled(
    surrogate: Surrogate, given: Inputs, written: Outputs, frames: int, every: int, size: int, bar: tqdm
) -> tuple[int, str | None]:
    """Write up to so many frames of every sample; how many there are of each, and why they are no more."""
    stopped = None
    for first in range(0, given.n, size):
        a = given.read(first, min(given.n, first + size))
        try:
            for at, u in _frames(surrogate, a, frames, every):
                written.write(first, u, at)
                bar.update(len(u) * u.shape[2] * every)
        except _NotFiniteError as found:
            frames, sample = (found.step - 1) // every, first + found.row
            if not frames:
                raise InputError(
                    f"the rollout of input {sample} is not finite at step {found.step}: there is no frame to keep"
                ) from found
            stopped = f"the rollout of input {sample} is not finite at step {found.step}: {frames} frames are kept"
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error):
                raise too_large(len(a)) from error
            raise
    return frames, stopped


class _NotFiniteError(ArithmeticError):
    """A row of a batch has values that are not finite at a step, counted from 1."""

    def __init__(self, row: int, step: int) -> None:
        super().__init__(f"row {row}, step {step}")
        self.row, self.step = row, step


def _frames(surrogate: Surrogate, a: Tensor, frames: int, every: int) -> Iterator[tuple[int, Tensor]]:
    """Every so manieth of the steps that follow an input, and the place of the first of each piece among them."""
    done, steps = 0, frames * every
    for piece in surrogate.frames(a):
        piece = piece[:, :, : steps - done]
        finite = piece.isfinite().transpose(1, 2).flatten(2).all(2)  # (B, k)
        good = int(finite.all(0).cumprod(0).sum())
        chosen = [k for k in range(good) if (done + k + 1) % every == 0]
        if chosen:
            yield (done + chosen[0] + 1) // every - 1, piece[:, :, chosen]
        if good < piece.shape[2]:
            raise _NotFiniteError(int((~finite[:, good]).nonzero()[0]), done + good + 1)
        done += good
        if done == steps:
            return


def _driven(
    surrogate: Surrogate, given: FileInputs, out: Path, segments: int | None, size: int, overwrite: bool, name: str
) -> Rolled:
    """States under controls, segment after segment."""
    window = surrogate.window
    assert window.segment is not None
    n = given.nodes[0] if segments is None else segments * (window.segment - 1) + 1
    if n > given.nodes[0]:
        raise InputError(
            f"steps={segments} segments of {window.segment} nodes need controls on {n} nodes; {given.file.path} has "
            f"{given.nodes[0]}"
        )
    controls = len(window.inputs)
    with atomically(out, overwrite=overwrite) as temporary:
        opened: AbstractContextManager[Outputs]
        if out.suffix == ".npy":
            opened = nullcontext(Array(temporary, given.n, (len(window.targets), n), surrogate.normalize_in.mean.dtype))
        else:
            opened = native(temporary, surrogate, given, over_nodes(window, n), name)
        with opened as written, tqdm(total=given.n, unit="sample", desc="rolling out", disable=None) as bar:
            for first in range(0, given.n, size):
                a = given.read(first, min(given.n, first + size))
                states = surrogate.drive(a[:, :controls, :n], a[:, controls:, 0])
                check_finite(states, first)
                written.write(first, states)
                bar.update(len(a))
    return Rolled(out, n, None)
