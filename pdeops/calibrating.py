"""Bands of a stated coverage, from samples that training has not seen: `pdeops calibrate`."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pdeops.data.dataset import Fields, Trajectories, Windows
from pdeops.data.file import DataFile
from pdeops.data.schema import SPLITS
from pdeops.errors import InputError
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.bands import Bands, Kind
from pdeops.uncertainty.conformal import rank
from pdeops.uncertainty.ensemble import mean_and_deviation
from pdeops.window import Batch, Window

NODES = 2**19  # of a batch that is predicted at once
SEED = 0  # of where in its trajectory each sample's window begins


class Calibration(NamedTuple):
    """surrogate: with bands; samples: of the quantile, others: of the scale; tested: samples of the split that were
    left; covered: the share of those that the bands hold, of pointwise bands the mean share of their nodes, None if
    none were left; width: the mean half-width over the truth's root mean square, of all samples of the split."""

    surrogate: Surrogate
    samples: int
    others: int
    tested: int
    covered: float | None
    width: float


class Errors(NamedTuple):
    """errors (n, C, *grid): predictions less truths; deviation: of an ensemble's members there; size: the truths' root
    mean square."""

    errors: Tensor
    deviation: Tensor | None
    size: float

    def part(self, samples: slice) -> tuple[Tensor, Tensor | None]:
        return self.errors[samples], None if self.deviation is None else self.deviation[samples]


def calibrate(
    surrogate: Surrogate,
    file: DataFile,
    *,
    split: str = "test",
    coverage: float = 0.9,
    kind: Kind = "field",
    samples: int | None = None,
    steps: int | None = None,
) -> Calibration:
    """The surrogate with bands (`uncertainty.bands.Bands`) of the coverage, for inputs distributed as the file's.

    The quantile is of the first `samples` (None: all) of the split, one score each: of a trajectory one window, which
    begins anywhere with equal probability, since windows of one trajectory are not exchangeable with those of others.
    The rest of the split tests the bands. The scale is of the validation split. steps: calibrate rollouts of so many
    frames from the first history on, instead of predictions; bands of the other are kept.

    Training must not have seen the split, nor chosen by it: that excludes "validation", which chose the best epoch, and
    "train" of the file that the surrogate was trained on, known by the statistics that normalise its inputs. Raises
    InputError on these, on too few samples for the coverage, and on files of other fields or grids.
    """
    window = bound(surrogate.window, file)
    _check_split(surrogate, window, file, split)
    chosen, others = file.split[split], file.split["validation"]
    count = len(chosen) if samples is None else samples
    if not count <= len(chosen):
        raise InputError(f"--samples {count}: {file.path} has {len(chosen)} samples in {split}")
    rank(count, coverage)  # refuses too few before anything is predicted
    if not len(others):
        raise InputError(f"{file.path} has no validation samples, by whose errors bands are scaled: change data.split")
    if steps is not None:
        _check_steps(window, steps)
    found, scale = (errors(surrogate, Fields(file, some), window, steps) for some in (chosen, others))
    grid = window.grid_out if steps is None else window.bound.space
    bands = Bands(found.errors.shape[1], grid, coverage=coverage, kind=kind, samples=count)
    bands.calibrate(*found.part(slice(count)), scale.errors)
    covered = bands.covered(*found.part(slice(count, None)))
    width = float(bands.half_width(found.deviation, grid, bands.channels).mean()) / found.size
    both = (bands, surrogate.rollout_bands) if steps is None else (surrogate.bands, bands)
    calibrated = Surrogate(
        surrogate.model, surrogate.window, surrogate.normalize_in, surrogate.normalize_out, surrogate.problem, *both
    )
    mean = float(covered.mean()) if len(covered) else None
    return Calibration(calibrated.eval(), count, len(others), len(covered), mean, width)


def bound(window: Window, file: DataFile) -> Window:
    """A surrogate's window on a file's trajectories. Raises InputError if they are of other fields, grids or steps."""
    there = window.on(file.spec.grid, file.targets, file.inputs)
    for what in ("in_names", "out_names", "grid_in", "grid_out"):
        mine, theirs = getattr(window, what), getattr(there, what)
        if mine != theirs:
            raise InputError(f"{file.path} does not fit this surrogate: {what} is {theirs} there, and {mine} here")
    return there


def errors(surrogate: Surrogate, fields: Fields, window: Window, steps: int | None) -> Errors:
    """Of one window of each sample, or of its rollout of so many frames, one after the other in the channels."""
    found, deviations, squares = [], [], []
    device = surrogate.normalize_in.mean.device
    for batch in _batches(fields, window, steps):
        a, v = batch.a.to(device), batch.u
        assert v is not None
        if steps is None:
            each = [member.predict(a) for member in surrogate.members]
        else:
            each = [_in_channels(member.rollout(a, steps)) for member in surrogate.members]
            v = _in_channels(v[:, :, :steps])
        u, deviation = mean_and_deviation(each)
        found.append(u.to(v) - v)
        squares.append(v.square().mean() * len(v))
        if deviation is not None:
            deviations.append(deviation.to(v))
    size = float(torch.stack(squares).sum() / len(fields.samples)) ** 0.5
    return Errors(torch.cat(found), torch.cat(deviations) if deviations else None, size)


def _batches(fields: Fields, window: Window, steps: int | None) -> Iterator[Batch]:
    n, nodes = len(fields.samples), window.out_channels * prod(window.grid_out.shape) * (steps or 1)
    dataset: Windows | Trajectories = Windows(fields, window) if steps is None else Trajectories(fields, window)
    per_sample = len(dataset) // n
    starts = np.random.default_rng(SEED).integers(per_sample, size=n)
    indices = [i * per_sample + int(start) for i, start in enumerate(starts)]
    size = max(1, NODES // nodes)
    for i in range(0, n, size):
        yield dataset.__getitems__(indices[i : i + size])


def _in_channels(u: Tensor) -> Tensor:
    """(B, C, T, *space) -> (B, T C, *space), frame by frame."""
    return u.transpose(1, 2).flatten(1, 2)


def _check_split(surrogate: Surrogate, window: Window, file: DataFile, split: str) -> None:
    if split not in SPLITS:
        raise InputError(f"--split {split}: wanted one of {', '.join(SPLITS)}")
    other = "or generate a file of another seed (data.seed=7), of which training has seen nothing, and take its train"
    if split == "validation":
        raise InputError(
            "--split validation: its error chose the best epoch, so that errors on it are smaller than on new samples, "
            f"and it scales the bands. Take test, {other}"
        )
    if split == "train" and any(_trained_on(member, window, file) for member in surrogate.members):
        raise InputError(
            f"--split train: this surrogate was trained on these samples of {file.path}, and its errors on new ones "
            f"are larger. Take test, {other}"
        )


def _trained_on(surrogate: Surrogate, window: Window, file: DataFile) -> bool:
    """Whether its inputs are normalised by the means of the file's training split."""
    means = surrogate.normalize_in.mean
    theirs = [file.stats[name.split("[")[0]]["mean"] for name in window.in_names]
    return torch.equal(torch.tensor(theirs).to(means), means)


def _check_steps(window: Window, steps: int) -> None:
    if not window.evolves:
        raise InputError(f"--steps {steps} is for rollouts, and this surrogate has none")
    most = len(range(0, window.bound[0].n, window.stride)) - window.n_in
    if not 1 <= steps <= most:
        raise InputError(f"--steps {steps}: these trajectories go on for {most} frames after the history")
