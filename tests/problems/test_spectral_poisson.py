"""Poisson's equation by spectral methods: exact solutions, spectral convergence, and its residual."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.spectral_poisson import SpectralPoisson

WALLED = {"nodes": "chebyshev", "source": GaussianProcess(width=0.2)}


@pytest.mark.parametrize("length", [1.0, 2.5])
@pytest.mark.parametrize("n", [16, 17])
def test_waves_on_a_torus_are_divided_by_their_symbol(n, length):
    p = SpectralPoisson(n=n, length=length)
    x, y = p.grid.points().unbind(-1)
    k = 2 * torch.pi / length
    u = torch.sin(k * x) * torch.cos(2 * k * y)
    solution = p.solve((5 * k**2 * u + 3)[None, None])  # a mean has no solution and is left out
    torch.testing.assert_close(solution.u[0, 0], u, atol=1e-13, rtol=0)


def test_between_walls_it_converges_faster_than_any_power():
    errors = []
    for n in (12, 16, 24):
        p = SpectralPoisson(n=n, length=2.0, **WALLED)
        x, y = p.grid.points().unbind(-1)
        u = torch.sin(torch.pi * x) * torch.sin(torch.pi * y / 2) * torch.exp(x)
        # -Laplace u, with (sin(pi x) e^x)'' = ((1 - pi^2) sin(pi x) + 2 pi cos(pi x)) e^x
        f = (
            -torch.sin(torch.pi * y / 2)
            * torch.exp(x)
            * ((1 - torch.pi**2) * torch.sin(torch.pi * x) + 2 * torch.pi * torch.cos(torch.pi * x))
            + (torch.pi / 2) ** 2 * u
        )
        solution = p.solve(f[None, None])
        assert solution.converged.all()
        errors.append(float((solution.u[0, 0] - u).abs().max()))
    assert errors[0] > 1e-7
    assert errors[1] < 1e-3 * errors[0]
    assert errors[2] < 1e-11


@pytest.mark.parametrize("options", [{}, WALLED], ids=["torus", "walls"])
def test_the_residual_vanishes_at_solutions_alone(options):
    p = SpectralPoisson(n=24, **options)
    a = p.sample([0, 3], 1)
    u = p.solve(a).u
    scale = float(a.abs().max())
    assert p.residual(a, u, p.grid).abs().max() < 1e-9 * scale
    zero = p.residual(a, torch.zeros_like(u), p.grid)
    torch.testing.assert_close(zero[..., 1:-1, 1:-1], a[..., 1:-1, 1:-1])  # f - A 0
    bad = (u + 0.1).requires_grad_()
    r = p.residual(a, bad, p.grid)
    r.square().sum().backward()
    assert bad.grad.isfinite().all()
    if options:
        torch.testing.assert_close(r[..., 0, :].detach(), torch.full_like(r[..., 0, :], -0.1))


def test_solutions_fulfil_their_conditions():
    torus, walled = SpectralPoisson(n=16), SpectralPoisson(n=16, **WALLED)
    for p in (torus, walled):
        u = p.solve(p.sample([0], 0)).u
        torch.testing.assert_close(p.constrain(u, u, p.grid), u)
        assert not torch.allclose(p.constrain(u, u + 1, p.grid), u + 1)
    assert abs(float(torus.solve(torus.sample([0], 0)).u.mean())) < 1e-15


def test_the_same_sample_on_two_lattices_has_the_same_solution():
    coarse, fine = SpectralPoisson(n=33, **WALLED), SpectralPoisson(n=65, **WALLED)
    u, v = (p.solve(p.sample([2], 0)).u for p in (coarse, fine))
    torch.testing.assert_close(v[..., ::2, ::2], u, atol=1e-6 * float(u.abs().max()), rtol=0)  # corners are singular


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match=r"problem\.nodes='cell'; wanted one of"):
        SpectralPoisson(nodes="cell")
    with pytest.raises(InputError, match=r"problem\.n=2"):
        SpectralPoisson(n=2)
    p = SpectralPoisson(n=8)
    with pytest.raises(InputError, match="the residual is formed on"):
        p.residual(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), Grid.periodic((8, 8), 2.0))


def test_no_source_no_solution():
    for p in (SpectralPoisson(n=16), SpectralPoisson(n=16, **WALLED)):
        solution = p.solve(torch.zeros(1, 1, 16, 16))
        assert not solution.u.any()
        assert solution.converged.all()
