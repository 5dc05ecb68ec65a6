"""A geometric multigrid cycle for batches of conductances on boxes, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pdeops.solvers.coarsening import SWEEPS, coarsening
from pdeops.solvers.volumes import FiniteVolumes


class VCycle:
    """A V(1,1) cycle from zero as a map of residuals (B, *unknowns) to corrections, symmetric and positive definite.

    Red-black Gauss-Seidel relaxation, in reversed order after the coarse correction; linear interpolation and its
    transpose. A coarse conductance is that of two fine ones in series, summed over the fine lines that the coarse one
    stands for as the interpolation weighs them; reactions are summed likewise.
    Source: Wesseling, An Introduction to Multigrid Methods (1992), sections 5.4 and 7.
    """

    def __init__(self, operator: FiniteVolumes, dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        plan = coarsening(operator.grid)
        faces = [f.to(dtype) for f in operator.forward]
        reaction = None if operator.reaction is None else operator.reaction.to(dtype)
        device = faces[0].device
        self._weights = [[torch.from_numpy(w).to(device, dtype) for w in level] for level in plan.weights]
        self._levels = []
        for shape, weights in zip(plan.shapes, [*self._weights, None], strict=True):
            self._levels.append(_Level(shape, faces, reaction))
            if weights:
                faces = [_coarse(f, weights, along) for along, f in enumerate(faces)]
                reaction = None if reaction is None else _coarse(reaction, weights)

    def __call__(self, r: Tensor) -> Tensor:
        return self._cycle(0, r.to(self._dtype))

    def _cycle(self, which: int, b: Tensor) -> Tensor:
        level = self._levels[which]
        red, black = level.red, ~level.red
        u = level.relax(b * level.inverse * red, b, black)
        if which + 1 == len(self._levels):
            for _ in range(SWEEPS - 1):
                u = level.relax(level.relax(u, b, red), b, black)
            for _ in range(SWEEPS):
                u = level.relax(level.relax(u, b, black), b, red)
            return u
        r = b - level.apply(u)
        for d, w in enumerate(self._weights[which], 1):
            r = _gather(r, d, w)
        e = self._cycle(which + 1, r)
        for d, (w, n) in enumerate(zip(self._weights[which], u.shape[1:], strict=True), 1):
            e = _spread(e, d, w, n)
        return level.relax(level.relax(u + e, b, black), b, red)


class _Level:
    def __init__(self, shape: Sequence[int], faces: Sequence[Tensor], reaction: Tensor | None) -> None:
        self.faces = faces
        diagonal = torch.zeros_like(faces[0].narrow(1, 0, shape[0])) if reaction is None else reaction
        for d, (f, n) in enumerate(zip(faces, shape, strict=True), 1):
            diagonal = diagonal + f.narrow(d, 0, n) + f.narrow(d, 1, n)
        self.diagonal = diagonal
        self.inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)
        index = sum(torch.arange(n).view(-1, *(1,) * (len(shape) - 1 - d)) for d, n in enumerate(shape))
        self.red = ((index - len(shape)) % 2 == 0).to(diagonal.device)  # type: ignore[union-attr]  # the colour of coarse unknowns

    def around(self, u: Tensor) -> Tensor:
        out = torch.zeros_like(u)
        for d, f in enumerate(self.faces, 1):
            n = u.shape[d]
            extended = functional.pad(u, [0, 0] * (u.ndim - 1 - d) + [1, 1])
            out = out + f.narrow(d, 0, n) * extended.narrow(d, 0, n) + f.narrow(d, 1, n) * extended.narrow(d, 2, n)
        return out

    def apply(self, u: Tensor) -> Tensor:
        return self.diagonal * u - self.around(u)

    def relax(self, u: Tensor, b: Tensor, colour: Tensor) -> Tensor:
        return torch.where(colour, (b + self.around(u)) * self.inverse, u)


def _coarse(x: Tensor, weights: Sequence[Tensor], along: int | None = None) -> Tensor:
    """Coarse reactions, or conductances along an axis."""
    for d, w in enumerate(weights):
        x = _in_series(x, d + 1) if d == along else _gather(x, d + 1, w)
    return x


def _in_series(f: Tensor, d: int) -> Tensor:
    x = f.movedim(d, 0)
    first, second = x[0::2], x[1::2]
    pairs = first[: len(second)]
    both = torch.where((pairs > 0) & (second > 0), pairs * second / (pairs + second), 0.0)
    return torch.cat([both, first[len(second) :]]).movedim(0, d)


def _gather(x: Tensor, d: int, w: Tensor) -> Tensor:
    """The transpose of `_spread`."""
    x = x.movedim(d, -1)
    n = x.shape[-1] // 2
    even = functional.pad(x[..., 0::2], [0, 1])
    return (
        x[..., 1::2] + w[0 : 2 * n : 2, 1] * even[..., :n] + w[2 : 2 * n + 2 : 2, 0] * even[..., 1 : n + 1]
    ).movedim(-1, d)


def _spread(x: Tensor, d: int, w: Tensor, n: int) -> Tensor:
    """Linear interpolation from the coarse to all n unknowns of an axis."""
    x = x.movedim(d, -1)
    extended = functional.pad(x, [1, 1])
    m = (n + 1) // 2
    even = w[0:n:2, 0] * extended[..., :m] + w[0:n:2, 1] * extended[..., 1 : m + 1]
    out = x.new_empty((*x.shape[:-1], n))
    out[..., 0::2], out[..., 1::2] = even, x
    return out.movedim(-1, d)
