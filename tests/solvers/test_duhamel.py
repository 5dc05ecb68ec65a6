"""The mild form against exact solutions."""

from __future__ import annotations

import pytest
import torch

from pdeops.errors import InputError
from pdeops.solvers.duhamel import Duhamel

FAST, SLOW = -200.0, -0.3


def trajectory(dt: float, snapshots: int, linear: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """u' = L u + N with N = cos(3 t), exactly: (T, modes), and N."""
    t = dt * torch.arange(snapshots, dtype=torch.float64)[:, None]
    forced = (linear * torch.cos(3 * t) * -1 + 3 * torch.sin(3 * t)) / (linear**2 + 9)
    at_start = (-linear / (linear**2 + 9)).expand(len(linear))
    return forced + torch.exp(linear * t) * (1.7 - at_start), torch.cos(3 * t).expand(-1, len(linear))


@pytest.mark.parametrize("known", [1, 4])
def test_the_defect_of_an_exact_solution_falls_with_the_number_of_nodes(known):
    linear = torch.tensor([FAST, SLOW, 0.0], dtype=torch.float64)
    orders = []
    for nodes in (2, 4, 6, 8):
        errors = []
        for dt, snapshots in ((0.1, 21), (0.05, 41)):
            u, n = trajectory(dt, snapshots, linear)
            duhamel = Duhamel(linear, dt, snapshots, known, nodes)
            errors.append(float(duhamel(u, n)[:, 1:].abs().max()))
        orders.append(torch.tensor(errors[0] / errors[1]).log2())
    assert torch.allclose(torch.stack(orders), torch.tensor([2.0, 4.0, 6.0, 8.0]), atol=0.35)


def test_polynomial_tendencies_are_integrated_exactly():
    linear, dt, snapshots = torch.tensor([-3.0, -0.01, 2.0], dtype=torch.float64), 0.25, 9
    t = dt * torch.arange(snapshots, dtype=torch.float64)[:, None]
    u = (1 - 2 * t + t**3) * torch.ones(3, dtype=torch.float64)
    n = (-2 + 3 * t**2) - linear * u
    assert Duhamel(linear, dt, snapshots, 2, 4).defects(u, n).abs().max() < 1e-13
    assert Duhamel(linear, dt, snapshots, 2, 3).defects(u, n).abs().max() > 1e-5


@pytest.mark.parametrize("nodes", [1, 2, 8, 12])
def test_weights_have_all_digits_at_the_ends_too(nodes):
    """Those of polynomials of the highest degree: u = (t / last)^(nodes - 1), of tendencies of the order of one."""
    snapshots, linear = 13, torch.tensor([0.0, -0.5, -40.0], dtype=torch.float64)
    t = torch.arange(snapshots, dtype=torch.float64)[:, None] / (snapshots - 1)
    u = t ** (nodes - 1) * torch.ones(3, dtype=torch.float64)
    n = (nodes - 1) * t ** max(nodes - 2, 0) / (snapshots - 1) - linear * u
    assert Duhamel(linear, 1.0, snapshots, 1, nodes).defects(u, n).abs().max() < 1e-12


def test_an_oscillating_symbol_is_exact_too():
    linear, dt, snapshots = 1j * torch.tensor([5.0, 40.0], dtype=torch.float64), 0.1, 30
    t = dt * torch.arange(snapshots, dtype=torch.float64)[:, None]
    u = torch.exp(linear * t)
    assert Duhamel(linear, dt, snapshots).defects(u, torch.zeros_like(u)).abs().max() < 1e-13


def test_errors_that_were_put_in_are_found():
    """Of a linear equation the accumulated defects are the error itself."""
    linear, dt, snapshots, known = torch.tensor([SLOW, FAST], dtype=torch.float64), 0.1, 25, 3
    u, n = trajectory(dt, snapshots, linear)
    wrong = torch.randn(snapshots - known, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    duhamel = Duhamel(linear, dt, snapshots, known)
    found = duhamel(u + torch.cat([torch.zeros(known, 2), wrong]), n)
    clean = duhamel(u, n)
    assert torch.allclose(found - clean, wrong, atol=1e-13)
    assert clean[:, 0].abs().max() < 1e-6


def test_something_must_be_known_and_something_unknown():
    for known in (0, 5):
        with pytest.raises(InputError, match="5 snapshots"):
            Duhamel(torch.zeros(1), 0.1, 5, known)
