"""Proper orthogonal decomposition."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.pod import pod

GRID = Grid([Axis("x", 9, 2.0, "chebyshev"), Axis("y", 6)])


def inner(u, v, grid=GRID):
    """int sum_c u_c v_c, of (..., C, *n)."""
    return (u * v * grid.weights()).flatten(-3).sum(-1)


@pytest.mark.parametrize("count", [12, 500])
def test_coefficients_of_the_fields_are_white(count):
    """Fewer fields than values, and more."""
    torch.manual_seed(1)
    fields = torch.randn(count, 2, 9, 6, dtype=torch.float64).cumsum(-2) + 3
    mean, functions = pod(fields, GRID, 5)
    torch.testing.assert_close(mean, fields.mean(0))
    phi = functions.movedim(-1, 0)
    sigma2 = inner(phi, phi)
    torch.testing.assert_close(inner(phi[:, None], phi[None]), torch.diag(sigma2), rtol=1e-9, atol=1e-9)
    assert (sigma2.diff() < 0).all()
    c = inner((fields - mean)[:, None], phi) / sigma2
    torch.testing.assert_close(c.mean(0), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(c.mT @ c / count, torch.eye(5, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_they_hold_most_of_the_fields():
    """The best of all subspaces: what is left over are the other variances."""
    fields = torch.randn(20, 2, 9, 6, dtype=torch.float64)
    mean, every = pod(fields, GRID, 19)
    sigma2 = inner(every.movedim(-1, 0), every.movedim(-1, 0))
    phi = every[..., :4].movedim(-1, 0)
    c = inner((fields - mean)[:, None], phi) / sigma2[:4]
    left = fields - mean - torch.einsum("nk,k...->n...", c, phi)
    torch.testing.assert_close(inner(left, left).mean(), sigma2[4:].sum())


def test_the_same_functions_on_every_lattice():
    """By the quadrature weights: on clustered nodes and on equal ones."""
    grids = [Grid([Axis("x", n, 2.0, nodes), Axis("y", 32)]) for n, nodes in ((33, "chebyshev"), (400, "cell"))]
    spectra = []
    for grid in grids:
        torch.manual_seed(2)
        x, y = (2 * torch.pi * grid.points()).unbind(-1)
        waves = torch.stack([(x / 4).cos(), (x / 4).sin() * y.cos(), x * y.sin(), 0.1 * (x / 4) ** 3])
        fields = torch.einsum("nk,kij->nij", torch.randn(30, 4, dtype=torch.float64), waves).unsqueeze(1)
        functions = pod(fields, grid, 4).functions.movedim(-1, 0)
        spectra.append(inner(functions, functions, grid))
    torch.testing.assert_close(*spectra, rtol=1e-4, atol=0)


def test_what_fields_cannot_tell_is_refused():
    with pytest.raises(InputError, match=r"model.features=5: 5 training outputs, .* have at most 4 functions"):
        pod(torch.randn(5, 1, 9, 6), GRID, 5)
    with pytest.raises(InputError, match=r"fields of shape \(8, 1, 9, 7\)"):
        pod(torch.randn(8, 1, 9, 7), GRID, 5)
