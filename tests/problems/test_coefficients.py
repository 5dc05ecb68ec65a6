"""Coefficient fields: their laws, their formulas, one function on every lattice."""

from itertools import product
from math import pi

import numpy as np
import pytest
import scipy.fft
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.coefficients import (
    FromTorus,
    LogNormal,
    MultiscaleTrigonometric,
    NeumannMatern,
    TwoPhase,
    WaveSpeed,
)
from pdeops.problems.inputs import Matern, PeriodicKernel, TaylorGreen, matern_sum
from pdeops.problems.processes import GaussianProcess

SMOOTH = NeumannMatern(tau=3.0, alpha=6.0, amplitude=400.0)
FINITE = NeumannMatern(tau=3.0, alpha=2.0, amplitude=3.0, terms=20)


def box(shape, nodes="cell", length=1.0, start=0.0, bc=None):
    return Grid(
        Axis(name, n, length * (1 + i / 2), nodes, start, bc)
        for i, (name, n) in enumerate(zip("xyz", shape, strict=False))
    )


ANYWHERE = [
    SMOOTH,
    FINITE,
    NeumannMatern(zero_mean=False),
    LogNormal(of=NeumannMatern(), scale=0.5),
    LogNormal(of=NeumannMatern(), standardise=True),
    TwoPhase(),
    TwoPhase(of=FINITE, smoothness=0.2),
    WaveSpeed(of=FINITE),
    GaussianProcess(width=0.5),
]
ON_PLANES = [MultiscaleTrigonometric(), FromTorus(of=PeriodicKernel(width=0.4))]
EVERY = [*product(ANYWHERE, (1, 2, 3)), *((law, 2) for law in ON_PLANES)]


@pytest.mark.parametrize(("law", "d"), EVERY, ids=str)
@pytest.mark.parametrize("nodes", ["cell", "uniform"])
def test_samples_depend_on_seed_and_index_alone(law, d, nodes):
    space = box((9, 8, 5)[:d], nodes)
    batch = law(space, range(4), 5)
    assert batch.shape == (4, 1, *space.shape)
    assert batch.dtype == torch.float64
    assert torch.equal(law(space, [3, 1], 5), batch[[3, 1]])
    assert len({tuple(u.flatten().tolist()) for u in torch.cat([batch, law(space, [3], 6), law(space, [5], 3)])}) > 4


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_finite_series_is_one_function_on_every_lattice(d):
    """Cell centres of n cells are nodes of 2 n + 1 uniform ones; those of 3 n cells include them; so do boundaries."""
    shape = {1: (24,), 2: (8, 9), 3: (8, 9, 7)}[d]
    for law in (
        FINITE,
        LogNormal(of=FINITE, standardise=True),
        TwoPhase(of=FINITE, smoothness=0.1),
        WaveSpeed(of=FINITE),
    ):
        cells = law(box(shape), [2, 3], 1)
        uniform = law(box([2 * n + 1 for n in shape], "uniform", bc="dirichlet"), [2, 3], 1)
        threefold = law(box([3 * n for n in shape], bc="neumann"), [2, 3], 1)
        moved = law(box(shape, start=2.0), [2, 3], 1)
        for other, cut in ((uniform, slice(1, None, 2)), (threefold, slice(1, None, 3)), (moved, slice(None))):
            torch.testing.assert_close(other[(..., *(cut,) * d)], cells, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "law",
    [SMOOTH, GaussianProcess(width=0.4), MultiscaleTrigonometric(), FromTorus(of=PeriodicKernel(width=0.5))],
    ids=str,
)
def test_smooth_samples_are_one_function_on_every_lattice(law):
    cells = law(box((24, 24)), [2, 3], 1)
    uniform = law(box((49, 49), "uniform"), [2, 3], 1)
    odd = law(box((72, 74)), [2, 3], 1)
    torch.testing.assert_close(uniform[..., 1::2, 1::2], cells, rtol=0, atol=1e-4)
    torch.testing.assert_close(odd[..., 1::3, :], law(box((24, 74)), [2, 3], 1), rtol=0, atol=1e-4)


def coefficients(u):
    """Of the cosine series that takes values (..., n, m) at cell centres."""
    c = scipy.fft.dctn(u.numpy(), axes=(-2, -1)) / (u.shape[-1] * u.shape[-2])
    c[..., 0, :] /= 2
    c[..., 0] /= 2
    return torch.from_numpy(c)


def test_rough_samples_differ_in_the_modes_that_lattices_lack():
    few, many = (coefficients(NeumannMatern()(box(shape), [4], 0)) for shape in ((8, 11), (17, 30)))
    torch.testing.assert_close(many[..., :8, :11], few, rtol=0, atol=1e-14)
    assert many[..., 8:, :].abs().min() > 0
    first = coefficients(NeumannMatern(terms=20)(box((17, 30)), [4], 0))[0, 0]
    kept = first.abs() > 1e-13
    assert int(kept.sum()) == 20  # by |k|^2: 19 of at most 18, and one of the two of 20
    assert {(int(k), int(l)) for k, l in kept.nonzero() if k * k + l * l > 18} == {(2, 4)}
    torch.testing.assert_close(first[kept], many[0, 0][kept], rtol=0, atol=1e-14)


@pytest.mark.parametrize("alpha", [2.0, 3.0])
def test_the_published_generator(alpha):
    """idct2 of s tau^(alpha-1) (pi^2 |k|^2 + tau^2)^(-alpha/2) xi without k = 0, in terms of the same xi."""
    s, tau = 16, 3.0
    space = Grid(Axis(name, s, 1.0, "cell") for name in "xy")
    u = NeumannMatern(tau=tau, alpha=alpha, amplitude=tau ** (alpha - 1))(space, [0], 0)[0, 0].numpy()
    k1, k2 = np.meshgrid(np.arange(s), np.arange(s), indexing="ij")
    scale = s * tau ** (alpha - 1) * (pi**2 * (k1**2 + k2**2) + tau**2) ** (-alpha / 2)
    xi = scipy.fft.dctn(u, norm="ortho") / scale
    assert abs(xi[0, 0]) < 1e-12
    drawn = np.random.default_rng([0, 0]).standard_normal(s * s)
    xi[0, 0] = drawn[0]
    np.testing.assert_allclose(np.sort(xi.ravel()), np.sort(drawn), atol=1e-10)
    assert xi[0, 1] == pytest.approx(drawn[1])
    assert xi[1, 0] == pytest.approx(drawn[2])


@pytest.mark.parametrize("nodes", ["cell", "uniform"])
@pytest.mark.parametrize(("shape", "zero_mean"), [((7,), False), ((6, 5), True), ((4, 3, 3), False)])
def test_the_covariance_is_that_of_the_series(shape, zero_mean, nodes):
    law = NeumannMatern(tau=2.0, alpha=2.0, amplitude=1.5, zero_mean=zero_mean)
    space, samples = box(shape, nodes, length=0.8, start=1.0), 6000
    u = law(space, range(samples), 0).flatten(1)
    x = (space.points() - 1.0).reshape(-1, space.ndim)
    exact = torch.zeros(len(x), len(x), dtype=torch.float64)
    for k in np.ndindex(*shape):
        if zero_mean and not any(k):
            continue
        phi, kappa2 = torch.ones(len(x), dtype=torch.float64), 0.0
        for axis, k_i, x_i in zip(space, k, x.T, strict=True):
            phi = phi * (2 if k_i else 1) ** 0.5 / axis.length**0.5 * torch.cos(pi * k_i * x_i / axis.length)
            kappa2 += (pi * k_i / axis.length) ** 2
        exact += 1.5**2 * (kappa2 + 4) ** -2.0 * torch.outer(phi, phi)
    variance = exact.diagonal()
    bound = 5 * (torch.outer(variance, variance) + exact.square()).sqrt() / samples**0.5
    assert ((u.mT @ u / samples - exact).abs() < bound).all()


@pytest.mark.parametrize("lengths", [(1.0,), (1.0, 1.0), (0.5, 2.0), (1.0, 0.7, 1.3)])
@pytest.mark.parametrize("tau", [0.0, 3.0])
def test_sums_of_the_spectrum(lengths, tau):
    """Against direct sums, whose rest falls like n^(d - 2 alpha), and in closed form."""
    d, alpha = len(lengths), 4.0
    n = 40 if d == 3 else 200
    for both_signs in (False, True):
        k = np.arange(-n if both_signs else 0, n + 1)
        k2 = sum(np.ix_(*((pi * k / length) ** 2 for length in lengths))) + tau**2
        k2[(n if both_signs else 0,) * d] = np.inf
        direct = (k2**-alpha).sum()
        assert matern_sum(lengths, tau, alpha, both_signs=both_signs) == pytest.approx(direct, rel=3e-8)
    # sum over k > 0 of (k^2 + (tau / pi)^2)^-1 = (tau coth(tau) - 1) / (2 (tau / pi)^2)
    if d == 1 and tau:
        assert matern_sum(lengths, tau, 1.0) == pytest.approx((tau / np.tanh(tau) - 1) / (2 * tau**2), rel=1e-10)
    with pytest.raises(InputError, match="infinite"):
        matern_sum(lengths, tau, d / 2)


@pytest.mark.parametrize(
    "law",
    [
        NeumannMatern(amplitude=2.0),
        NeumannMatern(terms=7, tau=1.0, zero_mean=False),
        FINITE,
        GaussianProcess(width=0.3, amplitude=1.5),
        FromTorus(of=Matern(variance=2.0, tau=5.0, alpha=2.5, amplitude=4.0)),
        FromTorus(of=PeriodicKernel(width=0.3, amplitude=2.0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("d", [1, 2])
def test_deviations(law, d):
    """Root mean squares over samples and the box; the same on every lattice."""
    space = box((48, 49)[:d], length=1.2)
    u = law(space, range(600), 0)
    assert law.deviation(space) == law.deviation(box((9, 8)[:d], "uniform", length=1.2))
    assert float(u.square().mean().sqrt()) == pytest.approx(law.deviation(space), rel=0.08)


def test_log_normal_fields():
    space, g = box((10, 12)), NeumannMatern(amplitude=2.0)
    u = g(space, range(3), 0)
    torch.testing.assert_close(LogNormal(of=g, scale=0.7)(space, range(3), 0), torch.exp(0.7 * u))
    standard = LogNormal(of=g, scale=0.7, standardise=True)
    torch.testing.assert_close(standard(space, range(3), 0), torch.exp(0.7 * u / g.deviation(space)))
    torch.testing.assert_close(
        standard(space, range(3), 0),
        LogNormal(of=NeumannMatern(), scale=0.7, standardise=True)(space, range(3), 0),
    )
    with pytest.raises(InputError, match="wanted a Gaussian"):
        LogNormal(of=TaylorGreen(), standardise=True)


def test_two_phases():
    space, g = box((40, 40)), NeumannMatern()
    u = g(space, range(200), 0)
    phases = TwoPhase()(space, range(200), 0)
    assert torch.equal(phases, torch.where(u >= 0, 12.0, 3.0).double())
    # one half on average over x and samples, each sample's share varies
    assert float((phases == 12).double().mean()) == pytest.approx(0.5, abs=0.03)
    smooth = TwoPhase(of=g, high=2.0, low=0.5, smoothness=0.05)(space, range(200), 0)
    torch.testing.assert_close(smooth, 1.25 + 0.75 * torch.tanh(u / 0.05))
    sharp = TwoPhase(of=g, smoothness=1e-9)(space, range(200), 0)
    assert float((sharp - phases).abs().mean()) < 1e-3
    # a larger tau makes smaller grains: more crossings per line
    crossings = [
        (TwoPhase(of=NeumannMatern(tau=tau))(space, range(50), 0).diff(dim=-1) != 0).double().mean()
        for tau in (3.0, 15.0)
    ]
    assert crossings[1] > 1.3 * crossings[0]
    for bad in ({"low": 0.0}, {"high": -1.0}, {"smoothness": -0.1}):
        with pytest.raises(InputError, match="phases"):
            TwoPhase(**bad)


def test_multiscale_coefficients_are_the_stated_product():
    space = Grid((Axis("x", 9, 2.0, "uniform", 1.0), Axis("y", 5, 1.0, "cell")))
    u = MultiscaleTrigonometric(scales=4, depth=0.3)(space, [7], 3)[0, 0]
    a = 2.0 ** np.arange(4) * (1 + np.random.default_rng([3, 7]).uniform(0, 1, 4) / 2)
    assert ((2.0 ** np.arange(4) <= a) & (a <= 1.5 * 2.0 ** np.arange(4))).all()
    for i, j in ((0, 0), (3, 1), (8, 4)):
        x1, x2 = i / 8, (j + 0.5) / 5
        exact = np.prod((1 + 0.3 * np.cos(a * pi * (x1 + x2))) * (1 + 0.3 * np.sin(a * pi * (x2 - 3 * x1))))
        assert float(u[i, j]) == pytest.approx(exact, rel=1e-12)
    assert MultiscaleTrigonometric()(box((50, 50)), range(5), 0).min() > 0
    with pytest.raises(InputError, match="two dimensions"):
        MultiscaleTrigonometric()(box((4, 4, 4)), [0], 0)
    with pytest.raises(InputError, match="depth=1"):
        MultiscaleTrigonometric(depth=1.0)


def test_speeds_of_sound():
    space = box((101, 101), "uniform")
    law = WaveSpeed()
    c = law(space, range(20), 0)
    torch.testing.assert_close(c, 20 + torch.tanh(NeumannMatern(terms=100)(space, range(20), 0)))
    assert 19 < c.min() < 19.9 < 20.1 < c.max() < 21
    with pytest.raises(InputError, match="positive everywhere"):
        WaveSpeed(mean=1.0)


@pytest.mark.parametrize("nodes", ["cell", "uniform"])
def test_functions_of_the_torus(nodes):
    """On a box they take the torus' values: by the Fourier series of a lattice that resolves them."""
    law, space = Matern(variance=1e6, tau=5.0, alpha=8.0), box((20, 18), nodes, length=1.5, start=0.3)
    u = FromTorus(of=law)(space, [1], 2)[0, 0]
    torus = Grid.periodic((32, 32), 1.0)
    torus = Grid(Axis(a.name, 32, b.length) for a, b in zip(torus, space, strict=True))
    c = torch.fft.fft2(law(torus, [1], 2)[0, 0], norm="forward")
    k = torch.fft.fftfreq(32, 1 / 32, dtype=torch.float64)
    waves = [torch.exp(2j * pi / a.length * torch.outer(a.points() - a.start, k)) for a in space]
    torch.testing.assert_close(u, (waves[0] @ c @ waves[1].mT).real, rtol=0, atol=1e-3 * float(u.abs().max()))
    with pytest.raises(InputError, match="FromTorus"):
        FromTorus(of=law)(torus, [0], 0)


def test_what_is_refused():
    for bad in ({"tau": -1.0}, {"alpha": 0.0}, {"tau": 0.0, "zero_mean": False}, {"terms": 0}):
        with pytest.raises(InputError, match="NeumannMatern"):
            NeumannMatern(**bad)
    with pytest.raises(InputError, match="cell and uniform"):
        NeumannMatern()(Grid.periodic((8,)), [0], 0)
