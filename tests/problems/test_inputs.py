"""Distributions of input functions: their laws, their invariants, one function on every lattice."""

from math import pi

import pytest
import torch
from scipy.special import ive

from pdeops.bases.fourier import Fourier, resample
from pdeops.grid import Axis, Grid
from pdeops.problems.inputs import Matern, McWilliams, PeriodicKernel, Spots, TaylorGreen, UnitRange
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Stepper

SMOOTH = Matern(variance=1.0, tau=5.0, alpha=4.0)
ON_LINES = [SMOOTH, PeriodicKernel(width=0.3), UnitRange(of=PeriodicKernel(width=0.3))]
ON_SQUARES = [*ON_LINES, McWilliams(peak=2.0), TaylorGreen(), Spots(count=3, width=0.3)]
EVERY = [(inputs, 1) for inputs in ON_LINES] + [(inputs, 2) for inputs in ON_SQUARES]


@pytest.mark.parametrize(("inputs", "d"), EVERY)
def test_samples_depend_on_seed_and_index_alone(inputs, d):
    space = Grid.periodic((16,) * d, 2.0)
    batch = inputs(space, range(4), 5)
    channels = 2 if isinstance(inputs, Spots) else 1
    assert batch.shape == (4, channels, *space.shape)
    assert batch.dtype == torch.float64
    assert torch.equal(inputs(space, [3, 1], 5), batch[[3, 1]])
    assert not torch.equal(inputs(space, [3], 6), batch[3:])
    assert not torch.equal(inputs(space, [5], 3), batch[3:])  # seed and index are not exchanged


@pytest.mark.parametrize(("inputs", "d"), EVERY)
def test_samples_are_the_same_function_on_every_lattice(inputs, d):
    """Their modes agree, on even and odd lattices. What McWilliams scales by includes modes that coarse ones lack."""
    low = Fourier(Grid.periodic((13,) * d, 2.0))
    coarse, odd, fine = (low.to_modes(inputs(Grid.periodic((n,) * d, 2.0), [7], 1)) for n in (32, 45, 64))
    rtol = 2e-3 if isinstance(inputs, McWilliams) else 1e-8
    for c in (coarse, odd):
        torch.testing.assert_close(c, fine, rtol=rtol, atol=1e-12)


def test_gaussian_field_on_a_non_square_box():
    g = Grid((Axis("x", 8, 2.0), Axis("y", 5, 0.25)))
    c = torch.fft.fft2(Matern(variance=2.0, tau=3.0, alpha=2.0)(g, range(4000), 0)[:, 0], norm="forward")
    k2 = (2 * pi / 2 * torch.fft.fftfreq(8, 1 / 8))[:, None] ** 2 + (2 * pi / 0.25 * torch.fft.fftfreq(5, 1 / 5)) ** 2
    ratio = c.abs().square().mean(0) / (2.0 * (k2 + 9) ** -2.0 / g.volume)
    ratio[0, 0] = 1
    assert ratio[4].abs().max() < 1e-20
    assert (ratio[[0, 1, 2, 3, 5, 6, 7]] - 1).abs().max() < 0.12


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("width", [0.2, 0.5])
def test_the_covariance_of_the_periodic_kernel(d, width):
    """amplitude^2 exp(-sum sin^2(pi d_i) / (2 width^2)) less its mean, by the spectrum and by samples."""
    kernel, space = PeriodicKernel(width=width, amplitude=3.0), Grid.periodic((16,) * d, 2.0)
    periods = space.points() / 2.0
    expected = torch.exp(-torch.sin(pi * periods).square().sum(-1) / (2 * width**2))
    expected = 9 * (expected - ive(0, 0.25 / width**2) ** d)

    modes = [k.numpy() for k in torch.meshgrid(*[torch.arange(-31, 32)] * d, indexing="ij")]
    spectrum = torch.from_numpy(kernel._spectrum(space, modes)).flatten()
    k = torch.stack([torch.from_numpy(m).flatten() for m in modes], dim=-1).double()
    spectrum[(k == 0).all(-1)] = 0
    waves = torch.cos(2 * pi * periods.reshape(-1, d) @ k.T)
    torch.testing.assert_close(9 * (waves @ spectrum).view(space.shape), expected, rtol=0, atol=1e-8)

    # translation invariant: averaged over the torus for every sample
    c = torch.fft.fftn(kernel(space, range(3000), 0)[:, 0], dim=list(range(1, d + 1)), norm="forward")
    measured = torch.fft.ifftn(c.abs().square().mean(0), norm="forward").real
    torch.testing.assert_close(measured, expected, rtol=0, atol=0.05 * float(expected.max()))


@pytest.mark.parametrize("d", [1, 2])
def test_unit_ranges(d):
    """From 0 to 1 on 256 nodes per side; an affine map of the samples within."""
    within = PeriodicKernel(width=0.3)
    inputs, space = UnitRange(of=within), Grid.periodic((256,) * d, 2.0)
    u, v = inputs(space, range(3), 0).flatten(1), within(space, range(3), 0).flatten(1)
    assert (u.amin(1) == 0).all()
    assert (u.amax(1) == 1).all()
    slope = (u[:, 1:] - u[:, :1]).norm(dim=1) / (v[:, 1:] - v[:, :1]).norm(dim=1)
    torch.testing.assert_close(u - u[:, :1], slope.view(3, 1) * (v - v[:, :1]))


@pytest.mark.parametrize(("n", "length"), [(16, 1.0), (33, 2 * pi), (64, 5.0)])
def test_mean_square_velocity_of_mcwilliams_flows(n, length):
    """<u^2 + v^2> = 1/2, from the velocities (psi_y, -psi_x), -Laplace psi = w."""
    basis = Fourier(Grid.periodic((n, n), length))
    psi = basis.to_modes(McWilliams()(basis.grid, range(3), 0)) / torch.where(basis.k2 > 0, basis.k2, torch.inf)
    square = sum(basis.to_fine(1j * k * psi).square() for k in basis.k)
    torch.testing.assert_close(square.mean((2, 3)), torch.full((3, 1), 0.5, dtype=torch.float64))


def test_spectrum_of_mcwilliams_flows():
    """The deviations 1 / (k (1 + (k / peak)^4)) of the stream function: a quotient of two modes' squares, which no
    scaling changes, has the quotient of their variances as its median."""
    w = McWilliams(peak=4.0)(Grid.periodic((24, 24), 2 * pi), range(3000), 0)
    c = torch.fft.fft2(w[:, 0], norm="forward").abs().square()
    for m in ((1, 0), (0, 2), (3, 4), (-5, 5), (10, 1)):
        k = (m[0] ** 2 + m[1] ** 2) ** 0.5
        vorticity = (k / (1 + (k / 4) ** 4)) / (2**0.5 / (1 + (2**0.5 / 4) ** 4))  # k^2 psi
        median = (c[:, m[0], m[1]] / c[:, 1, 1]).median()
        assert float(median) == pytest.approx(vorticity**2, rel=0.15)


def test_taylor_green_vortices_decay_as_they_are():
    """At exp(-2 viscosity kappa^2 t), kappa = 2 pi m / length."""
    length, viscosity, indices = 3.0, 0.02, range(4)
    problem = NavierStokes2D(
        n=32,
        length=length,
        viscosity=viscosity,
        horizon=1.0,
        frames=2,
        forcing=None,
        initial=TaylorGreen(),
        solver=Stepper(dt=0.05),
    )
    a = problem.sample(indices, 0)
    kappa = 2 * pi / length * wavenumber(a).view(-1, 1, 1, 1, 1)
    t = problem.grid[0].points().view(-1, 1, 1)
    exact = torch.exp(-2 * viscosity * kappa**2 * t) * a.unsqueeze(2)
    torch.testing.assert_close(problem.solve(a).u, exact, rtol=0, atol=1e-11)


def wavenumber(w):
    """m of w ~ cos(2 pi m x + p) cos(2 pi m y + q)."""
    c = torch.fft.rfft2(w[:, 0], norm="forward").abs()
    m = c.diagonal(dim1=1, dim2=2).argmax(1)
    top = c[torch.arange(len(m)), m, m]
    torch.testing.assert_close(c.square().sum((1, 2)), 2 * top.square())  # with (-m, m), all there is
    return m.double()


def test_taylor_green_vortices_have_unit_velocities_and_every_size():
    basis = Fourier(Grid.periodic((128, 128), 3.0))
    w = TaylorGreen(most=3)(basis.grid, range(40), 0)
    assert set(wavenumber(w).tolist()) == {1, 2, 3}
    psi = basis.to_modes(w) / torch.where(basis.k2 > 0, basis.k2, torch.inf)
    u, v = basis.to_values(1j * basis.k[1] * psi), basis.to_values(-1j * basis.k[0] * psi)
    for most in (u.abs().amax((1, 2, 3)), v.abs().amax((1, 2, 3)), (u.square() + v.square()).amax((1, 2, 3)).sqrt()):
        assert (most <= 1 + 1e-12).all()
        assert most.min() > 0.99


def test_spots():
    """u from 1/2 to 1 and v from 0 to 1/4, u + 2 v = 1; smooth across the sides."""
    inputs = Spots(count=5, width=0.2)
    coarse, fine = (inputs(Grid.periodic((n, n), 2.5), range(4), 0) for n in (64, 128))
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=0, atol=1e-14)
    torch.testing.assert_close(resample(coarse, (128, 128)), fine, rtol=0, atol=1e-6)
    u, v = fine.unbind(1)
    torch.testing.assert_close(u, 1 - 2 * v)
    assert v.min() >= 0
    assert (v.amax((1, 2)) > 0.24).all()
    assert v.max() <= 0.25
    torch.testing.assert_close(inputs(Grid.periodic((64, 64), 2 * pi), range(4), 0), coarse, rtol=0, atol=1e-13)


def test_the_size_of_a_spot():
    """The mean of exp(-sin^2(pi d) / (2 width^2)) over a period is e^-q I_0(q), q = 1 / (4 width^2)."""
    v = Spots(count=1, width=0.1)(Grid.periodic((48, 48), 2.5), range(3), 0)[:, 1]
    mean = ive(0, 25.0) ** 2
    torch.testing.assert_close(4 * v.mean((1, 2)), torch.full((3,), mean, dtype=torch.float64))
    many = Spots(count=200, width=0.2)(Grid.periodic((16, 16)), [0], 0)
    assert float(many[0, 1].min()) > 0.19  # a union, not a sum: they cover the torus
    assert float(many[0, 1].max()) <= 0.25


def test_seed_and_index_are_not_summed():
    p = NavierStokes2D(n=8)
    assert not torch.equal(p.sample([1], 0), p.sample([0], 1))
