"""A surrogate on reference solutions: errors sample by sample, curves, spectra, and some predictions to look at."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pdeops.data.dataset import Fields, Trajectories, Windows
from pdeops.data.file import DataFile
from pdeops.data.sampler import spread
from pdeops.errors import InputError
from pdeops.metrics.scores import Scores, counted
from pdeops.metrics.spectral import band_energy, default_edges, shell_edges
from pdeops.norms import Lp, relative_error
from pdeops.report.fitting import chosen, problem_of, window_on
from pdeops.surrogate import LatticeWarning, Surrogate
from pdeops.window import Batch, Window


@dataclass(frozen=True)
class Shown:
    """A sample to look at. a: its input; truth, prediction: fields (C, *space), frames (C, T, *space), or driven
    states (C, n); error: their relative L2 error, mean over channels and frames."""

    sample: int
    a: Tensor
    truth: Tensor
    prediction: Tensor
    error: float


@dataclass(frozen=True)
class Evaluation:
    """What a surrogate does on samples of a file.

    samples: their numbers in the file; window: the surrogate's, on the file's grid.
    values: of each metric (n, m), all numbers of a sample: of windows, channels or equations. Names are those of a
    run's metrics.json without `test/`: of one output, and from `rollout/` on of whole trajectories.
    times, curve: (T,) after the input, and relative L2 errors (n, T) there, mean over channels (of rollouts, or of
    outputs that are frames); empty where nothing moves.
    spectra: by frame, in words, (3, C, K) shell energies of truth, prediction and error, mean over samples: half the
    mean square in shells `metrics.spectral.shell_edges`, of cosines along axes that are not periodic. bands: the same
    of mean squares in the panel's three bands, (3, C, 3).
    shown: "worst", "median" and "best" by `headline`. seconds: for one output of a sample, in batches of `batch_size`.
    """

    file: Path
    split: str
    samples: tuple[int, ...]
    window: Window
    values: dict[str, Tensor]
    times: Tensor
    curve: Tensor
    spectra: dict[str, Tensor]
    bands: dict[str, Tensor]
    shown: dict[str, Shown]
    seconds: float
    batch_size: int

    @property
    def headline(self) -> str:
        """The metric that samples are ranked by: the relative L2 error, of rollouts where there are any."""
        return headline(self.values)

    @property
    def means(self) -> dict[str, float]:
        """Of each metric over samples, windows and channels, as a test gives it."""
        found = {name: counted(name, values) for name, values in self.values.items()}
        return {name: float(values.mean()) for name, values in found.items() if values.numel()}

    def per_sample(self, name: str) -> Tensor:
        """(n,): means over windows and channels; NaN where a correlation does not exist."""
        return self.values[name].nanmean(1) if name.endswith("pearson") else self.values[name].mean(1)

    def quantiles(self, name: str, levels: Sequence[float] = (0.1, 0.5, 0.9)) -> list[float]:
        """Of the samples' means."""
        return self.per_sample(name).nanquantile(torch.tensor(levels, dtype=torch.float64)).tolist()


def evaluate(
    surrogate: Surrogate,
    file: str | Path | DataFile,
    *,
    split: str = "test",
    samples: int | Sequence[int] | None = None,
    steps: int | None = None,
    windows: int | None = None,
    batch_size: int = 16,
) -> Evaluation:
    """A surrogate's errors on samples of a file, of any resolution of the grid it was made for.

    split: "train", "validation", "test" or "all"; samples: so many from its first, or their numbers in the file, or
    all. steps: frames of rollouts, all by default; of a space-time model, which answers with frames, rollouts are made
    where steps are given. windows: of each trajectory, evenly spaced; None: all.
    Raises InputError, with the reason, if the file does not fit the surrogate's channels, grid or window.
    """
    source = file if isinstance(file, DataFile) else DataFile(file)
    window = window_on(surrogate, source)
    numbers = chosen(source, split, samples)
    if steps is not None and (not window.evolves or steps < 1):
        raise InputError(f"steps={steps}: wanted at least 1, of a surrogate that evolves")
    scores = Scores(window, problem_of(source, window))
    run = _Pass(surrogate, source, scores, batch_size, windows, steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatticeWarning)  # what it costs is what is measured here
        run.over(numbers)
        errors = torch.cat(run.values[headline(run.values)]).mean(1)
        ranked = errors.nan_to_num(torch.inf).argsort(stable=True)
        places = {"worst": ranked[-1], "median": ranked[(len(ranked) - 1) // 2], "best": ranked[0]}
        shown = {name: run.look_at(int(numbers[int(place)])) for name, place in places.items()}
    return Evaluation(
        file=source.path,
        split=split,
        samples=tuple(int(i) for i in numbers),
        window=window,
        values={name: torch.cat(parts) for name, parts in run.values.items()},
        times=run.times,
        curve=torch.cat(run.curve) if run.curve else torch.empty(len(numbers), 0),
        spectra={name: total / len(numbers) for name, total in run.spectra.items()},
        bands={name: total / len(numbers) for name, total in run.bands.items()},
        shown=shown,
        seconds=float(np.median(run.seconds)),
        batch_size=batch_size,
    )


def headline(names: Iterable[str]) -> str:
    """Of the metrics, the relative L2 error; of rollouts where there are any."""
    return "rollout/relative_l2" if "rollout/relative_l2" in names else "relative_l2"


class _Pass:
    """One way through the samples, a batch at a time, that collects what an `Evaluation` holds."""

    def __init__(
        self,
        surrogate: Surrogate,
        file: DataFile,
        scores: Scores,
        batch_size: int,
        windows: int | None,
        steps: int | None,
    ) -> None:
        self.surrogate, self.file, self.scores, self.window = surrogate, file, scores, scores.window
        self.batch_size, self.windows, self.steps = batch_size, windows, steps
        self.rolls = self.window.fed_back or steps is not None
        self.device = surrogate.normalize_in.mean.device
        self.values: dict[str, list[Tensor]] = defaultdict(list)
        self.curve: list[Tensor] = []
        self.spectra: dict[str, Tensor] = {}
        self.bands: dict[str, Tensor] = {}
        self.times = torch.empty(0)
        self.seconds: list[float] = []

    def over(self, numbers: np.ndarray) -> None:
        for first in range(0, len(numbers), self.batch_size):
            fields = Fields(self.file, numbers[first : first + self.batch_size]).hold("cpu")
            self._outputs(fields)
            if self.rolls:
                self._trajectories(fields)

    def look_at(self, number: int) -> Shown:
        """The whole trajectory of a sample, or its first output."""
        fields = Fields(self.file, np.array([number])).hold("cpu")
        batch = self._rolled(fields) if self.rolls else Windows(fields, self.window).__getitems__([0])
        a, v = batch.a.to(self.device), batch.u
        assert v is not None
        if self.rolls:
            u = self.surrogate.along(batch._replace(a=a))
        else:
            u, v = self.window.unstack(self.surrogate.predict(a)), self.window.unstack(v)
        space, u = self.window.bound.space, u.cpu()
        return Shown(number, batch.a[0], v[0], u[0], float(relative_error(u[0], v[0], Lp(space)).mean()))

    def _outputs(self, fields: Fields) -> None:
        """All windows of some samples."""
        dataset, found = Windows(fields, self.window), defaultdict(list)
        chosen = list(range(len(dataset))) if self.windows is None else spread(dataset, self.windows)
        frames = []
        for first in range(0, len(chosen), self.batch_size):
            batch = dataset.__getitems__(chosen[first : first + self.batch_size])
            assert batch.u is not None
            a, v = batch.a.to(self.device), batch.u.to(self.device)
            start = time.perf_counter()
            u = self.surrogate.predict(a)
            if u.is_cuda:
                torch.cuda.synchronize()
            self.seconds.append((time.perf_counter() - start) / len(a))
            for name, value in self.scores.outputs(a, u, v).items():
                found[name].append(value)
            frames.append((self.window.unstack(u), self.window.unstack(v)))
        self._add({name: torch.cat(parts) for name, parts in found.items()}, len(fields.samples))
        if not self.rolls:
            u, v = (torch.cat(side) for side in zip(*frames, strict=True))
            self._draw(u, v, len(fields.samples))

    def _rolled(self, fields: Fields) -> Batch:
        batch = Trajectories(fields, self.window).__getitems__(range(len(fields.samples)))
        assert batch.u is not None
        return batch if self.steps is None else batch._replace(u=batch.u[:, :, : self.steps])

    def _trajectories(self, fields: Fields) -> None:
        batch = self._rolled(fields)
        assert batch.u is not None
        a, v = batch.a.to(self.device), batch.u.to(self.device)
        u = self.surrogate.along(Batch(a, v))
        self._add(self.scores.trajectories(a, u, v), len(u))
        self._draw(u, v, len(u))

    def _add(self, found: dict[str, Tensor], n: int) -> None:
        for name, value in found.items():
            self.values[name].append(value.detach().double().cpu().reshape(n, -1))

    def _draw(self, u: Tensor, v: Tensor, n: int) -> None:
        """Curves and spectra of predictions and references (n windows, C, ...) of n samples."""
        u, v = u.detach().double().cpu(), v.double().cpu()
        if self.window.evolves:
            errors = relative_error(u, v, Lp(self.window.bound.space))
            self.curve.append(errors.mean(1).reshape(n, -1, errors.shape[2]).mean(1))
            self.times = self.scores.times(errors.shape[2])
        space = self.window.bound.space
        for label, index in self._frames(u).items():
            fields = torch.stack([v[index], u[index], u[index] - v[index]])
            shells = band_energy(fields, space, shell_edges(space)).mean(1) / 2 * n
            bands = band_energy(fields, space, default_edges(space)).mean(1) * n
            self.spectra[label] = self.spectra.get(label, torch.zeros_like(shells)) + shells
            self.bands[label] = self.bands.get(label, torch.zeros_like(bands)) + bands

    def _frames(self, u: Tensor) -> dict[str, tuple[slice | int, ...]]:
        """The first frame and the last, or the field."""
        if not self.window.evolves:
            return {"": (slice(None),)}
        times, both = self.scores.times(u.shape[2]), slice(None)
        return {f"t = {float(times[i]):g}": (both, both, i) for i in sorted({0, u.shape[2] - 1})}
