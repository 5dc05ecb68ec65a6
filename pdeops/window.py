"""What a model sees of a data file: a window or a segment of trajectories, or the fields of a steady problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

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
    segment: of systems driven by functions of an axis "t" (ordinary equations, no time axis): so many nodes of it, with
    both ends, neighbours sharing one. The inputs on a segment and, as constant channels, the targets at its start go
    in, the targets on it come out; t begins anew in each, so the system itself must not depend on it. None: all of t.
    """

    n_in: int = 1
    n_out: int = 1
    stride: int = 1
    history: History = "channel"
    segment: int | None = None
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
        """This window over trajectories on `grid`. Raises InputError if they are shorter than the window, and where
        there are no frames to choose."""
        bound = replace(self, grid=grid, targets=targets, inputs=inputs)
        if grid.time and grid.time.nodes == "chebyshev":
            raise InputError("a window needs frames at equal distances; this time axis has chebyshev nodes")
        if grid.time and bound.span > grid.time.n:
            raise InputError(
                f"data.window: n_in={self.n_in} and n_out={self.n_out} frames, {self.stride} apart, need "
                f"trajectories of {self.span} frames; these have {grid.time.n}. Lower n_in, n_out or stride, or "
                "raise problem.frames."
            )
        if self.segment is not None:
            _check_segment(self.segment, grid)
        if not grid.time and (self.n_in, self.n_out, self.stride, self.history) != (1, 1, 1, "channel"):
            raise InputError(
                f"data.window: n_in={self.n_in}, n_out={self.n_out}, stride={self.stride}, history={self.history} "
                f"choose frames, and these data have no time axis: {grid}. Leave them at 1, 1, 1, channel."
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
    def fed_back(self) -> bool:
        """What comes out of one input is part of the next."""
        return self.stacked or self.segment is not None

    @property
    def states(self) -> slice:
        """The channels of an input that hold states: a history, or those at the start of a segment."""
        if self.segment is not None:
            return slice(len(self.inputs), None)
        return slice(len(self.targets) * (self.n_in if self.stacked else 1) if self.evolves else 0)

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
            starts = () if self.segment is None else tuple(f"{name}[+0]" for name in self.targets)
            return tuple(self.inputs) + starts
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
        if self.segment is not None:
            t, n = grid[0], self.segment
            return Grid((replace(t, n=n, length=t.length * (n - 1) / (t.n - 1)),))
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
        axis = self.bound[0]
        return self.stride * (axis.node(1) - axis.node(0))

    def starts(self, n: int) -> int:
        """How many windows, or segments, a trajectory of n frames, or nodes, holds: one from each that leaves room."""
        if self.segment is not None:
            return n - self.segment + 1
        return n - self.span + 1 if self.evolves else 1

    def driven(self, controls: Tensor, start: Tensor) -> Tensor:
        """Controls (B, C, n) and states (B, C_s) at their start -> a (B, C + C_s, n)."""
        return torch.cat([controls, start.unsqueeze(2).expand(-1, -1, controls.shape[2])], dim=1)

    def cut(self, controls: Tensor, start: Tensor) -> Tensor:
        """Controls (B, C, n) and states (B, C_s) at their start -> inputs (B K, C + C_s, nodes) of all K segments of
        each trajectory, every one from its start."""
        if self.segment is None:
            raise InputError("this surrogate was not trained on segments of a driven system (data.window.segment)")
        names = f"(batch, {len(self.inputs)}, nodes) with the channels {list(self.inputs)}"
        if controls.ndim != 3 or controls.shape[1] != len(self.inputs):
            raise InputError(f"got controls of shape {tuple(controls.shape)}; wanted {names}")
        if start.shape != (len(controls), len(self.targets)):
            wanted = f"({len(controls)}, {len(self.targets)}) with the states {list(self.targets)}"
            raise InputError(f"got a start of shape {tuple(start.shape)}; wanted {wanted}")
        m, n = self.segment - 1, controls.shape[2]
        if n < 2 or (n - 1) % m:
            raise InputError(
                f"controls on {n} nodes; wanted whole segments: {m + 1}, {2 * m + 1}, {3 * m + 1} ... nodes"
            )
        parts = controls.unfold(2, m + 1, m).transpose(1, 2)
        return self.driven(parts.flatten(0, 1), start.to(controls).repeat_interleave(parts.shape[1], 0))

    def segments(self, controls: Tensor, states: Tensor, starts: Sequence[int]) -> Batch:
        """Of each trajectory, controls (B, C, n) and states (B, C_s, n), the segment from a node on."""
        assert self.segment is not None
        nodes = torch.as_tensor(starts)[:, None] + torch.arange(self.segment)
        u, cut = (x.gather(2, nodes[:, None].expand(-1, x.shape[1], -1).to(x.device)) for x in (states, controls))
        return Batch(self.driven(cut, u[..., 0]), u)

    def posed(self, problem: Any) -> Any:
        """The problem that inputs and outputs of this window belong to: of segments, the system from any state on."""
        return problem if problem is None or self.segment is None else problem.restarted(self.segment)

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


def _check_segment(n: int, grid: Grid) -> None:
    if grid.names != ("t",) or grid[0].nodes != "uniform":
        raise InputError(
            f"data.window.segment={n} cuts one axis 't' with both end points, of systems driven by functions of it "
            f"(pendulum, antiderivative, ...); this data has {grid}"
        )
    whole = grid[0].intervals
    if n < 2 or whole % (n - 1):
        fitting = ", ".join(str(k + 1) for k in range(1, whole + 1) if whole % k == 0)
        raise InputError(
            f"data.window.segment={n}: wanted nodes whose intervals divide the trajectory's {whole}: {fitting}"
        )
