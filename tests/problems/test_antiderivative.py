"""Antiderivatives known in closed form, and published ones."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pdeops.grid import Axis, Grid
from pdeops.problems.antiderivative import Antiderivative

PUBLISHED = Path(os.environ.get("PDEOPS_DATA", "")) / "antiderivative_train.npz"


def test_the_exact_solution():
    problem = Antiderivative()
    t = problem.grid[0].points()
    a = torch.stack([torch.cos(5 * t), t.pow(5) - t, torch.exp(t)]).unsqueeze(1)
    u = problem.solve(a).u[:, 0]
    exact = torch.stack([torch.sin(5 * t) / 5, t.pow(6) / 6 - t.square() / 2, torch.exp(t) - 1])
    torch.testing.assert_close(u, exact, rtol=0, atol=2e-9)


def test_on_chebyshev_nodes_the_residual_is_that_of_the_polynomial():
    """Of sixth order whatever the nodes, it would be 1e-5."""
    grid = Grid((Axis("t", 24, 1.0, "chebyshev"),))
    t = grid[0].points()
    a, u = torch.cos(5 * t).view(1, 1, 24), torch.sin(5 * t).view(1, 1, 24) / 5
    assert Antiderivative().residual(a, u, grid).abs().max() < 1e-12


def test_the_controls_splines_are_of_sixth_order():
    """Nothing but the spline is in error when the integration is nearly exact."""

    def error(n):
        problem = Antiderivative(n=n)
        t = problem.grid[0].points()
        return (problem.solve(torch.cos(12 * t).view(1, 1, n)).u[0, 0] - torch.sin(12 * t) / 12).abs().max()

    assert 5.5 < torch.log2(error(20) / error(39)) < 7


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="PDEOPS_DATA names no folder with antiderivative_train.npz")
def test_published_solutions():
    """DeepXDE's demonstration data, 100 sensors: integrals of controls that are held constant from each sensor to the
    next, which are late by half their distance h, with a root mean square noise of 1e-3 from a loosely solved ODE."""
    data = np.load(PUBLISHED)
    problem = Antiderivative()
    t = problem.grid[0].points()
    np.testing.assert_allclose(data["x"].ravel(), t.numpy(), atol=1e-7)
    a, u = torch.from_numpy(data["v"]).unsqueeze(1).double(), torch.from_numpy(data["u"])
    ours = (problem.solve(a).u - (t[1] - t[0]) / 2 * (a - a[..., :1]))[:, 0]
    assert (ours - u).square().mean().sqrt() < 1.5e-3
    assert (ours - u).abs().max() < 1e-2
