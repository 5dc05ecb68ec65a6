"""Every metric against a closed form: two sines, a shift, a scaled field; and at two resolutions."""

from math import pi, sqrt

import numpy as np
import pytest
import torch

from pdeops.grid import Axis, Grid
from pdeops.metrics.panel import Panel
from pdeops.metrics.pointwise import boundary_rmse, pearson, vrmse
from pdeops.metrics.residual import residual_norm
from pdeops.metrics.rollout import valid_time
from pdeops.metrics.spectral import band_energy, default_edges
from pdeops.norms import Lp, relative_error
from pdeops.problems.ns2d import NavierStokes2D

TORUS = Grid.periodic((32, 24))
BOX = Grid((Axis("x", 33, 2.0, "uniform"), Axis("y", 17, 1.0, "uniform")))


def sines(grid, *waves):
    x, y = grid.points().unbind(-1)
    return sum(amplitude * torch.sin(2 * pi * (kx * x + ky * y)) for amplitude, kx, ky in waves)


def test_relative_error():
    v = sines(TORUS, (2.0, 1, 0))
    l2 = Lp(TORUS)
    assert float(relative_error(1.25 * v, v, l2)) == pytest.approx(0.25)
    assert float(relative_error(torch.zeros_like(v), v, l2)) == 1.0
    assert float(relative_error(v + sines(TORUS, (1.0, 3, 2)), v, l2)) == pytest.approx(0.5)
    zero = torch.zeros_like(v)
    assert float(relative_error(zero, zero, l2)) == 0
    assert float(relative_error(v, zero, l2)) == float(l2(v))  # a vanishing reference is measured absolutely


def test_vrmse_is_the_wells():
    """sqrt(mean e^2 / (unbiased variance + 1e-7)): a shift by delta of a wave of amplitude A."""
    v = sines(TORUS, (2.0, 1, 0)) + 7
    n = v.numel()
    expected = sqrt(0.25 / (2 * n / (n - 1) + 1e-7))
    assert float(vrmse(v + 0.5, v, TORUS)) == pytest.approx(expected, rel=1e-12)
    small = 1e-4 * (v - 7)
    assert float(vrmse(torch.zeros_like(v), small, TORUS)) == pytest.approx(sqrt(2e-8 / (2e-8 * n / (n - 1) + 1e-7)))
    assert float(vrmse(torch.zeros_like(v), small, TORUS, eps=0)) == pytest.approx(sqrt((n - 1) / n))


def test_pearson():
    u, v = sines(TORUS, (1.0, 1, 0)), sines(TORUS, (1.0, 2, 1))
    assert float(pearson(3 * u + 5, u, TORUS)) == pytest.approx(1.0)
    assert float(pearson(-u, u, TORUS)) == pytest.approx(-1.0)
    assert float(pearson(u, v, TORUS)) == pytest.approx(0.0, abs=1e-12)
    assert float(pearson(u + v, u, TORUS)) == pytest.approx(sqrt(0.5))
    for scale in (1e-15, 1e9, 1e18):
        assert float(pearson((scale * u).float(), u.float(), TORUS)) == pytest.approx(1.0, abs=1e-5)
    assert pearson(torch.full(TORUS.shape, 7.7), u.float(), TORUS).isnan()


def test_boundary_rmse():
    """e = x on [0,2] x [0,1]: faces x = 0 and 2 give 0 and 4 over length 1, faces y give int x^2 = 8/3 each."""
    e = BOX.points()[..., 0]
    expected = sqrt((0 + 4 + 2 * 8 / 3) / (1 + 1 + 2 + 2))
    assert float(boundary_rmse(e, torch.zeros_like(e), BOX)) == pytest.approx(expected, rel=1e-3)
    inside = torch.zeros(BOX.shape)
    inside[1:-1, 1:-1] = 1
    assert float(boundary_rmse(inside, torch.zeros_like(inside), BOX)) == 0
    line = Grid((Axis("x", 5, nodes="uniform"),))
    assert float(boundary_rmse(torch.tensor([3.0, 9, 9, 9, 4]), torch.zeros(5), line)) == pytest.approx(sqrt(12.5))
    channel = Grid((Axis("x", 5, nodes="uniform"), Axis("y", 4)))
    assert boundary_rmse(torch.ones(2, 3, 5, 4), torch.zeros(2, 3, 5, 4), channel).tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("grid", [TORUS, BOX, Grid((Axis("x", 15, nodes="cell"), Axis("y", 16))), Grid.periodic((9,))])
def test_bands_sum_to_the_mean_square(grid):
    e = torch.randn(2, 3, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bands = band_energy(e, grid, default_edges(grid))
    assert bands.shape == (2, 3, 3)
    torch.testing.assert_close(bands.sum(-1), e.square().mean(tuple(range(2, e.ndim))))
    assert (bands[..., :2] > 0).all()


@pytest.mark.parametrize("n", [(32, 24), (64, 50)])
def test_bands_are_physical(n):
    grid = Grid.periodic(n)
    e = sines(grid, (1.0, 2, 0), (2.0, 3, 4), (3.0, 0, 11))
    bands = band_energy(e, grid, (2 * pi * 4, 2 * pi * 8))
    assert bands.tolist() == pytest.approx([0.5, 2.0, 4.5])


def test_a_cosine_between_walls_falls_into_its_band():
    """cos(pi k x / L) at cell centres is one mode of the DCT-II; a shift is the zeroth."""
    grid = Grid((Axis("x", 40, 2.0, "cell"),))
    e = 3 + torch.cos(pi * 6 / 2.0 * grid.points()[..., 0])
    kappa = pi * 6 / 2.0
    assert band_energy(e, grid, (0.9 * kappa, 1.1 * kappa)).tolist() == pytest.approx([9.0, 0.5, 0.0], abs=1e-12)


def test_valid_time():
    times = torch.tensor([1.0, 2.0, 4.0])
    error = torch.tensor([[0.05, 0.15, 0.9], [0.2, 0.0, 0.0], [0.01, 0.02, 0.03], [0.05, float("nan"), 0.1]])
    time, censored = valid_time(error, times, threshold=0.1)
    assert time.tolist() == pytest.approx([1.5, 0.5, 4.0, 1.0])
    assert censored.tolist() == [False, False, True, False]


@pytest.mark.parametrize("n", [(32, 32), (48, 40)])
def test_the_panel_does_not_depend_on_the_resolution(n):
    grid = Grid.periodic(n)
    v = sines(grid, (1.0, 1, 0), (1.0, 2, 3))[None, None]
    u = v + sines(grid, (0.1, 5, 0))
    found = {k: float(x) for k, x in Panel(grid)(u, v).items()}
    assert found["relative_l2"] == pytest.approx(0.1 / sqrt(2), rel=1e-6)
    h1 = sqrt(0.01 * (1 + (10 * pi) ** 2) / (2 + (2 * pi) ** 2 * 14))
    assert found["relative_h1"] == pytest.approx(h1, rel=1e-6)
    assert found["rmse_mid"] == pytest.approx(0.1 * sqrt(0.5), rel=1e-6)
    assert found["rmse_low"] == pytest.approx(0, abs=1e-6)
    assert "boundary_rmse" not in found
    assert "boundary_rmse" in Panel(BOX)(torch.ones(1, 1, 33, 17), torch.ones(1, 1, 33, 17))


def test_the_panel_averages_frames_and_computes_in_single_precision():
    v = torch.ones(2, 3, 4, *TORUS.shape) * torch.randn(TORUS.shape)
    factor = torch.tensor([1.0, 1.1, 1.2, 1.3]).view(4, 1, 1)
    found = Panel(TORUS)(factor * v, v)
    assert found["relative_l2"].shape == (2, 3)
    torch.testing.assert_close(found["relative_l2"], torch.full((2, 3), 0.15))
    assert Panel(TORUS)((factor * v).bfloat16(), v.bfloat16())["relative_h1"].dtype == torch.float32


def test_residual_norm():
    """Of w = t cos(kx): r = w_t - viscosity w_xx = (1 + viscosity k^2 t) cos(kx), the advection being zero."""
    problem = NavierStokes2D(n=16, forcing=None, viscosity=1e-2)
    grid = Grid((Axis("time", 9, 2.0, "uniform"), *Grid.periodic((16, 16))))
    t, x, _ = grid.points().unbind(-1)
    u = (t * torch.cos(2 * pi * x))[None, None]
    rate = 1e-2 * 4 * pi**2
    in_time = float((grid[0].weights() * (1 + rate * grid[0].points()) ** 2).sum())
    expected = sqrt(in_time / 2 / (1 + 4 * pi**2))
    assert residual_norm(problem, u[:, :, 0], u.float(), grid).tolist() == [[pytest.approx(expected, rel=1e-6)]]


def test_rollouts():
    grid = Grid.periodic((16, 16))
    v = sines(grid, (1.0, 1, 0)).expand(1, 1, 14, 16, 16)
    u = v * (1 + 0.02 * torch.arange(1, 15).view(14, 1, 1))
    found = {k: float(x) for k, x in Panel(grid).rollout(u, v, 0.5 * torch.arange(1, 15)).items()}
    assert found["relative_l2[1]"] == pytest.approx(0.02)
    assert found["relative_l2[6:12]"] == pytest.approx(0.02 * 9.5)
    assert found["relative_l2"] == pytest.approx(0.02 * 7.5)
    assert "relative_l2[13:30]" not in found
    assert found["valid_time"] == pytest.approx(2.5)
    assert found["valid_time_censored"] == 0


def test_panel_windows_and_max_error():
    g = Grid.periodic((8,))
    v = torch.ones(1, 1, 30, 8) + torch.arange(8.0)
    u = v * (1 - 0.01 * torch.arange(1, 31).view(30, 1))
    found = Panel(g).rollout(u, v, torch.arange(1, 31))
    assert float(found["relative_l2[13:30]"]) == pytest.approx(0.01 * np.arange(14, 31).mean(), rel=1e-4)
    assert float(Panel(g)(v[:, :, 0] - 2, v[:, :, 0])["max_error"]) == 2


def test_edges_are_harmonics_of_the_longest_axis():
    assert default_edges(Grid((Axis("x", 8, 2.0), Axis("y", 8, 0.5)))) == pytest.approx((4 * pi, 12 * pi))


def test_at_the_threshold_is_not_over():
    t, censored = valid_time(torch.tensor([[0.25, 0.25]]), torch.tensor([1.0, 2.0]), threshold=0.25)
    assert censored.all()
    assert float(t) == 2


def test_diverging_error_stops_at_the_last_good_time():
    assert float(valid_time(torch.tensor([[0.05, float("inf")]]), torch.tensor([1.0, 2.0]))[0]) == 1.0
