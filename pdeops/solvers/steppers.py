"""Integration of u' = L u + N(u, t) from snapshot to snapshot, with an estimate of its own error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil, inf, isfinite
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pdeops.errors import InputError, did_you_mean
from pdeops.solvers.schemes import SCHEMES, Nonlinearity

CHECK_EVERY = 4  # pairs of steps between two local error estimates of dt=auto
LOOK_EVERY = 64  # pairs of steps between two looks for values that are not finite
OPTIMISM = 50  # dt=auto starts with a local tolerance so much larger: dissipation forgets most local errors ...
GROWING = 8  # times longer a pilot may take whose steps still grow
ATTEMPTS = 10  # ... and runs again with a smaller one where it does not
FINEST = 1e-13  # tolerance
SMALLEST = 2.0**-20  # of the distance of two snapshots: no step goes below


class Diverged(InputError):
    """A solution stopped being finite. `sample` counts within the batch that was solved."""

    def __init__(self, sample: int, reason: str) -> None:
        self.sample, self.reason = sample, reason

    def __str__(self) -> str:
        return f"sample {self.sample}: {self.reason}"


class Pace(NamedTuple):
    """Of steps with dt="auto": the relative error that all pairs together may have, and the longest pair."""

    local: float
    longest: float


@dataclass(frozen=True)
class Stepper:
    """Integrates with equal steps no longer than `dt`, or, with dt="auto", with steps chosen to meet `tolerance`.

    Steps are taken in pairs, beside a second solution with one step of twice the length for each pair: the
    relative difference of the two trajectories is the step-halving error. A reference solution whose error is
    above `tolerance` is refused. dt="auto" doubles and halves the step by the error of single pairs, per unit of
    time, and starts again with smaller ones if the trajectory's error comes out above the tolerance.
    Raises InputError on an unknown scheme, a step or tolerance that is not positive.
    """

    scheme: str = "etdrk4"
    dt: float | Literal["auto"] = "auto"
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(
                f"problem.solver.scheme={self.scheme!r} is not known. {did_you_mean(self.scheme, SCHEMES)}"
            )
        positive = self.dt == "auto" or (isinstance(self.dt, int | float) and self.dt > 0)
        if not self.tolerance >= FINEST:
            raise InputError(
                f"problem.solver.tolerance={self.tolerance}: wanted at least {FINEST:g}, what double precision can tell"
            )
        if not positive:
            raise InputError(f"problem.solver.dt={self.dt}: wanted auto, or a positive step")

    def solve(
        self,
        linear: Tensor,
        nonlinear: Nonlinearity,
        u: Tensor,
        times: Tensor,
        *,
        observe: Callable[[Tensor], Tensor],
        distance: Callable[[Tensor, Tensor], Tensor],
        progress: Callable[[float], None] | None = None,
        pace: Pace | None = None,
    ) -> tuple[Tensor, Tensor, Pace]:
        """Snapshots (B, C, T, ...) of `observe(u)` at `times`, from the state u (B, C, ...) at times[0] on; the error
        of each sample; and, of dt="auto", the pace that met the tolerance, which may be handed on as `pace`.

        nonlinear: N(u, t). distance: the relative distance (B,) of two trajectories of snapshots.
        Raises Diverged if a solution stops being finite.
        """
        instants, pace, shown = times.tolist(), pace or Pace(OPTIMISM * self.tolerance, inf), 0.0
        if not _finite(u).all():
            raise Diverged(
                int((~_finite(u)).nonzero()[0]), "its input is not finite. Check the distribution of inputs."
            )
        for attempt in range(ATTEMPTS if self.dt == "auto" else 1, 0, -1):
            frames, longest, before = [(observe(u), observe(u))], 0.0, instants[0]
            try:
                for t, fine, rough in self._march(linear, nonlinear, u, instants, pace):
                    longest, before = max(longest, t - before), t
                    if t == instants[len(frames)]:
                        frames.append((observe(fine), observe(rough)))
                        if attempt > 1 and not self._hopeful(fine, rough):
                            break
                    shown = max(shown, (t - instants[0]) / (instants[-1] - instants[0]))  # attempts do not go back
                    if progress:
                        progress(shown)
            except Diverged:  # perhaps for steps too long between two estimates
                if attempt == 1:
                    raise
            trajectory, shadow = (torch.stack(list(x), dim=2) for x in zip(*frames, strict=True))
            complete = len(frames) == len(instants)
            error = distance(trajectory, shadow) if complete else torch.full((len(u),), inf)
            worst = float(error.max())
            if complete and (attempt == 1 or worst <= self.tolerance):
                break
            if isfinite(worst):
                pace = Pace(pace.local * max(0.3 * self.tolerance / worst, 0.1), longest)
            elif attempt == 1:
                raise self._diverged((~_finite(fine)).nonzero()[:1], t)
            else:  # steps so long that errors too small to be seen in one pair grow
                pace = Pace(0.5 * pace.local, 0.6 * (longest or instants[1] - instants[0]))
        return trajectory, error, pace

    def _hopeful(self, fine: Tensor, rough: Tensor) -> bool:
        """Whether two states are so close that their trajectories may yet meet the tolerance."""
        return bool((_norms(fine - rough) <= 100 * self.tolerance * floored(_norms(fine))).all())

    def seconds(self, linear: Tensor, nonlinear: Nonlinearity, u: Tensor, times: Tensor, limit: float = 0.5) -> float:
        """An estimate of the wall time of `solve`: up to `limit` seconds of it are run, the rest is extrapolated. Of
        dt="auto", whose first step is a cautious one, more is run while steps grow."""
        instants, back = times.tolist(), 2 * CHECK_EVERY
        begin = time.perf_counter()
        marks = [(0.0, instants[0])]
        for t, fine, _ in self._march(linear, nonlinear, u, instants, Pace(OPTIMISM * self.tolerance, inf)):
            if u.is_cuda:
                torch.cuda.synchronize(fine.device)
            marks.append((time.perf_counter() - begin, t))
            grows = self.dt == "auto" and (
                len(marks) <= back + 1 or t - marks[-2][1] > marks[-back][1] - marks[-back - 1][1]
            )
            if len(marks) > 3 and marks[-1][0] > (GROWING * limit if grows else limit):
                break
        # at the pace of the last quarter: before were perhaps a transient, and the search of the first step
        (middle, t_middle), (end, t_end) = marks[3 * (len(marks) - 1) // 4], marks[-1]
        return end + ((end - middle) / (t_end - t_middle) * (instants[-1] - t_end) if t_end > t_middle else 0.0)

    def pairs(self, span: float) -> int:
        """Pairs of steps over a time span at a fixed dt."""
        assert self.dt != "auto"
        return max(1, ceil(ceil(span / self.dt - 1e-9) / 2))

    def _march(
        self,
        linear: Tensor,
        nonlinear: Nonlinearity,
        u: Tensor,
        instants: list[float],
        pace: Pace,
    ) -> Iterator[tuple[float, Tensor, Tensor]]:
        """(t, u, u at twice the step) after every pair of steps, every instant among the t."""
        scheme, adaptive = SCHEMES[self.scheme], self.dt == "auto"

        @lru_cache(maxsize=6)  # two levels of steps, and snapshots whose distances differ in the last digit
        def step(dt: float):
            return scheme.prepare(linear, dt, u.dtype)

        start_state = u
        rough, largest, taken, per_time = u, _norms(u), 0, pace.local / (instants[-1] - instants[0])
        pair, roundoff = min(instants[1] - instants[0], pace.longest), 32 * torch.finfo(largest.dtype).eps
        for start, end in pairwise(instants):
            span, unchecked, easy = end - start, CHECK_EVERY, False
            # pairs of steps in this span: of dt=auto a power of two, so that doubled steps still end at its end
            count, done = (
                2 ** max(0, ceil(ceil(span / pair - 1e-9) - 1).bit_length()) if adaptive else self.pairs(span),
                0,
            )
            while done < count:
                pair = span / count
                t = start + done * pair
                fine = step(pair / 2)(step(pair / 2)(u, t, nonlinear), t + pair / 2, nonlinear)
                if adaptive and unchecked >= CHECK_EVERY:
                    size = torch.maximum(largest, _norms(fine))
                    gap = _norms(fine - step(pair)(u, t, nonlinear)) / floored(size)
                    worst = float(gap.max())
                    rate = worst / pair
                    if not (rate <= per_time or worst <= roundoff):
                        if not _finite(u).all():
                            return  # since the last estimate: the caller tries shorter steps
                        if pair < SMALLEST * span:
                            worst_sample = gap.nan_to_num(nan=torch.inf).amax(1).argmax()
                            if not _norms(fine).max() <= 1e3 * _norms(start_state).max().clamp_min(1.0):
                                raise self._diverged(worst_sample, t, taken)
                            raise Diverged(
                                int(worst_sample),
                                f"no step of {self.scheme} is short enough for problem.solver.tolerance="
                                f"{self.tolerance:g} at time {t:g}. Raise it, or take a scheme of higher order.",
                            )
                        count, done = 2 * count, 2 * done
                        continue
                    largest, unchecked, easy = size, 0, rate * 2 ** (scheme.order + 1) < per_time
                u, rough = fine, step(pair)(rough, t, nonlinear)
                done, taken, unchecked = done + 1, taken + 1, unchecked + 1
                if easy and done % 2 == 0 and count % 2 == 0 and 2 * pair <= pace.longest:
                    count, done, unchecked, easy = count // 2, done // 2, CHECK_EVERY, False
                if not adaptive and (done == count or taken % LOOK_EVERY == 0) and not _finite(u).all():
                    raise self._diverged((~_finite(u)).nonzero()[:1], t + pair, taken)
                yield (end if done == count else start + done * span / count), u, rough

    def _diverged(self, sample: Tensor, t: float, pairs: int | None = None) -> Diverged:
        """Of the sample whose index is the one element of a tensor, or of none in particular."""
        remedy = "Lower problem.solver.dt, or raise problem.n." if self.dt != "auto" else "Raise problem.n."
        step = "" if pairs is None else f", step {2 * pairs}"
        return Diverged(
            int(sample.reshape(-1)[0]) if sample.numel() else 0,
            f"the solution is no longer finite at time {t:g}{step} (scheme {self.scheme}, dt {self.dt}). {remedy}",
        )


def floored(norms: Tensor) -> Tensor:
    """The norms (B, C) of channels to which errors are compared: a channel that is zero but for the round-off of the
    others is measured by the square root of the round-off times the largest of them."""
    info = torch.finfo(norms.dtype)
    return norms.maximum(info.eps**0.5 * norms.amax(1, keepdim=True)).clamp_min(info.tiny)


def relative(error: Tensor, u: Tensor) -> Tensor:
    """(B,): the L2 norms of an error (B, C, ...) by those of the fields u, of the worst channel."""
    return (_norms(error) / floored(_norms(u))).amax(1)


def _norms(u: Tensor) -> Tensor:
    """(B, C)"""
    return torch.linalg.vector_norm(u.reshape(*u.shape[:2], -1), dim=2)


def _finite(u: Tensor) -> Tensor:
    """(B,)"""
    return u.isfinite().flatten(1).all(1)
