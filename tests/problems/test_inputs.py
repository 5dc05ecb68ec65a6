"""Gaussian fields on boxes that are not square."""

from math import pi

import torch

from pdeops.grid import Axis, Grid
from pdeops.problems.inputs import Matern
from pdeops.problems.ns2d import NavierStokes2D


def test_gaussian_field_on_a_non_square_box():
    g = Grid((Axis("x", 8, 2.0), Axis("y", 5, 0.25)))
    c = torch.fft.fft2(Matern(variance=2.0, tau=3.0, alpha=2.0)(g, range(4000), 0)[:, 0], norm="forward")
    k2 = (2 * pi / 2 * torch.fft.fftfreq(8, 1 / 8))[:, None] ** 2 + (2 * pi / 0.25 * torch.fft.fftfreq(5, 1 / 5)) ** 2
    ratio = c.abs().square().mean(0) / (2.0 * (k2 + 9) ** -2.0 / g.volume)
    ratio[0, 0] = 1
    assert ratio[4].abs().max() < 1e-20
    assert (ratio[[0, 1, 2, 3, 5, 6, 7]] - 1).abs().max() < 0.12


def test_seed_and_index_are_not_summed():
    p = NavierStokes2D(n=8)
    assert not torch.equal(p.sample([1], 0), p.sample([0], 1))
