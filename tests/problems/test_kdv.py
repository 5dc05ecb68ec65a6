"""Korteweg and de Vries: solitons, the first three conserved quantities and a published solution."""

import os
from pathlib import Path

import pytest
import torch
from scipy.io import loadmat

from pdeops.bases.fourier import Fourier
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.kdv import KortewegDeVries
from pdeops.solvers.steppers import Stepper

PUBLISHED = Path(os.environ.get("PDEOPS_DATA", "")) / "KdV.mat"


@pytest.mark.parametrize(("dispersion", "speed", "length"), [(0.0025, 1.0, 3.2), (1.0, 4.0, 32.0)])
def test_solitons(dispersion, speed, length):
    """At the far side of the circle they have fallen to 1e-13."""
    problem = KortewegDeVries(
        n=128,
        length=length,
        horizon=0.3 * length / speed,
        frames=3,
        dispersion=dispersion,
        solver=Stepper(tolerance=1e-7),
    )

    def soliton(x):
        x = torch.remainder(x, length) - length / 2
        return 3 * speed / torch.cosh((speed / (4 * dispersion)) ** 0.5 * x).square()

    t, x = problem.grid.points().unbind(-1)
    solution = problem.solve(soliton(x[0]).view(1, 1, -1))
    torch.testing.assert_close(solution.u[0, 0], soliton(x - speed * t), rtol=0, atol=1e-6 * speed)


def test_mass_momentum_and_energy_are_conserved():
    """The integrals of u, u^2 and dispersion u_x^2 / 2 - u^3 / 6."""
    problem = KortewegDeVries(n=64, frames=5, initial=PeriodicKernel(width=0.5), solver=Stepper(tolerance=1e-9))
    u = problem.solve(problem.sample(range(3), 0) + 0.5).u
    assert (u[:, :, -1] - u[:, :, 0]).abs().amax(-1).min() > 0.5
    basis = Fourier(problem.grid.space, degree=3)
    c = basis.to_modes(u)
    values, slopes = basis.to_fine(c), basis.to_fine(1j * basis.k[0] * c)
    energy = (0.0025 / 2 * slopes.square() - values**3 / 6).mean(-1)
    for integral, tolerance in ((values.mean(-1), 1e-14), (values.square().mean(-1), 1e-9), (energy, 1e-8)):
        torch.testing.assert_close(integral, integral[..., :1].expand_as(integral), rtol=tolerance, atol=tolerance)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="PDEOPS_DATA names no folder with KdV.mat")
def test_a_published_solution():
    """From cos(pi x) on, by Chebfun on 512 nodes (Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378, 2019):
    from every tenth frame to the one after it, in the maximum norm."""
    data = loadmat(PUBLISHED)
    u, t = torch.from_numpy(data["uu"].T.copy()), data["tt"].ravel()
    problem = KortewegDeVries(n=512, frames=1, horizon=float(t[1] - t[0]), solver=Stepper(tolerance=1e-11))
    ours = problem.solve(u[:-1:10, None]).u[:, 0, 1]
    torch.testing.assert_close(ours, u[1::10], rtol=0, atol=1e-11)
