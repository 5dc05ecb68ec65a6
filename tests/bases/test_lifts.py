"""Lifts: the conditions hold on all walls, corners included, and low polynomials come back."""

import pytest
import torch

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.expansions import Expansion
from pdeops.bases.lifts import Wall, lift, lift_of
from pdeops.bases.polynomials import DIRICHLET, NEUMANN, Condition
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

X, Y = Axis("x", 7, 2.0, "chebyshev", -0.5), Axis("y", 8, 1.5, "chebyshev", 1.0)
BOX = Grid((X, Y))
KINDS = {
    "dirichlet": (DIRICHLET, DIRICHLET),
    "neumann": (NEUMANN, NEUMANN),
    "mixed": (DIRICHLET, NEUMANN),
    "robin": (Condition(2.0, -0.5), Condition(1.0, 3.0)),
    "half_robin": (NEUMANN, Condition(0.7, 1.0)),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def ends(axis):
    return torch.tensor([axis.start, axis.start + axis.length], dtype=torch.float64)


def side(u, axes, dim, conditions):
    """alpha u + beta u' at both ends of an axis, along `dim`, by Chebyshev series."""
    basis, places = Expansion([ChebyshevSeries(a) for a in axes]), [a.points() for a in axes]
    places[dim] = ends(axes[dim])
    orders = [int(i == dim % len(axes)) for i in range(len(axes))]
    c = basis.to_modes(u)
    shape = [-1 if i == dim % len(axes) else 1 for i in range(len(axes))]
    alpha, beta = (torch.tensor(v, dtype=torch.float64).view(shape) for v in zip(*conditions, strict=True))
    return alpha * basis.at(c, *places) + beta * basis.at(c, *places, orders=orders)


def data_of(function, axis, other, conditions, dim):
    """What a smooth function has on the walls of an axis, from its values and slopes (by autograd)."""
    values = []
    for end, (alpha, beta) in zip(ends(axis), conditions, strict=True):
        at = end.clone().expand(other.n).requires_grad_()
        u = function(at, other.points()) if dim == 0 else function(other.points(), at)
        (slope,) = torch.autograd.grad(u.sum(), at)
        values.append((alpha * u + beta * slope).detach())
    return values


def smooth(x, y):
    return 0.3 * x**4 * (y - 2) ** 3 - x * (y - 1.5) ** 4 + (x * y) ** 2 / 5 + 1


@kinds
@pytest.mark.parametrize("nodes", ["chebyshev", "uniform", "cell"])
def test_one_axis(kind, nodes):
    """The lift is a polynomial of degree 1 or 2 with the wanted data."""
    axis, (first, last) = Axis("x", 11, 2.0, nodes, -0.5), KINDS[kind]
    g = lift(Grid((axis,)), {"x": (Wall(first, 1.3), Wall(last, -0.4))})
    degree = 2 if kind == "neumann" else 1
    x = axis.points()
    powers = x[:, None] ** torch.arange(degree + 1)
    p = torch.linalg.lstsq(powers, g).solution
    torch.testing.assert_close(powers @ p, g, rtol=0, atol=1e-12)
    for end, (alpha, beta), wanted in zip(ends(axis), (first, last), (1.3, -0.4), strict=True):
        k = torch.arange(degree + 1)
        value, slope = (p * end**k).sum(), (p * k * end ** (k - 1).clamp(min=0)).sum()
        assert float(alpha * value + beta * slope) == pytest.approx(wanted, abs=1e-12)


@kinds
@pytest.mark.parametrize("other", KINDS)
def test_a_box_has_its_data_on_all_walls(kind, other):
    """Those of a polynomial of degree 4 per axis; of the lift they are found by its Chebyshev series."""
    conditions = KINDS[kind], KINDS[other]
    data = [data_of(smooth, BOX[d], BOX[1 - d], conditions[d], d) for d in (0, 1)]
    walls = {
        axis.name: tuple(Wall(c, v) for c, v in zip(cs, values, strict=True))
        for axis, cs, values in zip(BOX, conditions, data, strict=True)
    }
    g = lift(BOX, walls)
    for dim in (0, 1):
        wanted = torch.stack(data[dim], dim)
        size = max(1.0, float(g.abs().max()))
        torch.testing.assert_close(side(g, BOX, dim, conditions[dim]) / size, wanted / size, rtol=0, atol=1e-12)


@kinds
def test_what_the_projectors_hold_comes_back(kind):
    """Bilinear functions: of Neumann walls those without the constant, which slopes do not see."""
    x, y = BOX.points().unbind(-1)
    u = (x - 0.5) * (y - 1.75) if kind == "neumann" else 1 + 2 * x - y + 3 * x * y
    conditions = KINDS[kind]
    walls = {}
    for dim, axis in enumerate(BOX):
        values = side(u, BOX, dim, conditions).unbind(dim)
        walls[axis.name] = tuple(Wall(c, v) for c, v in zip(conditions, values, strict=True))
    torch.testing.assert_close(lift(BOX, walls), u, rtol=0, atol=1e-12)


def test_numbers_batches_gradients_and_axes_without_walls():
    grid = Grid((Axis("x", 8), Y))
    values = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    g = lift(grid, {"y": (Wall(DIRICHLET, values), Wall(DIRICHLET, 2.0))})
    assert g.shape == (3, 8, 8)
    torch.testing.assert_close(g[..., 0], values, rtol=0, atol=1e-13)
    torch.testing.assert_close(g[..., -1], torch.full((3, 8), 2.0).double(), rtol=0, atol=1e-13)
    g[..., 0].sum().backward()
    torch.testing.assert_close(values.grad, torch.ones(3, 8).double())
    torch.testing.assert_close(lift(BOX, {}), torch.zeros(BOX.shape).double())


def test_other_nodes_keep_dirichlet_data_and_the_order_of_their_polynomials():
    grid = Grid((Axis("x", 40, 2.0, "uniform", -0.5), Axis("y", 48, 1.5, "cell", 1.0)))
    conditions = KINDS["dirichlet"], KINDS["neumann"]
    data = [data_of(smooth, grid[d], grid[1 - d], conditions[d], d) for d in (0, 1)]
    walls = {
        a.name: tuple(Wall(c, v) for c, v in zip(cs, vs, strict=True))
        for a, cs, vs in zip(grid, conditions, data, strict=True)
    }
    g = lift(grid, walls)
    torch.testing.assert_close(g[[0, -1]], torch.stack(data[0]), rtol=0, atol=1e-6)


@kinds
@pytest.mark.parametrize("other", KINDS)
def test_the_lift_of_a_function_has_its_data_and_is_a_projection(kind, other):
    x, y = BOX.points().unbind(-1)
    w, ends = torch.stack([smooth(x, y), x**3 * y]).unsqueeze(1), {"x": KINDS[kind], "y": KINDS[other]}
    g = lift_of(w, BOX, ends)
    for dim, name in enumerate("xy"):
        size = float(w.abs().max())
        mine, its = (side(v / size, BOX, dim - 2, ends[name]) for v in (g, w))
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-11)
    torch.testing.assert_close(lift_of(g, BOX, ends), g, rtol=0, atol=1e-11 * float(g.abs().max()))
    data = {name: data_of(smooth, BOX[d], BOX[1 - d], ends[name], d) for d, name in enumerate("xy")}
    given = {name: tuple(map(Wall, ends[name], data[name])) for name in "xy"}
    torch.testing.assert_close(g[0, 0], lift(BOX, given), rtol=1e-10, atol=1e-10)
    assert lift_of(w.float(), BOX, ends).dtype == torch.float32


def test_values_on_walls_are_kept_to_the_last_bit():
    w = torch.randn(2, 1, *BOX.shape)
    g = lift_of(w, BOX, {"x": (DIRICHLET, DIRICHLET)})
    assert torch.equal(g[..., [0, -1], :], w[..., [0, -1], :])


def test_mistakes_are_refused():
    zero, one = Wall(DIRICHLET), Wall(DIRICHLET, 1.0)
    with pytest.raises(InputError, match="disagree at corners, where the conditions of axis 'x'"):
        lift(BOX, {"x": (zero, zero), "y": (one, zero)})
    with pytest.raises(InputError, match="walls of axis 'z' of"):
        lift(BOX, {"z": (zero, zero)})
    with pytest.raises(InputError, match="wanted one that is not periodic"):
        lift(Grid.periodic((8,)), {"x": (zero, zero)})
    with pytest.raises(InputError, match=r"data \(7,\) on walls of axis 'x': wanted a number or \(..., 8\)"):
        lift(BOX, {"x": (Wall(DIRICHLET, torch.zeros(7)), zero)})
    two = {"x": (Wall(DIRICHLET, torch.zeros(3, 8)), zero), "y": (Wall(DIRICHLET, torch.zeros(2, 7)), zero)}
    with pytest.raises(InputError, match=r"leading axes \[\(3,\), \(2,\)\]: wanted the same of all"):
        lift(BOX, two)
    with pytest.raises(InputError, match="axis 'y' hold NaN"):
        lift(BOX, {"y": (Wall(DIRICHLET, torch.full((7,), torch.nan)), zero)})
    with pytest.raises(InputError, match="wanted alpha beta <= 0 there"):
        lift(BOX, {"x": (Wall(Condition(1, 1)), zero)})
