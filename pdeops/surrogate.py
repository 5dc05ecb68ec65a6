"""A trained operator as people use it: physical units in and out, saved without pickle."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pdeops import __version__
from pdeops.arrays import like, real
from pdeops.config import to_config
from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.grid import Grid
from pdeops.nn.normalizer import Normalizer
from pdeops.nn.on_grids import check_input, nodes_wanted
from pdeops.nn.resample import INWARD, OUTWARD, elsewhere, resampled
from pdeops.problems.base import Problem
from pdeops.refinement.estimate import Estimate, error_estimate
from pdeops.refinement.mild import evolving
from pdeops.refinement.refine import Method, refine
from pdeops.refinement.refined import Refined
from pdeops.uncertainty.bands import Bands, Uncertainty, uncertainty
from pdeops.uncertainty.ensemble import Ensemble, mean_and_deviation
from pdeops.window import Batch, Window

FORMAT = 1
CONFIG, WEIGHTS = "surrogate.json", "weights.safetensors"
Array = TypeVar("Array", Tensor, np.ndarray)
Where = Grid | Tensor | np.ndarray | None


class LatticeWarning(UserWarning):
    """A model takes another lattice than the trained one in a way that its user should know."""


class Surrogate(nn.Module):
    """normalise -> model -> denormalise -> constrain.

    model: `model(a, out=None)` on normalised fields; window: bound to the data's grid (`Window.on`);
    normalize_in, normalize_out: per channel; problem: the PDE, or None. bands: of predictions, rollout_bands: of the
    frames of rollouts, one after the other in the channels; None: not calibrated.
    """

    def __init__(
        self,
        model: nn.Module,
        window: Window,
        normalize_in: Normalizer,
        normalize_out: Normalizer,
        problem: Problem | None = None,
        bands: Bands | None = None,
        rollout_bands: Bands | None = None,
    ) -> None:
        super().__init__()
        self.model, self.window, self.problem = model, window, problem
        self.normalize_in, self.normalize_out = normalize_in, normalize_out
        if bands is not None:
            bands.check(window.out_channels, window.grid_out)
        if rollout_bands is not None:
            rollout_bands.check(len(window.targets), window.bound.space, frames=True)
        self.bands, self.rollout_bands = bands, rollout_bands

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """a (B, C_in, *grid_in) -> u (B, C_out, *grid_out or *out), both in physical units.

        Of a model that takes other lattices through the trained one, conditions are imposed there before values are
        interpolated: what a model itself says on a wall is never trained. At points, and on a grid that covers another
        part of space or has nodes of another kind, whose ends need not be walls, values are the model's own; with what
        the conditions add on the window's grid, where that is a smooth function (`Problem.lifts`).
        """
        n_out = self._nodes_beyond(a, out)
        if n_out is None:
            u = self._raw(a, out)
        else:
            own, to = self.window.grid_in, self.window.grid_out
            inner = self(resampled(a.movedim(1, -1), own, own.shape, INWARD).movedim(-1, 1))
            u = resampled(inner.movedim(1, -1), to, n_out, OUTWARD).movedim(-1, 1)
        if self.problem is None:
            return u
        if isinstance(out, Tensor) or (out is not None and self._elsewhere(out)):
            return u + self._added(a, out, self.problem) if self.problem.lifts else u
        return self.problem.constrain(a, u, self._lattice(out, u.shape[2:]))

    def _lattice(self, out: Grid | None, n: Sequence[int]) -> Grid:
        """The grid of an output of n nodes."""
        grid = self.window.grid_out
        if out is not None:  # of space alone: at the trained times
            grid = Grid((grid.time, *out)) if grid.time and not out.time else out
        return grid.resized(n)

    def _raw(self, a: Tensor, out: Grid | Tensor | None) -> Tensor:
        """What the model says, in physical units."""
        return self.normalize_out.inverse(self.model(self.normalize_in(a), out))

    def _added(self, a: Tensor, out: Grid | Tensor, problem: Problem) -> Tensor:
        """What the conditions add to the model's values on the window's grid, at places elsewhere."""
        u = self._raw(a, None)
        grid = self.window.grid_out.resized(u.shape[2:])
        added = (problem.constrain(a, u, grid) - u).movedim(1, -1)
        return elsewhere(added, grid, out).movedim(-1, 1)

    def _nodes_beyond(self, a: Tensor, out: Grid | Tensor | None) -> tuple[int, ...] | None:
        """The nodes wanted of a model that goes through the trained lattice, where they, or the input's, are others."""
        model: Any = self.model
        if isinstance(out, Tensor) or getattr(model, "resolution", None) != "resample":
            return None
        check_input(model, a)
        n_out = nodes_wanted(model, a.shape[2:], out)
        trained = self.window.grid_in.shape, self.window.grid_out.shape
        return None if (tuple(a.shape[2:]), n_out) == trained else n_out

    def _elsewhere(self, out: Grid | Tensor | None) -> bool:
        """Whether `out` is something else than the window's grid in space at some resolution."""
        if not isinstance(out, Grid):
            return isinstance(out, Tensor)
        there, own = ([axis.resized(2) for axis in grid.space] for grid in (out, self.window.grid_out))
        return there != own

    @property
    def members(self) -> list[Surrogate]:
        """The surrogates whose mean this one is: of an ensemble several, else itself."""
        if not isinstance(self.model, Ensemble):
            return [self]
        return [Surrogate(model, self.window, i, o, self.problem) for model, i, o in self.model.parts]

    @overload
    def predict(self, a: Array, out: Where = None, return_uncertainty: Literal[False] = False) -> Array: ...
    @overload
    def predict(
        self, a: Array, out: Where = None, *, return_uncertainty: Literal[True]
    ) -> tuple[Array, Uncertainty]: ...
    def predict(
        self, a: Array, out: Where = None, return_uncertainty: bool = False
    ) -> Array | tuple[Array, Uncertainty]:
        """`forward` without gradients, in evaluation mode, on the surrogate's device and in its precision.

        NumPy arrays come back as NumPy arrays. Where a model has several ways to take another lattice than the trained
        one, a `LatticeWarning` says which it takes. Raises InputError if `a` has the wrong channels or axes, or holds
        values that are not finite.

        out: another grid of the same axes, or points (N, d) where the model takes them. What the problem imposes
        (`Problem.constrain`) stands on the window's grid at any resolution, and where it is smooth (`Problem.lifts`)
        elsewhere too; else values there are the model's own, and a warning says so.
        return_uncertainty: also give what is known of the errors (`Uncertainty`): the deviation of an ensemble's
        members, the bands of a calibrated surrogate, the estimate by the residual, which may call the solver. On
        other lattices than the calibrated ones bands have no guarantee, and a warning says so. Raises InputError if
        nothing is known.
        """
        numbers = isinstance(out, np.ndarray) and out.dtype.kind in "biufc"
        if not (numbers or isinstance(out, Grid | Tensor | None)):
            kind = getattr(out, "dtype", type(out).__name__)
            raise InputError(f"got out of {kind}; wanted a Grid, or points (N, d), a tensor or an array of numbers")
        if isinstance(out, np.ndarray):
            out = torch.from_numpy(out)
        if self._elsewhere(out) and self.problem is not None and _imposes(self.problem) and not self.problem.lifts:
            where = "at points" if isinstance(out, Tensor) else "on other nodes, or a part of the domain,"
            warnings.warn(
                f"values {where} are the model's own; conditions of {self.problem.name} are imposed on its grid alone",
                stacklevel=2,
            )
        with _inference(self):
            exact = self._checked(a)
            x = self._native(exact)
            if not return_uncertainty:
                return like(a, self(x, out))
            u, deviation = mean_and_deviation(member(x, out) for member in self.members)
            place = out if isinstance(out, Tensor) else self._lattice(out, u.shape[2:])
            error = self._estimated(exact, self.window.unstack(u)) if out is None and self.window.evolves else None
            same = tuple(x.shape[2:]) == self.window.grid_in.shape
            return like(a, (u, uncertainty(u, deviation, self.bands, place, error, same)))

    @overload
    def rollout(self, a: Array, steps: int, return_uncertainty: Literal[False] = False) -> Array: ...
    @overload
    def rollout(self, a: Array, steps: int, return_uncertainty: Literal[True]) -> tuple[Array, Uncertainty]: ...
    def rollout(self, a: Array, steps: int, return_uncertainty: bool = False) -> Array | tuple[Array, Uncertainty]:
        """The next `steps` frames (B, C, steps, *space) by feeding predictions back in, from an input `a`. Members of
        an ensemble each follow their own predictions, and the mean is taken of frames.

        return_uncertainty: as of `predict`, frame by frame; bands as far as rollouts are calibrated. Raises InputError
        for a steady problem, and as `predict` does.
        """
        with _inference(self):
            exact = self._checked(a)
            u, deviation = self._frames(exact, steps)
            if not return_uncertainty:
                return like(a, u)
            space, error = self.window.bound.space.resized(u.shape[3:]), self._estimated(exact, u)
            same = tuple(exact.shape[2:]) == self.window.grid_in.shape
            return like(a, (u, uncertainty(u, deviation, self.rollout_bands, space, error, same)))

    def frames(self, a: Tensor | np.ndarray) -> Iterator[Tensor]:
        """The frames (B, C, n_out, *space) that follow an input `a`, then those that follow them, without end:
        `rollout` piece by piece, with no more than the last of them kept.

        Raises InputError as `rollout` does, when the first are asked for.
        """
        self._check_evolves()
        state = self._native(self._checked(a))
        for pieces in zip(*(member._following(state) for member in self.members), strict=True):
            yield mean_and_deviation(pieces)[0]

    def drive(self, controls: Array, start: Array) -> Array:
        """The states (B, C_s, n) of a driven system on n nodes of t, from states (B, C_s) at the first of them under
        controls (B, C, n): segment after segment, each from the last state of the one before.

        Raises InputError where the window has no `segment`, on an n that is no whole number of segments, and as
        `predict` does.
        """
        given = real("controls", controls), real("a start", start)
        a = self._native(self._checked(self.window.cut(*given))).unflatten(0, (len(controls), -1))
        with _inference(self):
            return like(controls, mean_and_deviation(member._states(a) for member in self.members)[0])

    def _states(self, a: Tensor) -> Tensor:
        """(B, K, C + C_s, nodes), the segments of each trajectory -> (B, C_s, n)."""
        inputs, states = a[:, :, : len(self.window.inputs)], [a[:, 0, len(self.window.inputs) :, :1]]
        for segment in inputs.unbind(1):
            states.append(self(self.window.driven(segment, states[-1][..., -1]))[..., 1:])
        return torch.cat(states, dim=2)

    def along(self, batch: Batch) -> Tensor:
        """What is predicted of a batch of whole trajectories (`data.dataset.Trajectories`) from their first inputs: a
        `rollout` of as many frames, or the driven states (`drive`) from the first of them."""
        assert batch.u is not None
        if self.window.segment is None:
            return self.rollout(batch.a, batch.u.shape[2])
        return self.drive(batch.a[:, : len(self.window.inputs)], batch.u[..., 0])

    def error_estimate(self, a: Array, steps: int | None = None) -> Estimate:
        """The estimated relative L2 error of `predict(a)`, or of the next `steps` frames of a rollout, per sample:
        by the equation alone, against its solution that goes on from the history (`refinement.error_estimate`).

        Raises InputError where it cannot be told, without a problem that evolves, and as `predict` does.
        """
        return error_estimate(self.problem, *self.trajectories(a, steps))

    def refine(
        self,
        a: Array,
        tol: float = 1e-6,
        *,
        method: Method = "auto",
        steps: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Refined:
        """`predict(a)`, or the next `steps` frames of a rollout, made the solution of the equation to an estimated
        relative L2 error within tol (`refinement.refine`). In double precision: give `a` so for tol below 1e-7.

        u: a tensor, as `predict` or `rollout` lay it out. Raises InputError as `refinement.refine` and `predict` do.
        """
        inputs, frames, grid, known = self.trajectories(a, steps)
        found = refine(
            self.problem, inputs, frames, grid, known, tol=tol, method=method, period=self.period, progress=progress
        )
        u = found.u[:, :, known:]
        return found._replace(u=u if steps is not None else self.window.stack(u))

    def trajectories(self, a: Tensor | np.ndarray, steps: int | None) -> tuple[Tensor, Tensor, Grid, int]:
        """The problem's inputs (B, C_in, *space), history and prediction as one trajectory (B, C, T, *space), both in
        double precision, its grid, and how many of its frames are history: what `refinement` takes."""
        evolving(self.problem)
        exact = self._checked(a).detach().double()
        self._check_history(exact)
        with _inference(self):
            u, _ = self._frames(exact, self.window.n_out if steps is None else steps)
        return self._joined(exact, u)

    def _check_history(self, a: Tensor) -> None:
        if (known := self.window.history_frames(a).shape[2]) != self.window.n_in:
            raise InputError(
                f"a history of {known} frames; wanted {self.window.n_in}, {self.window.time_step:g} apart: "
                "an error is judged from the last of them on"
            )

    def _joined(self, a: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Grid, int]:
        """What `trajectories` gives, of inputs and predicted frames."""
        frames = torch.cat([self.window.history_frames(a), u.double()], dim=2)
        grid = self.window.frames_grid(frames.shape[2]).resized(frames.shape[2:])
        return self.window.problem_inputs(a), frames, grid, self.window.n_in

    def _estimated(self, a: Tensor, u: Tensor) -> Tensor | None:
        """What predicted frames (B, C, T, *space) are wrong by at most, by `error_estimate`; None where it cannot be
        told."""
        try:
            self._check_history(a)
            return error_estimate(self.problem, *self._joined(a.double(), u)).bound
        except InputError:
            return None

    @property
    def period(self) -> float | None:
        """Of a model whose output is a series in time."""
        return getattr(self.model, "period", None)

    def _frames(self, a: Tensor, steps: int) -> tuple[Tensor, Tensor | None]:
        """The next `steps` frames (B, C, steps, *space), each member's from its own, as mean and deviation."""
        self._check_evolves()
        if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 1:
            raise InputError(f"steps={steps!r}: wanted a whole number, at least 1")
        return mean_and_deviation(member._followed(self._native(a), steps) for member in self.members)

    def _check_evolves(self) -> None:
        if not self.window.evolves:
            other = "predict" if self.window.segment is None else "drive"
            raise InputError(f"this surrogate maps fields to fields; there is no time to roll out. Use {other}.")

    def _followed(self, state: Tensor, steps: int) -> Tensor:
        """The next `steps` frames by its own predictions, as the mean of an ensemble too."""
        pieces = islice(self._following(state), -(-steps // self.window.n_out))
        return torch.cat(list(pieces), dim=2)[:, :, :steps]

    def _following(self, state: Tensor) -> Iterator[Tensor]:
        """The frames that follow an input in its own precision, n_out at a time, without end."""
        while True:
            with _inference(self):
                u = self(state)
                state = self.window.advance(state, u)
            yield self.window.unstack(u)

    def accepted(self, a: Array) -> Tensor:
        """`a` as `forward` takes it, on the surrogate's device, in its precision. Raises InputError as `predict` does,
        and on values beyond the range of that precision."""
        native = self._native(self._checked(a))
        if not native.isfinite().all():
            raise InputError(f"the input holds values beyond the range of {native.dtype}")
        return native

    def _native(self, a: Tensor) -> Tensor:
        return a.to(self.normalize_in.mean)

    def _checked(self, a: Tensor | np.ndarray) -> Tensor:
        a = real("an input", a).to(self.normalize_in.mean.device)
        names, axes = self.window.in_names, self.window.grid_in.names
        if a.ndim != len(axes) + 2 or a.shape[1] != len(names) or not len(a):
            raise InputError(
                f"got an input of shape {tuple(a.shape)}; wanted (batch, {len(names)}, {', '.join(axes)}) with the "
                f"channels {list(names)}"
            )
        if not a.isfinite().all():
            raise InputError("the input holds NaN or infinite values")
        told: Callable[..., str | None] = getattr(self.model, "told", lambda n: None)
        if (sentence := told(a.shape[2:])) is not None:
            warnings.warn(sentence, LatticeWarning, stacklevel=3)
        return a

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, as a plain dictionary."""
        return {
            "format": FORMAT,
            "pdeops": __version__,
            "model": to_config(self.model),
            "window": to_config(self.window),
            "problem": to_config(self.problem),
            "bands": to_config(self.bands),
            "rollout_bands": to_config(self.rollout_bands),
        }

    def save(self, directory: str | Path) -> Path:
        """Write `surrogate.json` and `weights.safetensors`; `pdeops.load(directory)` gives it back bit for bit."""
        directory = Path(directory)
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        for name, content in (
            (WEIGHTS, save_tensors(tensors)),
            (CONFIG, json.dumps(self.describe(), indent=2).encode()),
        ):
            with atomically(directory / name) as temporary:
                temporary.write_bytes(content)
        return directory


@contextmanager
def _inference(module: nn.Module) -> Iterator[None]:
    """No gradients and evaluation mode; the former mode is restored."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def _imposes(problem: Problem) -> bool:
    return type(problem).constrain is not Problem.constrain
