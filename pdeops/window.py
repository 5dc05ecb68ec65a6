"""What a model sees of a data file: a window over trajectories, or the pair of fields of a steady problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

History = Literal["channel", "time"]


class Batch(NamedTuple):
    """a: inputs (B, C_in, *grid_in). u: targets (B, C_out, *grid_out), None where a loss needs no solution.
    out: query points or another grid; mask: valid points of ragged samples."""

    a: Tensor
    u: Tensor | None = None
    out: Grid | Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class Window:
    """`n_in` frames in, the next `n_out` frames out, `stride` stored frames apart.

    history: "channel" puts the frames of both sides into the channels, frame by frame, history first and
    static fields last, for models that step; "time" keeps them on a time axis, for space-time models.
    grid, targets, inputs: bound by `on`: the grid of a whole trajectory (or of a steady field), the names of
    the predicted channels, the names of the given ones. Without a time axis the frames do not matter: the
    input fields go in, the target fields come out.
    """

    n_in: int = 1
    n_out: int = 1
    stride: int = 1
    history: History = "channel"
    grid: Grid | None = None
    targets: Sequence[str] = ()
    inputs: Sequence[str] = ()

    def __post_init__(self) -> None:
        if min(self.n_in, self.n_out, self.stride) < 1:
            raise InputError(
                f"data.window: n_in={self.n_in}, n_out={self.n_out}, stride={self.stride}; each must be >= 1"
            )
        if self.history not in get_args(History):
            raise InputError(f"data.window.history={self.history!r}; wanted one of {get_args(History)}")
        object.__setattr__(self, "targets", tuple(self.targets))
        object.__setattr__(self, "inputs", tuple(self.inputs))

    def on(self, grid: Grid, targets: Sequence[str], inputs: Sequence[str]) -> Window:
        """This window over trajectories on `grid`. Raises InputError if they are shorter than the window."""
        bound = replace(self, grid=grid, targets=targets, inputs=inputs)
        if grid.time and grid.time.nodes == "chebyshev":
            raise InputError("a window needs frames at equal distances; this time axis has chebyshev nodes")
        if grid.time and bound.span > grid.time.n:
            raise InputError(
                f"data.window: n_in={self.n_in} and n_out={self.n_out} frames, {self.stride} apart, need "
                f"trajectories of {self.span} frames; these have {grid.time.n}. Lower n_in, n_out or stride, or "
                "raise problem.frames."
            )
        return bound

    @property
    def bound(self) -> Grid:
        if self.grid is None:
            raise InputError("this window is not bound to a grid yet: call window.on(grid, targets, inputs)")
        return self.grid

    @property
    def evolves(self) -> bool:
        return self.bound.time is not None

    @property
    def stacked(self) -> bool:
        """Frames stand in the channels."""
        return self.evolves and self.history == "channel"

    @property
    def span(self) -> int:
        """Stored frames from the first of the history to the last of the output."""
        return (self.n_in + self.n_out - 1) * self.stride + 1

    @property
    def in_channels(self) -> int:
        return len(self.in_names)

    @property
    def out_channels(self) -> int:
        return len(self.out_names)

    @property
    def in_names(self) -> tuple[str, ...]:
        if not self.evolves:
            return tuple(self.inputs)
        return self._frames_of(range(1 - self.n_in, 1)) + tuple(self.inputs)

    @property
    def out_names(self) -> tuple[str, ...]:
        return self._frames_of(range(1, self.n_out + 1)) if self.evolves else tuple(self.targets)

    def _frames_of(self, offsets: range) -> tuple[str, ...]:
        if not self.stacked:
            return tuple(self.targets)
        return tuple(f"{name}[{offset:+d}]" for offset in offsets for name in self.targets)

    @property
    def grid_in(self) -> Grid:
        """The grid of the input: the last history frame is at time 0."""
        return self._on_time_axis(self.n_in, -self.n_in)

    @property
    def grid_out(self) -> Grid:
        return self._on_time_axis(self.n_out, 0)

    def _on_time_axis(self, n: int, first: int) -> Grid:
        grid = self.bound
        if not self.evolves or self.stacked:
            return grid.space
        step = self.time_step
        return Grid((Axis("time", n, n * step, "right", first * step),)) + grid.space

    def frames_grid(self, n: int) -> Grid:
        """The grid of n frames of the window in a row, on a time axis with both end points."""
        return Grid((Axis("time", n, (n - 1) * self.time_step, "uniform"),)) + self.bound.space

    def joint_frames(self, a: Tensor, u: Tensor) -> Tensor:
        """History and output as one trajectory (B, C, n_in + n_out, *space), on `frames_grid(n_in + n_out)`."""
        return torch.cat([self.history_frames(a), self.unstack(u)], dim=2)

    @property
    def time_step(self) -> float:
        """Time between two frames of the window."""
        points = self.bound[0].points()
        return self.stride * float(points[1] - points[0])

    def starts(self, n_frames: int) -> int:
        """How many windows a trajectory of `n_frames` holds."""
        return n_frames - self.span + 1 if self.evolves else 1

    def make_input(self, frames: Tensor, static: Tensor | None = None) -> Tensor:
        """History frames (B, C, n_in, *space) and static fields (B, C_s, *space) -> a (B, C_in, *grid_in)."""
        a = self.stack(frames)
        if static is None or static.shape[1] == 0:
            return a
        if not self.stacked:
            static = static.unsqueeze(2).expand(-1, -1, frames.shape[2], *static.shape[2:])
        return torch.cat([a, static], dim=1)

    def history_frames(self, a: Tensor) -> Tensor:
        """The history (B, C, n_in, *space) within an input."""
        if not self.stacked:
            return a[:, : len(self.targets)]
        return self.unstack(a[:, : self.n_in * len(self.targets)])

    def static(self, a: Tensor) -> Tensor:
        """The static fields (B, C_s, *space) within an input."""
        if not self.stacked:
            return a[:, len(self.targets) :, 0]
        return a[:, self.n_in * len(self.targets) :]

    def problem_inputs(self, a: Tensor) -> Tensor:
        """What the problem starts from, within an input: the last frame of the history and the static fields."""
        return torch.cat([self.history_frames(a)[:, :, -1], self.static(a)], dim=1)

    def stack(self, frames: Tensor) -> Tensor:
        """Frames (B, C, n, *space) -> the model's layout."""
        return frames.transpose(1, 2).flatten(1, 2) if self.stacked else frames

    def unstack(self, u: Tensor) -> Tensor:
        """The model's layout -> frames (B, C, n, *space)."""
        return u.unflatten(1, (-1, len(self.targets))).transpose(1, 2) if self.stacked else u

    def advance(self, a: Tensor, u: Tensor) -> Tensor:
        """The input that follows `a` once the model has predicted `u`: the last n_in frames of both."""
        frames = self.joint_frames(a, u)[:, :, -self.n_in :]
        return self.make_input(frames, self.static(a))
