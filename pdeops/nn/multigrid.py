"""A learned multigrid V-cycle: linear, in one to three dimensions, at any size. Fields are (B, *n, C)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.nn.extension import Ends, extended

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}

# a kernel of three taps as one of four, and back, half a spacing apart: means of neighbours, whose ends are folded in
# by two, so that what a prolongation gives to even and to odd nodes of a constant stays the same
RAISED = torch.tensor([[0.5, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 0.5]])
LOWERED = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]])


class VCycle(nn.Module):
    """f (B, *n, C_f) -> u_0 (B, *n, C_u), levels l = 0 (fine) .. J - 1 of ceil(n / 2) nodes each:

        smooth    u_l <- u_l + S (f_l - A u_l)   pre[l] times; the very first, of u_0 = 0, is u_0 = S f
        down      u_(l+1) = Pi u_l,  f_(l+1) = R f_l    or, with `residual`, R (f_l - A u_l)
        up        u_l <- u_l + P u_(l+1)
        smooth    post[l] times

    S, A, Pi, R: convolutions of three taps per axis, each application with weights of its own; Pi and R of stride 2. P:
    transposed, stride 2, `prolongation` (3 or 4) taps, one number or one for each P, from fine to coarse. No biases.

    ends: of each axis, how fields go on beyond it (`nn.extension`), for every operation alike. On axes of reflected
    fields the kernels of Pi, R and P take three taps where the finer size is odd and four where it is even, so that the
    nodes of all levels lie symmetrically: reflecting f and every kernel reflects u. With periodic ends translations by
    2^(J-1) nodes commute with the cycle where sizes are halved evenly; from an odd size the coarse lattice is a node
    longer than half, and wraps by itself.

    Source: He, Liu and Xu, ICLR 2024 (MgNO), whose P always continues fields by zeros. Raises InputError on numbers out
    of range.
    """

    def __init__(
        self,
        f_channels: int,
        u_channels: int,
        ends: Sequence[Ends],
        *,
        pre: Sequence[int],
        post: Sequence[int],
        residual: bool = False,
        prolongation: int | Sequence[int] = 4,
    ) -> None:
        super().__init__()
        pairs = list(zip(pre, post, strict=False))
        fits = len(pairs) == len(pre) == len(post) and all(min(pair) >= 0 < sum(pair) for pair in pairs)
        if not fits or not pairs or pre[0] < 1:
            raise InputError(
                f"pre={list(pre)}, post={list(post)}: wanted numbers of sweeps, as many as levels, at least one on "
                "each, before the descent on the finest"
            )
        down = len(pre) - 1
        taps = [prolongation] * down if isinstance(prolongation, int) else list(prolongation)
        if len(taps) != down or not {3, 4} >= set(taps):
            raise InputError(f"prolongation={prolongation}: wanted 3 or 4 taps, one for all or {down}, one a level")
        sizes = f_channels, u_channels, tuple(ends)
        self.levels = nn.ModuleList(
            Level(*sizes, pre=pre[l], post=post[l], first=l == 0, residual=residual, taps=k)
            for l, k in enumerate([*taps, None])
        )

    def forward(self, f: Tensor) -> Tensor:
        return self._from(0, None, f)

    def _from(self, l: int, u: Tensor | None, f: Tensor) -> Tensor:
        """The cycle on level l and those below."""
        return self.levels[l](u, f, partial(self._from, l + 1))


class Level(nn.Module):
    """u and f of one level to its u; `taps` of P, None on the coarsest."""

    def __init__(
        self,
        f_channels: int,
        u_channels: int,
        ends: tuple[Ends, ...],
        *,
        pre: int,
        post: int,
        first: bool,
        residual: bool,
        taps: int | None,
    ) -> None:
        super().__init__()
        sizes = f_channels, u_channels, ends
        self.ends = ends
        self.start = Stencil(*sizes) if first else None
        self.pre = nn.ModuleList(Sweep(*sizes) for _ in range(pre - first))
        self.down = None if taps is None else Down(*sizes, residual)
        self.up = None if taps is None else Prolongation(u_channels, ends, taps)
        self.post = nn.ModuleList(Sweep(*sizes) for _ in range(post))

    def forward(self, u: Tensor | None, f: Tensor, coarse: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        wide = extended(f, self.ends) if self.start is not None or self.down is not None else f
        if self.start is not None:
            u = self.start(wide)
        assert u is not None
        for sweep in self.pre:
            u = sweep(u, f)
        if self.down is not None and self.up is not None:
            u = self.up(coarse(*self.down(u, f, wide)), u)
        for sweep in self.post:
            u = sweep(u, f)
        return u


class Sweep(nn.Module):
    """u + S (f - A u)."""

    def __init__(self, f_channels: int, u_channels: int, ends: tuple[Ends, ...]) -> None:
        super().__init__()
        self.ends = ends
        self.operator = Stencil(u_channels, f_channels, ends)
        self.smoother = Stencil(f_channels, u_channels, ends)

    def forward(self, u: Tensor, f: Tensor) -> Tensor:
        r = f - self.operator(extended(u, self.ends))
        return self.smoother(extended(r, self.ends), onto=u)


class Down(nn.Module):
    """Pi u and R f, or R (f - A u)."""

    def __init__(self, f_channels: int, u_channels: int, ends: tuple[Ends, ...], residual: bool) -> None:
        super().__init__()
        self.ends = ends
        self.operator = Stencil(u_channels, f_channels, ends) if residual else None
        self.solution = Stencil(u_channels, u_channels, ends, stride=2)
        self.source = Stencil(f_channels, f_channels, ends, stride=2)

    def forward(self, u: Tensor, f: Tensor, wide_f: Tensor) -> tuple[Tensor, Tensor]:
        """wide_f: f, extended."""
        wide = extended(u, self.ends)
        if self.operator is not None:
            wide_f = extended(f - self.operator(wide), self.ends)
        return self.solution(wide), self.source(wide_f)


class Stencil(nn.Module):
    """A convolution of three taps per axis, of extended fields, added to `onto`."""

    def __init__(self, c_in: int, c_out: int, ends: tuple[Ends, ...], stride: int = 1) -> None:
        super().__init__()
        self.ends, self.stride = ends, stride
        self.weight = _kernel(c_out, c_in, (3,) * len(ends))

    def forward(self, wide: Tensor, onto: Tensor | None = None) -> Tensor:
        weight: Tensor = self.weight
        padding = [1 if "zero" in kind else 0 for kind in self.ends]
        if self.stride == 2:
            for axis, kind in enumerate(self.ends):
                if _reflected(kind) and wide.shape[1 + axis] % 2 == 0:  # so is the size without its margins
                    weight = _along(RAISED, weight, axis)
        y = CONV[len(self.ends)](_first(wide), weight, stride=self.stride, padding=padding)
        return (y if onto is None else y.add_(_first(onto))).movedim(1, -1)


class Prolongation(nn.Module):
    """u + P v, v of ceil(n / 2) nodes: node j of v acts on nodes 2 j - 1, 2 j, .. of u."""

    def __init__(self, channels: int, ends: tuple[Ends, ...], taps: int) -> None:
        super().__init__()
        self.ends = ends
        self.weight = _kernel(channels, channels, (taps,) * len(ends))

    def forward(self, v: Tensor, u: Tensor) -> Tensor:
        weight: Tensor = self.weight
        n = u.shape[1:-1]
        for axis, kind in enumerate(self.ends):
            taps = 3 if n[axis] % 2 else 4
            if _reflected(kind) and weight.shape[2 + axis] != taps:
                weight = _along(LOWERED if taps == 3 else RAISED, weight, axis)
        shapes = list(zip(n, weight.shape[2:], strict=True))
        y = TRANSPOSED[len(n)](
            _first(extended(v, self.ends)),
            weight,
            stride=2,
            padding=[1 if "zero" in kind else 3 for kind in self.ends],
            output_padding=[1 if taps == 3 and size % 2 == 0 else 0 for size, taps in shapes],
        )
        if y.shape[2:] == n:
            return y.add_(_first(u)).movedim(1, -1)
        for axis, size in enumerate(n, 2):
            y = y.narrow(axis, 0, size)
        return u + y.movedim(1, -1)


def _first(v: Tensor) -> Tensor:
    """(B, C, *n) with the memory of (B, *n, C), by which torch goes: it runs half as long again on other layouts. Of a
    single channel the strides must be made to say so."""
    v = v.flatten().view(v.shape) if v.shape[-1] == 1 else v
    return v.movedim(-1, 1)


def _reflected(kind: Ends) -> bool:
    return not {"zero", "wrap"} & set(kind)


def _along(table: Tensor, weight: Tensor, axis: int) -> Tensor:
    """The table times the taps of one axis."""
    return (table.to(weight) @ weight.movedim(2 + axis, -2)).movedim(-2, 2 + axis)


def _kernel(rows: int, columns: int, taps: tuple[int, ...]) -> nn.Parameter:
    """(rows, columns, *taps), uniform of deviation (3 columns prod(taps))^(-1/2): torch's own for convolutions."""
    bound = (columns * prod(taps)) ** -0.5
    return nn.Parameter(torch.empty(rows, columns, *taps).uniform_(-bound, bound))
