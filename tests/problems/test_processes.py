"""Random functions on intervals: their covariance, and the same function on every set of nodes."""

from math import pi

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.processes import Commands, GaussianProcess, RandomSines


def interval(n, length=1.0, nodes="uniform", start=0.0):
    return Grid((Axis("x", n, length, nodes, start),))


@pytest.mark.parametrize("length", [1.0, 3.0])
def test_the_covariance_is_the_stated_one(length):
    space = interval(9, length)
    x = space[0].points()
    u = GaussianProcess(width=0.4, amplitude=1.5)(space, range(6000), 0)[:, 0]
    covariance = u.mT @ u / len(u)
    exact = 1.5**2 * torch.exp(-(x[:, None] - x).square() / (2 * 0.4**2))
    assert (covariance - exact).abs().max() < 5 * 1.5**2 * 2**0.5 / 6000**0.5
    assert u.mean(0).abs().max() < 5 * 1.5 / 6000**0.5


def test_the_series_has_the_covariance_to_its_truncation():
    """Without sampling error: the columns of the series, squared, sum to the covariance."""
    from pdeops.problems.processes import _covariance, _karhunen_loeve

    for width in (0.05, 0.2, 1.0):
        y, factors = _karhunen_loeve(width)
        x = np.linspace(0, 1, 41)
        columns = _covariance(x, y, width) @ factors
        assert np.abs(columns @ columns.T - _covariance(x, x, width)).max() < 1e-10


def test_a_sample_is_the_same_function_on_every_set_of_nodes():
    process = GaussianProcess(width=0.2)
    u = process(interval(100), range(3), 7)
    assert torch.equal(process(interval(100), [2], 7), u[2:])
    torch.testing.assert_close(process(interval(199), range(3), 7)[..., ::2], u, rtol=0, atol=1e-12)
    torch.testing.assert_close(process(interval(100, start=4.0), range(3), 7), u, rtol=0, atol=1e-9)
    assert not torch.equal(process(interval(100), [2], 8), u[2:])


def test_random_sines_are_the_stated_series():
    space = interval(50, 2.0)
    u = RandomSines(terms=3, frequency=5.0)(space, [4, 9], 2)
    rng = np.random.default_rng([2, 9])
    xi, f = rng.standard_normal(3), rng.uniform(0, 5.0, 3)
    t = np.linspace(0, 2, 50)
    exact = xi[0] * np.sin(pi * f[0] * t) + xi[1] * np.sin(pi * f[1] * t) / 2 + xi[2] * np.sin(pi * f[2] * t) / 3
    np.testing.assert_allclose(u[1, 0].numpy(), exact, atol=1e-13)
    assert torch.equal(RandomSines(terms=3, frequency=5.0)(space, [9], 2), u[1:])


def test_covariance_on_a_box():
    """exp(-|r|^2 / (2 width^2)) on axes of any kind; on one axis, each is the process of that axis."""
    space = Grid((Axis("x", 5, 1.0, "uniform"), Axis("y", 4, 0.5, "cell", 2.0), Axis("z", 3, 2.0, "chebyshev")))
    u = GaussianProcess(width=0.4, amplitude=1.5)(space, range(6000), 0).flatten(1)
    x = space.points().reshape(-1, 3)
    exact = 1.5**2 * torch.exp(-torch.cdist(x, x).square() / (2 * 0.4**2))
    assert (u.mT @ u / len(u) - exact).abs().max() < 5.5 * 1.5**2 * 2**0.5 / 6000**0.5
    fine = space.resized((9, 12, 5))
    process = GaussianProcess(width=0.4)
    coarse = process(space, [3], 1)
    torch.testing.assert_close(process(fine, [3], 1)[..., ::2, 1::3, ::2], coarse, rtol=0, atol=1e-9)


def test_tori_and_squares_are_refused():
    torus, square = Grid.periodic((16,)), Grid((Axis("x", 8, 1.0, "cell"), Axis("y", 8, 1.0, "cell")))
    with pytest.raises(InputError, match="not periodic; got Axis"):
        GaussianProcess()(torus, [0], 0)
    for space in (torus, square):
        with pytest.raises(InputError, match="one axis that is not periodic"):
            RandomSines()(space, [0], 0)
    with pytest.raises(InputError, match=r"width=0\.0"):
        GaussianProcess(width=0.0)


def test_commands_are_independent_squashed_functions():
    space, of = interval(5), GaussianProcess(width=0.4)
    u = Commands(channels=2, of=of)(space, range(4000), 0)
    assert u.shape == (4000, 2, 5)
    g = torch.logit(u)
    assert g.std() == pytest.approx(1, abs=0.03)
    assert torch.corrcoef(g[:, :, 2].mT)[0, 1].abs() < 5 / 4000**0.5
    x = space[0].points()
    near = float(torch.exp(-(x[1] - x[0]).square() / (2 * 0.4**2)))
    assert torch.corrcoef(g[:, 0, :2].mT)[0, 1] == pytest.approx(near, abs=0.02)
    torch.testing.assert_close(Commands(channels=2, of=of)(interval(9), [3], 0)[..., ::2], u[3:4])
    with pytest.raises(InputError, match="channels=0"):
        Commands(channels=0, of=of)
