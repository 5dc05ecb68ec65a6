"""Face coefficients: by their formulas, one by one, and by exact solutions."""

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.solvers.faces import conductances, exchange
from pdeops.solvers.volumes import FiniteVolumes

K = torch.tensor([[1.0, 4.0, 2.0, 8.0]], dtype=torch.float64)
H, L = {"harmonic": [1.6, 8 / 3, 3.2], "arithmetic": [2.5, 3.0, 5.0]}, 2.0


@pytest.mark.parametrize("mean", H)
@pytest.mark.parametrize(
    ("nodes", "bc", "ends"),
    [
        ("cell", "dirichlet", (2.0, 16.0)),
        ("cell", "neumann", (0, 0)),
        ("uniform", "neumann", (0, 0)),
        ("uniform", "dirichlet", ()),
    ],
)
def test_means_between_neighbours_and_towards_the_ends(mean, nodes, bc, ends):
    axis = Axis("x", 4, L, nodes, bc=bc)
    h = L / (3 if nodes == "uniform" else 4)
    wanted = [*ends[:1], *H[mean], *ends[1:]]
    (faces,) = conductances(K, Grid((axis,)), mean)
    torch.testing.assert_close(faces, torch.tensor([wanted], dtype=torch.float64) / h**2)


def test_a_periodic_axis_closes():
    (faces,) = conductances(K, Grid((Axis("x", 4, L),)))
    wrap = 2 * 8 * 1 / 9
    torch.testing.assert_close(faces[0] * 0.25, torch.tensor([wrap, *H["harmonic"], wrap], dtype=torch.float64))


def test_faces_at_walls_of_uniform_nodes_are_half_as_large():
    grid = Grid((Axis("x", 5, 1.0, "uniform", bc="dirichlet"), Axis("y", 4, 3.0, "uniform", bc="neumann")))
    along_x, along_y = conductances(torch.ones(2, 5, 4, dtype=torch.float64), grid)
    assert along_x.shape == (2, 4, 4)
    assert along_y.shape == (2, 3, 5)
    torch.testing.assert_close(along_x[0, 0], 16 * torch.tensor([0.5, 1, 1, 0.5], dtype=torch.float64))
    torch.testing.assert_close(along_y[0, 0], torch.tensor([0.0, 1, 1, 1, 0], dtype=torch.float64))


def test_means_do_not_touch_their_input_and_are_refused_by_name():
    k = K.clone()
    conductances(k, Grid((Axis("x", 4, nodes="cell", bc="dirichlet"),)))
    assert torch.equal(k, K)
    with pytest.raises(InputError, match=r"problem\.mean='geometric'; wanted one of \('harmonic', 'arithmetic'\)"):
        conductances(K, Grid((Axis("x", 4),)), "geometric")


PECLET = torch.tensor([-30.0, -2.0, -1e-3, -1e-7, 0.0, 1e-9, 0.5, 3.0, 700.0], dtype=torch.float64)


@pytest.mark.parametrize("fluxes", ["exponential", "upwind", "central"])
def test_fluxes_differ_by_the_transport_and_are_mirrored(fluxes):
    forward, backward = exchange(torch.full_like(PECLET, 2.0), PECLET, fluxes)
    torch.testing.assert_close(forward - backward, 2 * PECLET)  # a constant is carried by v alone
    mirrored = exchange(torch.full_like(PECLET, 2.0), -PECLET, fluxes)
    assert torch.equal(mirrored[0], backward)
    assert torch.equal(mirrored[1], forward)


def test_damping_of_each_kind_of_flux():
    one = torch.ones(9, dtype=torch.float64)
    size = PECLET.abs().numpy()
    with np.errstate(all="ignore"):
        exact = np.where(size > 1e-5, size / np.expm1(np.maximum(size, 1e-5)), 1 - size / 2)
    for fluxes, damped in (("exponential", exact), ("upwind", np.ones(9)), ("central", 1 - size / 2)):
        smaller = torch.minimum(*exchange(one, PECLET, fluxes)).numpy()
        np.testing.assert_allclose(smaller, damped, rtol=1e-12, atol=1e-15)
    with pytest.raises(InputError, match=r"problem\.fluxes='hybrid'; wanted one of"):
        exchange(one, PECLET, "hybrid")


@pytest.mark.parametrize("velocity", [-40.0, -0.3, 0.0, 2.0, 90.0])
def test_exponential_fluxes_are_exact_in_one_dimension(velocity):
    """v u' - D u'' = 0 between two values: (exp(v x / D) - 1) / (exp(v / D) - 1), on any lattice."""
    n, d = 12, 0.7
    axis = Axis("x", n, nodes="uniform", bc="dirichlet")
    errors = {}
    for fluxes in ("exponential", "upwind", "central"):
        faces = conductances(torch.full((1, n), d, dtype=torch.float64), Grid((axis,)))[0]
        pair = exchange(faces, torch.full_like(faces, velocity / (n - 1) / d), fluxes)
        operator = FiniteVolumes(Grid((axis,)), pair[:1], pair[1:])
        b = operator.inflow(0, 2.0, 5.0)[0].numpy()
        u = np.linalg.solve(operator.matrix().toarray(), b)
        x = axis.points()[1:-1].numpy()
        p = velocity / d
        rise = np.expm1(p * x) / np.expm1(p) if p else x
        errors[fluxes] = abs(u - (2 + 3 * rise)).max()
    assert errors["exponential"] < 1e-11
    assert velocity == 0 or errors["upwind"] > 1e-3 * abs(velocity) / 10 or errors["central"] > 1e-4
