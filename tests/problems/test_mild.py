"""The mild residual: of solutions, of errors put in, against the strong residual, on polynomials and on frames."""

from math import pi

import pytest
import torch

from pdeops.bases.differences import differentiation_matrix
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.residual import Residual
from pdeops.norms import Lp
from pdeops.problems.diffusion_reaction import DiffusionReaction
from pdeops.problems.kdv import KortewegDeVries
from pdeops.problems.mild import MildResidual
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.solvers.steppers import Stepper
from pdeops.window import Batch, Window

RD = ReactionDiffusion(n=32, frames=8, solver=Stepper(dt=0.01))
SPACE = RD.grid.space


def times(n):
    return Grid([Axis("time", n, 1.0, "chebyshev"), *SPACE])


def solution(problem, a, grid):
    """On any times, by the stepper."""
    return problem.flow(a, a[:, : len(problem.out_names)], grid[0].points())[0]


def bent(grid, degree, harmonic):
    """t^degree cos(2 pi k x)"""
    t, x = grid.points().unbind(-1)
    return (t**degree * torch.cos(2 * pi * harmonic * x))[None, None]


def test_it_vanishes_on_solutions_as_fast_as_polynomials_converge():
    a, found = RD.sample([0, 1], 0), []
    for n in (8, 16, 32):
        grid = times(n)
        e = MildResidual(RD)(a, solution(RD, a, grid), grid)
        found.append(float(e.abs().max()))
    assert found[0] > 100 * found[1] > 2000 * found[2]
    assert found[2] < 2e-7


def test_of_a_linear_equation_it_is_the_error():
    """u_t = nu u_xx, whose solutions are none of the polynomials: e(v) - e(w) = v - w for v, w that start alike."""
    heat, grid, a = ReactionDiffusion(n=32, frames=8, rate=0.0), times(12), RD.sample([0], 0)
    mild = MildResidual(heat)
    v = a.unsqueeze(2).expand(-1, -1, 12, -1)
    error = 0.3 * bent(grid, 7, 5) - bent(grid, 1, 0)
    torch.testing.assert_close(mild(a, v + error, grid) - mild(a, v, grid), error, rtol=0, atol=1e-12)


def test_it_is_the_strong_residual_solved():
    """e_t - A e = r, e(0) = 0, A = nu d^2/dx^2 where L = 5 + nu d^2/dx^2: in a basis of polynomials that holds e."""
    grid = times(24)
    a = 0.5 + 0.2 * torch.cos(2 * pi * SPACE.points()[None, None, :, 0])
    u = a.unsqueeze(2) + bent(grid, 2, 1) - 0.1 * bent(grid, 5, 3)
    e = MildResidual(RD)(a, u, grid)
    matrix = differentiation_matrix(grid[0].points(), 23)
    strong = RD.residual(a, u, grid)  # on chebyshev times of the polynomial
    modes = -RD.diffusivity * (2 * pi * torch.arange(17)) ** 2
    c = torch.fft.rfft(e)
    again = torch.einsum("st,bctk->bcsk", matrix.to(c.dtype), c) - modes * c
    torch.testing.assert_close(torch.fft.irfft(again), strong, rtol=0, atol=1e-6)
    assert e[:, :, 0].abs().max() < 1e-14


@pytest.mark.parametrize("problem", [
    NavierStokes2D(n=16, horizon=1.0, frames=40, viscosity=1e-2, solver=Stepper(dt=0.005)),
    KortewegDeVries(n=32, horizon=0.02, frames=40, solver=Stepper(dt=1e-4, tolerance=1e-2)),
])  # fmt: skip
def test_frames_and_polynomials_agree(problem):
    """Of a wrong trajectory: the true one, with an error that grows and one outside of the basis."""
    a = problem.sample([0], 0)
    period = problem.horizon
    found = []
    for nodes, n in (("chebyshev", 16), ("uniform", 41)):
        grid = Grid([Axis("time", n, period, nodes), *problem.grid.space])
        t = (grid[0].points() / period).view(-1, *(1,) * (grid.ndim - 1))
        x = problem.grid.space.points()[..., 0] / problem.grid.space[0].length
        wave = torch.cos(2 * pi * x) + 0.3 * torch.cos(pi * problem.n * x)
        u = solution(problem, a, grid) + 0.1 * a.std() * (t**2 * wave)
        found.append(Lp(grid)(MildResidual(problem)(a, u, grid)))
    assert float(found[0]) > 1e-2 * float(a.std()) * period**0.5
    torch.testing.assert_close(*found, rtol=2e-3, atol=0)


def test_walls_have_a_real_spectrum():
    """Diffusion and reaction between walls, on polynomials and on frames."""
    problem = DiffusionReaction(n=24, frames=8, diffusivity=0.1, rate=2.0, solver=Stepper(dt=0.002))
    a = problem.sample([0, 1], 0)
    for axis in (Axis("time", 20, 0.5, "chebyshev"), Axis("time", 60, 0.5, "uniform")):
        grid = Grid([axis, *problem.grid.space])
        u, mild = solution(problem, a, grid), MildResidual(problem)
        assert mild(a, u, grid).abs().max() < 1e-5 * u.abs().max()
        assert mild(a, 1.1 * u, grid).abs().max() > 0.05 * u.abs().max()


def test_what_is_outside_of_the_basis_should_vanish():
    """A Nyquist wave upon a steady state is its own residual."""
    grid, a = times(8), torch.ones(1, 1, 32, dtype=torch.float64)
    wave = 0.1 * bent(grid, 1, 16)
    torch.testing.assert_close(MildResidual(RD)(a, 1 + wave, grid), wave, rtol=0, atol=1e-12)


def test_known_frames_have_no_error():
    heat = ReactionDiffusion(n=32, frames=8, rate=0.0, solver=Stepper(dt=0.01))
    window = Window(n_in=3, n_out=6, history="time").on(heat.grid, ("u",), ())
    u = heat.solve(heat.sample([0], 0)).u
    batch = Batch(window.make_input(u[:, :, :3]))
    loss = Residual(window, problem=heat, mild=True)
    assert float(loss(u[:, :, 3:], batch)) < 1e-12
    later = window.frames_grid(9)[0].weights()[3:].sum()
    assert float(loss(u[:, :, 3:] + 0.1, batch)) == pytest.approx(0.1 * float(later) ** 0.5)


def test_s_is_that_of_the_solved_residual():
    window = Window(n_out=8, history="time").on(RD.grid, ("u",), ())
    grid = times(12)
    a = torch.full((1, 1, 1, 32), 1.0, dtype=torch.float64)  # a steady state
    u = 1 + 1e-4 * bent(grid, 2, 3)
    losses = [
        Residual(window, problem=RD, mild=True, s=s, collocation=grid)(u, Batch(a, out=grid)) for s in (None, 0, 1)
    ]
    assert losses[0] == losses[1]
    assert float(losses[2] / losses[1]) == pytest.approx((1 + (6 * pi) ** 2) ** 0.5, rel=1e-2)


def test_what_is_refused():
    with pytest.raises(InputError, match="evolution equations"):
        MildResidual(SpectralPoisson())
    with pytest.raises(InputError, match="diffusivity"):
        MildResidual(ReactionDiffusion(n=16, diffusivity=[0.01, 0.1]))
