"""MgNO: layers parameterised by multigrid V-cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.mgno_weights import load_official
from pdeops.nn.activation import gelu
from pdeops.nn.block import Norm
from pdeops.nn.extension import Boundary, Ends, ends
from pdeops.nn.functions import FunctionBias
from pdeops.nn.multigrid import VCycle
from pdeops.nn.on_grids import check_input, check_sizes, for_each_axis, nodes_wanted
from pdeops.nn.pointwise import GroupNorm, Pointwise
from pdeops.nn.resample import INWARD, OUTWARD, THROUGH, resampled, told

Resolution = Literal["native", "resample", "cascade"]
Wanted = Boundary | Literal["auto"]
WAYS = {
    "native": "the stencils act at another mesh width than they were trained at, and results may be far off",
    "resample": THROUGH,
    "cascade": "V-cycles on {there} nodes, all else on {here}",
}


class MgNO(nn.Module):
    """v_0 = a, v_(i+1) = gelu(W_i v_i + L_i v_i + b_i), u = Q v_depth; W a V-cycle (`nn.multigrid`), L, Q pointwise.

    On one to three axes of any sizes; the output stands on the input's grid. A field is continued beyond the ends of
    its axes by `boundary` in every operation: by zeros (dirichlet), evenly (neumann), or wrapped (periodic), one for
    all axes or one each; "auto": what the axis says, and zeros where it says nothing.

    width: channels; levels: of a cycle, each of half the size; pre, post: sweeps before the descent and after the
    ascent, one number for all levels or one each, from fine to coarse; residual: restrict f - A u and not f;
    prolongation: taps of the transposed convolutions, 3 or 4, one number or one each; skip: L; norm: of W v + L v, as
    in `FNO`; bias_modes: functions per axis of the bias b(x) (1: a number per channel), which carries no resolution.
    With one, the operator commutes with translations of periodic axes and with reflections of neumann ones, and cannot
    learn what depends on the place alone: a source that is no input, say.

    resolution: how `a` on another lattice than grid_in is taken. Kernels are stencils, and act at the mesh width.
    "native": there, where they are other operators than those trained; "resample": on the trained lattice, to which a,
    and from which u is interpolated (`nn.resample`); "cascade": cycles on the trained lattice, their results
    interpolated, all else there, as if cycles had further fine levels whose sweeps do nothing. `out`: another lattice
    of the same axes, to which u is interpolated.

    Source: He, Liu and Xu, ICLR 2024, whose code's weights for Darcy flow `load_official` accepts. Raises InputError on
    sizes and names out of range and inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 24,
        depth: int = 4,
        levels: int = 5,
        pre: int | Sequence[int] = 1,
        post: int | Sequence[int] = 0,
        residual: bool = False,
        prolongation: int | Sequence[int] = 4,
        boundary: Wanted | Sequence[Wanted] = "auto",
        skip: bool = True,
        norm: Norm = "none",
        bias_modes: int = 1,
        resolution: Resolution = "resample",
    ) -> None:
        super().__init__()
        d = grid_in.ndim
        if grid_in != grid_out:
            raise InputError(
                f"an MgNO maps a grid to itself; got {grid_in} in and {grid_out} out. Use data.window.history=channel."
            )
        if not 1 <= d <= 3:
            raise InputError(f"an MgNO works on 1 to 3 axes; this grid has {d}: {grid_in.names}")
        check_sizes(width=width, depth=depth, levels=levels, bias_modes=bias_modes)
        most = (max(grid_in.shape) - 1).bit_length() + 1  # the coarsest has one node
        if levels > most:
            raise InputError(f"model.levels={levels}: wanted at most {most}, where one node is left of {grid_in.shape}")
        if norm not in get_args(Norm):
            raise InputError(f"model.norm={norm!r}; wanted one of {get_args(Norm)}")
        if norm == "group" and width % 4:
            raise InputError(f"model.norm=group has four groups of channels; model.width={width} is no multiple of 4")
        if resolution not in get_args(Resolution):
            raise InputError(f"model.resolution={resolution!r}; wanted one of {get_args(Resolution)}")
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.width, self.depth, self.levels, self.residual, self.skip = width, depth, levels, residual, skip
        self.pre, self.post = _each(pre, levels, "pre", "levels"), _each(post, levels, "post", "levels")
        self.prolongation = _each(prolongation, levels - 1, "prolongation", "steps between levels")
        self.boundary: tuple[Wanted, ...] = for_each_axis("boundary", boundary, grid_in)
        self.norm, self.bias_modes, self.resolution = norm, bias_modes, resolution

        kinds = tuple(_ends(axis, b) for axis, b in zip(grid_in, self.boundary, strict=True))
        self.layers = nn.ModuleList()
        for i in range(depth):
            channels = width if i else in_channels
            cycle = VCycle(
                *(channels, width, kinds),
                pre=self.pre,
                post=self.post,
                residual=residual,
                prolongation=self.prolongation,
            )
            linear = Pointwise(channels, width, bias=False) if skip else None
            self.layers.append(_Layer(cycle, linear, norm, grid_in, width, bias_modes))
        self.projection = Pointwise(width, out_channels, bias=False)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *n) -> (B, out_channels, *n or *out)."""
        check_input(self, a)
        n, way = tuple(a.shape[2:]), self.way(a.shape[2:])
        v = a.movedim(1, -1)
        if way == "resample":
            v = resampled(v, self.grid_in, self.grid_in.shape, INWARD)
        for layer in self.layers:
            v = layer(v, self.grid_in if way == "cascade" else None)
        u = self.projection(v)
        return resampled(u, self.grid_in, nodes_wanted(self, n, out), OUTWARD).movedim(-1, 1)

    def way(self, n: Sequence[int]) -> Resolution:
        """How an input of these sizes is taken: "native" at the trained ones."""
        return "native" if tuple(n) == self.grid_in.shape else self.resolution

    def told(self, n: Sequence[int]) -> str | None:
        """What a user should know of an input of these sizes; None at the trained ones."""
        return told(self, n, WAYS)

    def load_official(self, state: Mapping[str, Tensor]) -> MgNO:
        """Take over the weights of the official code's network for Darcy flow, as `mgno_weights.load_official` says."""
        load_official(self, state)
        return self


class _Layer(nn.Module):
    """gelu(W v + L v + b), (B, *n, C_in) -> (B, *n, C); with a norm gelu(norm(W v + L v) + b)."""

    def __init__(
        self, cycle: VCycle, skip: Pointwise | None, norm: Norm, grid: Grid, channels: int, bias_modes: int
    ) -> None:
        super().__init__()
        self.cycle, self.skip = cycle, skip
        groups = {"none": 0, "group": 4, "instance": channels}[norm]
        self.norm = GroupNorm(groups, channels) if groups else None
        self.bias = None if groups and bias_modes == 1 else FunctionBias(grid, channels, bias_modes)  # a norm has one

    def forward(self, v: Tensor, trained: Grid | None = None) -> Tensor:
        """trained: the grid whose nodes the cycle works on, if not those of v."""
        n = v.shape[1:-1]
        inner = v if trained is None else resampled(v, trained, trained.shape, INWARD)
        y = self.cycle(inner)
        if trained is not None:
            y = resampled(y, trained, n, OUTWARD)
        if self.skip is not None:
            y = y + self.skip(v)
        if self.norm is not None:
            y = self.norm(y)
        return gelu(y if self.bias is None else self.bias(y))


def _each(given: int | Sequence[int], count: int, name: str, of: str) -> tuple[int, ...]:
    numbers = (given,) * count if isinstance(given, int) else tuple(given)
    if len(numbers) != count:
        raise InputError(f"model.{name}={list(numbers)}; wanted one number, or one for each of {count} {of}")
    return numbers


def _ends(axis: Axis, boundary: Wanted) -> Ends:
    if boundary == "auto":
        boundary = axis.bc if axis.bc in ("periodic", "neumann") else "dirichlet"
    return ends(axis, boundary)
