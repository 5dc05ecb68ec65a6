"""Finite-volume operators: against matrices written down entry by entry, and by their conservation laws."""

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.solvers.volumes import FiniteVolumes, areas, ends, inner, placed, spacing, unknowns, volumes

MIXED = Grid((Axis("x", 5, nodes="uniform", bc="dirichlet"), Axis("y", 4, nodes="cell", bc="neumann"), Axis("z", 3)))


def random_operator(grid, batch=2, reaction=True, symmetric=False):
    torch.manual_seed(1)
    shape = unknowns(grid)

    def faces():
        out = []
        for d, axis in enumerate(grid):
            f = torch.rand(batch, *shape[:d], shape[d] + 1, *shape[d + 1 :], dtype=torch.float64)
            if axis.periodic:
                f.select(d + 1, -1).copy_(f.select(d + 1, 0))
            out.append(f)
        return tuple(out)

    forward = faces()
    return FiniteVolumes(
        grid,
        forward,
        forward if symmetric else faces(),
        torch.rand(batch, *shape, dtype=torch.float64) if reaction else None,
    )


def by_hand(operator, sample):
    """The matrix, unknown by unknown and face by face."""
    shape = operator.shape
    out = np.zeros((operator.size, operator.size))
    number = np.arange(operator.size).reshape(shape)
    for place in np.ndindex(*shape):
        row = number[place]
        if operator.reaction is not None:
            out[row, row] += operator.reaction[(sample, *place)]
        for d, axis in enumerate(operator.grid):
            for step in (0, 1):
                face = list(place)
                face[d] += step
                forward, backward = (float(f[d][(sample, *face)]) for f in (operator.forward, operator.backward))
                other = list(place)
                other[d] += 2 * step - 1
                if axis.periodic:
                    other[d] %= shape[d]
                # the flux out of the upper face is forward u - backward other, out of the lower one the reverse
                out[row, row] += forward if step else backward
                if 0 <= other[d] < shape[d]:
                    out[row, number[tuple(other)]] -= backward if step else forward
    return out


@pytest.mark.parametrize("reaction", [True, False])
def test_products_and_matrices_are_those_written_down_by_hand(reaction):
    operator = random_operator(MIXED, reaction=reaction)
    u = torch.randn(2, *operator.shape, dtype=torch.float64)
    for i in range(2):
        matrix = by_hand(operator, i)
        np.testing.assert_allclose(operator.matrix(i).toarray(), matrix, atol=1e-14)
        np.testing.assert_allclose(operator.apply(u)[i].flatten(), matrix @ u[i].flatten().numpy(), atol=1e-13)
        np.testing.assert_allclose(operator.diagonal[i].flatten(), np.diag(matrix), atol=1e-14)
        np.testing.assert_allclose(operator[[i]].apply(u[i]).flatten(), matrix @ u[i].flatten().numpy(), atol=1e-13)
    assert np.array_equal(operator.values[1], operator.matrix(1).data)


def test_equal_faces_are_a_symmetric_matrix():
    operator = random_operator(MIXED, symmetric=True)
    assert operator.symmetric
    assert operator[:1].symmetric
    assert not random_operator(MIXED).symmetric
    np.testing.assert_allclose(operator.matrix().toarray(), operator.matrix().toarray().T)


def test_values_outside_move_to_the_right_hand_side():
    grid = Grid((Axis("x", 6, nodes="cell", bc="dirichlet"), Axis("y", 3, nodes="cell", bc="dirichlet")))
    operator = random_operator(grid, batch=1, reaction=False)
    below, above = torch.randn(1, 1, 3, dtype=torch.float64), torch.randn(1, 1, 3, dtype=torch.float64)
    u = torch.randn(1, 6, 3, dtype=torch.float64)
    # the same with the outside values as unknowns of a box that is longer by one on each side
    extended = torch.cat([below, u, above], dim=1)
    flux = operator.forward[0] * extended[:, :-1] - operator.backward[0] * extended[:, 1:]
    alone = FiniteVolumes(
        grid,
        (operator.forward[0], torch.zeros(1, 6, 4, dtype=torch.float64)),
        (operator.backward[0], torch.zeros(1, 6, 4, dtype=torch.float64)),
    )
    torch.testing.assert_close(torch.diff(flux, dim=1), alone.apply(u) - alone.inflow(0, below, above))


def test_the_geometry_of_each_kind_of_axis():
    cell, uniform = (
        Axis("x", 8, length=2.0, nodes="cell", bc="dirichlet"),
        Axis("y", 9, length=2.0, nodes="uniform", bc="neumann"),
    )
    pinned = Axis("z", 9, length=2.0, nodes="uniform", bc="dirichlet")
    assert [spacing(a) for a in (cell, uniform, pinned)] == [0.25] * 3
    assert [ends(a) for a in (cell, uniform, pinned)] == [0.5, np.inf, 1.0]
    grid = Grid((cell, uniform, pinned))
    assert unknowns(grid) == (8, 9, 7)
    # the volumes around unknowns fill the box, but for the half cells at pinned ends
    assert float(volumes(grid).sum()) * 0.25**3 == pytest.approx(2 * 2 * (2 - 0.25))
    assert areas(grid, 1).shape == (8, 1, 7)
    u = torch.randn(2, 1, *grid.shape)
    x = inner(u, grid)
    torch.testing.assert_close(placed(x, grid, u), u)
    assert not placed(x, grid)[..., 0].any()


def test_walls_conserve():
    grid = Grid((Axis("x", 5, nodes="cell", bc="neumann"), Axis("y", 4)))
    operator = random_operator(grid, reaction=False)
    for f in (operator.forward[0], operator.backward[0]):
        f[:, [0, -1]] = 0
    u = torch.randn(2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(
        operator.apply(u).flatten(1).sum(1), torch.zeros(2, dtype=torch.float64), atol=1e-13, rtol=0
    )


def test_gradients_pass():
    operator = random_operator(MIXED, batch=1)
    u = torch.randn(1, *operator.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(operator.apply, u)


def test_bad_shapes_are_named():
    grid = Grid((Axis("x", 5, nodes="cell"),))
    with pytest.raises(InputError, match=r"faces along axis 0 of shape \(1, 5\); wanted \(1, 6\)"):
        FiniteVolumes(grid, (torch.zeros(1, 5),), (torch.zeros(1, 5),))
    good = torch.zeros(1, 6)
    with pytest.raises(InputError, match="a reaction of shape"):
        FiniteVolumes(grid, (good,), (good,), torch.zeros(1, 6))
    with pytest.raises(InputError, match="finite volumes need periodic, cell or uniform nodes; got chebyshev"):
        spacing(Axis("x", 5, nodes="chebyshev"))
    with pytest.raises(InputError, match="leaves no unknown"):
        spacing(Axis("x", 2, nodes="uniform", bc="dirichlet"))
