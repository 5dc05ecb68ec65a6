"""Kolmogorov flow: its laminar state, and Navier-Stokes under another name."""

from math import pi

import pytest
import torch

from pdeops.errors import InputError
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.kolmogorov import KolmogorovFlow
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.vorticity import Kolmogorov
from pdeops.solvers.steppers import Stepper

SHORT = {
    "n": 16,
    "start": 0.0,
    "horizon": 1.0,
    "frames": 2,
    "initial": PeriodicKernel(width=0.5),
    "solver": Stepper(dt=0.05),
}


@pytest.mark.parametrize("length", [2 * pi, 3.0])
def test_the_laminar_flow_is_steady(length):
    """w = -kappa cos(kappa y) / (kappa^2 / reynolds + drag), kappa = 2 pi 4 / length, when stable."""
    problem = KolmogorovFlow(**SHORT | {"n": 32}, length=length, resolution=None, reynolds=5.0, drag=0.1)
    kappa = 8 * pi / length
    y = problem.grid.space.points()[..., 1]
    a = (-kappa * torch.cos(kappa * y) / (kappa**2 / 5.0 + 0.1)).view(1, 1, 32, 32)
    u = problem.solve(a).u
    torch.testing.assert_close(u, a.unsqueeze(2).expand_as(u), rtol=0, atol=1e-11)


def test_it_is_navier_stokes_with_kolmogorov_forcing():
    flow = KolmogorovFlow(**SHORT, resolution=24, reynolds=50.0, drag=0.3)
    same = NavierStokes2D(
        **SHORT, length=2 * pi, resolution=24, viscosity=0.02, drag=0.3, forcing=Kolmogorov(amplitude=1.0, wavenumber=4)
    )
    a = flow.sample([0, 1], 0)
    assert a.shape == (2, 1, 24, 24)
    torch.testing.assert_close(flow.solve(a).u, same.solve(a).u, rtol=0, atol=1e-12)


def test_a_range_of_reynolds_numbers_is_an_input():
    flow = KolmogorovFlow(**SHORT, resolution=None, reynolds=[10.0, 1000.0])
    assert flow.in_names == ("vorticity", "reynolds")
    assert flow.parameters == {"drag": 0.1}
    a = flow.sample([0, 1], 0)
    assert 10 < a[:, 1].min() < a[:, 1].max() < 1000
    u = flow.solve(a).u
    for i in range(2):
        alone = KolmogorovFlow(**SHORT, resolution=None, reynolds=float(a[i, 1, 0, 0]))
        torch.testing.assert_close(u[i : i + 1], alone.solve(a[i : i + 1, :1]).u)


def test_no_reynolds_number_of_zero():
    with pytest.raises(InputError, match="reynolds > 0"):
        KolmogorovFlow(reynolds=0.0)
