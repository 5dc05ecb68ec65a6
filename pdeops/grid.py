"""Tensor-product grids: where the samples of a field sit, and with which quadrature weights.

A field is a tensor `(batch, channel, *axes)` whose axes are those of a `Grid`; time, where present, is the
first axis and is called "time".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, pi, prod
from types import EllipsisType
from typing import Literal, Self, SupportsIndex, TypeVar, get_args, overload

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pdeops.errors import InputError

Nodes = Literal["periodic", "cell", "uniform", "left", "right", "chebyshev"]
Place = TypeVar("Place", float, Tensor)
Boundary = Literal["periodic", "dirichlet", "neumann", "free"]


@dataclass(frozen=True)
class Axis:
    """`n` nodes on [start, start + length].

    nodes (h = length / n):

    - periodic: start + j h, a lattice on a circle;
    - cell: start + (j + 1/2) h, cell centres;
    - uniform: both end points, spacing length / (n - 1);
    - left, right: start + j h and start + (j + 1) h, half open (one end point is not stored);
    - chebyshev: Gauss-Lobatto points start + length (1 - cos(pi j / (n - 1))) / 2.

    bc: the boundary type; it defaults to "periodic" on periodic nodes and to "free" elsewhere.
    Raises InputError on a bad size, length, node or boundary type.
    """

    name: str
    n: int
    length: float = 1.0
    nodes: Nodes = "periodic"
    start: float = 0.0
    bc: Boundary | None = None

    def __post_init__(self) -> None:
        if self.bc is None:
            object.__setattr__(self, "bc", "periodic" if self.nodes == "periodic" else "free")
        if self.nodes not in get_args(Nodes):
            raise InputError(f"axis {self.name!r}: nodes={self.nodes!r}; wanted one of {get_args(Nodes)}")
        if self.bc not in get_args(Boundary):
            raise InputError(f"axis {self.name!r}: bc={self.bc!r}; wanted one of {get_args(Boundary)}")
        if (self.bc == "periodic") != (self.nodes == "periodic"):
            raise InputError(
                f"axis {self.name!r}: nodes={self.nodes!r} with bc={self.bc!r}; periodic nodes and a "
                "periodic boundary go together"
            )
        if not isinstance(self.n, int | torch.SymInt) or isinstance(self.n, bool):  # a symbol while exporting
            raise InputError(f"axis {self.name!r}: n={self.n!r}; wanted a whole number")
        if self.n < self.fewest:
            raise InputError(f"axis {self.name!r}: n={self.n}; {self.nodes} nodes need n >= {self.fewest}")
        if not 0 < self.length < inf:
            raise InputError(f"axis {self.name!r}: length={self.length}; wanted a positive, finite length")

    @property
    def fewest(self) -> int:
        """Nodes that there have to be: both ends, where they are among them."""
        return 2 if self.nodes in ("uniform", "chebyshev") else 1

    @property
    def periodic(self) -> bool:
        return self.nodes == "periodic"

    def points(self) -> Tensor:
        """Coordinates of the nodes, (n,), float64."""
        j = torch.arange(self.n, dtype=torch.float64)
        if self.nodes == "chebyshev":
            return self.start + self.length * ((1 - torch.cos(pi * j / (self.n - 1))) / 2)
        return self.node(j)

    def node(self, j: Place) -> Place:
        """The coordinate of node j, a number or several, of nodes at equal distances."""
        match self.nodes:
            case "periodic" | "left":
                unit = j / self.n
            case "cell":
                unit = (j + 0.5) / self.n
            case "right":
                unit = (j + 1) / self.n
            case "uniform":
                unit = j / (self.n - 1)
            case "chebyshev":
                raise InputError(f"axis {self.name!r}: chebyshev nodes are at no equal distances; take points()")
        return self.start + self.length * unit

    def weights(self) -> Tensor:
        """Quadrature weights, (n,), float64; they sum to the length.

        Exact for: trigonometric polynomials of degree < n (periodic), linear functions (cell: midpoint rule;
        uniform: trapezoidal rule), constants (left, right: rectangle rule), polynomials of degree < n
        (chebyshev: Clenshaw-Curtis).
        """
        if self.nodes == "chebyshev":
            return self.length / 2 * _clenshaw_curtis(self.n)
        if self.nodes == "uniform":
            w = torch.full((self.n,), self.length / (self.n - 1), dtype=torch.float64)
            w[[0, -1]] /= 2
            return w
        return torch.full((self.n,), self.length / self.n, dtype=torch.float64)

    def resized(self, n: int) -> Axis:
        """The same interval with `n` nodes."""
        return replace(self, n=n)

    @property
    def intervals(self) -> int:
        """Parts of the axis between or about its nodes, whose number resolutions are multiples of."""
        return self.n - 1 if self.nodes in ("uniform", "chebyshev") else self.n

    @property
    def strides(self) -> tuple[int, ...]:
        """Every s of which every s-th node, `every(s)`, is a node of the same axis `resized` to as many, with two
        intervals or more."""
        step = 2 if self.nodes == "cell" else 1  # the centre of an even number of cells is none of theirs
        most = max(1, self.intervals // 2)
        return tuple(s for s in range(1, most + 1, step) if self.intervals % s == 0)

    def every(self, stride: int) -> slice:
        """The nodes of the axis with a stride-th of the intervals, for one of `strides`."""
        first = {"cell": stride // 2, "right": stride - 1}.get(self.nodes, 0)
        return slice(first, None, stride)


def axis_names(d: int) -> str:
    """x, y, z. Raises InputError beyond three axes."""
    if not 1 <= d <= 3:
        raise InputError(f"a space of {d} axes; wanted one to three")
    return "xyz"[:d]


def equally_spaced(name: str, points: Sequence[float], nodes: Nodes) -> Axis:
    """The axis whose nodes of the given kind are `points`. Raises InputError if they are not equally spaced."""
    x = torch.as_tensor(points, dtype=torch.float64).flatten()
    h = float(x[-1] - x[0]) / (len(x) - 1) if len(x) > 1 else 0.0
    if not h > 0 or (torch.diff(x) - h).abs().max() > 1e-3 * h:
        raise InputError(f"the {len(x)} coordinates of axis {name!r} are not equally spaced and increasing")
    n, first = len(x), float(x[0])
    match nodes:
        case "uniform":
            return Axis(name, n, (n - 1) * h, nodes, first)
        case "periodic" | "left":
            return Axis(name, n, n * h, nodes, first)
        case "cell":
            return Axis(name, n, n * h, nodes, first - h / 2)
        case "right":
            return Axis(name, n, n * h, nodes, first - h)
    raise InputError(f"axis {name!r}: {nodes} nodes are not equally spaced")


def _clenshaw_curtis(n: int) -> Tensor:
    """Weights on [-1, 1] by the moments of T_k: w = M^-1 m with M_kj = T_k(x_j), m_k = int T_k."""
    k = torch.arange(n, dtype=torch.float64)
    chebyshev = torch.cos(torch.outer(k, pi * k / (n - 1)))
    moments = torch.where(k % 2 == 0, 2 / (1 - k * k), torch.zeros_like(k))
    return torch.linalg.solve(chebyshev, moments)


class Grid(tuple[Axis, ...]):
    """A tuple of axes. Slices and sums of grids are grids; equal grids compare and hash equal."""

    __slots__ = ()

    def __new__(cls, axes: Iterable[Axis] = ()) -> Self:
        axes = tuple(axes)
        if not all(isinstance(axis, Axis) for axis in axes):
            raise InputError(f"a grid is made of axes, such as Axis('x', 64); got {axes}")
        names = [axis.name for axis in axes]
        if len(set(names)) < len(names):
            raise InputError(f"grid axes {names}: every axis needs its own name")
        if "time" in names[1:]:
            raise InputError(f"grid axes {names}: time must be the first axis")
        return super().__new__(cls, axes)

    @classmethod
    def periodic(cls, shape: Sequence[int], length: float = 1.0) -> Self:
        """A torus of the given shape, every side of the same length, axes named x, y, z."""
        return cls(Axis(name, n, length) for name, n in zip(axis_names(len(shape)), shape, strict=True))

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(self)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.n for axis in self)

    @property
    def ndim(self) -> int:
        return len(self)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self)

    @property
    def volume(self) -> float:
        return prod(axis.length for axis in self)

    @property
    def time(self) -> Axis | None:
        return self[0] if self and self[0].name == "time" else None

    @property
    def space(self) -> Grid:
        return self[1:] if self.time else self

    def points(self) -> Tensor:
        """Coordinates (*shape, ndim), float64."""
        return torch.stack(torch.meshgrid(*(axis.points() for axis in self), indexing="ij"), dim=-1)

    def weights(self) -> Tensor:
        """Quadrature weights (*shape), float64; they sum to the volume."""
        w = torch.ones((), dtype=torch.float64)
        for axis in self:
            w = w.unsqueeze(-1) * axis.weights()
        return w

    def resized(self, shape: Sequence[int]) -> Grid:
        """The same domain with another number of nodes per axis."""
        if len(shape) != self.ndim:
            raise InputError(f"cannot resize a {self.ndim}-axis grid {self.names} to shape {tuple(shape)}")
        return Grid(axis.resized(n) for axis, n in zip(self, shape, strict=True))

    def resized_in_space(self, shape: Sequence[int]) -> Grid:
        """The same domain with another number of nodes per axis in space; time keeps its own."""
        return self[: self.ndim - self.space.ndim] + self.space.resized(shape)

    def every(self, stride: int) -> tuple[slice | EllipsisType, ...]:
        """An index of fields (..., *shape): every stride-th node along each axis, which are those of the same domain
        `resized` to as many. Raises InputError, which names the strides there are, if an axis has no such nodes."""
        for axis in self:
            if stride not in axis.strides:
                common = sorted(set.intersection(*(set(a.strides) for a in self)))
                raise InputError(
                    f"axis {axis.name!r}, {axis.n} {axis.nodes} nodes: a stride of {stride} leaves no {axis.nodes} "
                    f"nodes of the same interval; strides that do: {', '.join(map(str, common))}"
                )
        return (..., *(axis.every(stride) for axis in self))

    @overload
    def __getitem__(self, key: SupportsIndex) -> Axis: ...
    @overload
    def __getitem__(self, key: slice) -> Grid: ...
    def __getitem__(self, key):
        item = super().__getitem__(key)
        return Grid(item) if isinstance(key, slice) else item

    def __add__(self, other: tuple[Axis, ...]) -> Grid:  # type: ignore[override]
        return Grid((*self, *other))

    def __repr__(self) -> str:
        return (
            "Grid("
            + ", ".join(f"{a.name}: {a.n} {a.nodes} on [{a.start:g}, {a.start + a.length:g}]" for a in self)
            + ")"
        )

    def __reduce__(self) -> tuple[type[Grid], tuple[tuple[Axis, ...]]]:
        return Grid, (tuple(self),)


# torch.export refuses arguments of unknown types: a grid is a node without tensors, constant in the graph.
pytree.register_pytree_node(
    Grid,
    lambda grid: ([], tuple(grid)),
    lambda _, axes: Grid(axes),
    serialized_type_name="pdeops.grid.Grid",
    to_dumpable_context=lambda axes: [list(vars(axis).values()) for axis in axes],
    from_dumpable_context=lambda rows: tuple(Axis(*row) for row in rows),
)
