"""Shell spectra: a wave has its energy in its own shell alone, and the shells sum to the energy."""

from math import pi

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.metrics.spectral import nyquist, shell_spectrum

GRIDS = [
    Grid.periodic((16,)),
    Grid.periodic((15,), 2 * pi),
    Grid.periodic((12, 9)),
    Grid((Axis("x", 8, 4.0), Axis("y", 7, 1.0, start=-3.0))),
    Grid.periodic((6, 5, 8)),
]


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("d", [1, 2])
def test_a_sine_has_its_energy_in_its_shell(n, d):
    """1/2 mean(sin^2(6 pi x)) = 1/4, in shell 3."""
    grid = Grid.periodic((n,) * d, 2.5)
    for i in range(d):
        spectrum = shell_spectrum(torch.sin(2 * pi * 3 * grid.points()[..., i] / 2.5), grid)
        assert float(spectrum[3]) == pytest.approx(0.25)
        assert float(spectrum.sum() - spectrum[3]) == pytest.approx(0, abs=1e-15)


def test_shells_are_round():
    """(3, 4) has |k| = 5, and (2, 2) has 2.83: shell 3."""
    grid = Grid.periodic((16, 16))
    x, y = grid.points().unbind(-1)
    spectrum = shell_spectrum(2 + torch.cos(2 * pi * (3 * x - 4 * y)) + 2 * torch.cos(2 * pi * (2 * x + 2 * y)), grid)
    assert spectrum[:6].tolist() == pytest.approx([2.0, 0, 0, 1.0, 0, 0.25], abs=1e-15)


@pytest.mark.parametrize("grid", GRIDS)
def test_shells_sum_to_the_energy(grid):
    u = torch.randn(2, 3, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spectrum = shell_spectrum(u, grid)
    torch.testing.assert_close(spectrum.sum(-1), u.square().flatten(2).mean(2) / 2)
    assert (spectrum[..., [0, -1]] > 0).all()  # from the mean to the corner of the box of modes


def test_the_unit_is_the_first_harmonic_of_the_longest_side():
    grid = Grid((Axis("x", 16, 4.0), Axis("y", 8, 1.0)))
    wave = torch.sin(2 * pi * grid.points()[..., 1]).expand(grid.shape)
    assert float(shell_spectrum(wave, grid)[4]) == pytest.approx(0.25)
    assert nyquist(grid) == 8.0
    assert nyquist(Grid.periodic((9, 16))) == 4.5


def test_walls_have_no_fourier_spectrum():
    grid = Grid((Axis("x", 8), Axis("y", 8, nodes="uniform")))
    with pytest.raises(InputError, match="axis 'y' has uniform nodes; a Fourier spectrum needs periodic axes"):
        shell_spectrum(torch.zeros(8, 8), grid)
