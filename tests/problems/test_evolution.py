"""What solutions carry: residuals, errors, costs and progress."""

import math

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import Sobolev
from pdeops.problems import evolution
from pdeops.problems.allen_cahn import AllenCahn
from pdeops.problems.evolution import Evolution
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Diverged, Stepper


@pytest.mark.parametrize("nodes", ["uniform", "chebyshev"])
def test_what_is_outside_of_the_basis_decays_within_the_mean_distance_of_snapshots(nodes):
    problem = AllenCahn(n=8)
    grid = Grid([Axis("time", 11, 2.0, nodes), *problem.grid.space])
    nyquist = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(4).expand(1, 1, 11, 8)
    r = problem.residual(nyquist[:, :, 0], nyquist, grid)
    torch.testing.assert_close(r, nyquist / 0.2)


def test_solution_fields_are_what_they_say():
    p = NavierStokes2D(n=16, horizon=1.0, frames=10, length=2.0, solver=Stepper(dt=0.05, tolerance=1e-4))
    a = p.sample([0], 0)
    s = p.solve(a)
    assert float(p.grid[0].points()[-1]) == 1.0
    torch.testing.assert_close(s.residual, Sobolev(p.grid, -1)(p.residual(a, s.u, p.grid))[:, 0], rtol=1e-6, atol=0)
    for factor, ok in ((0.5, False), (2.0, True)):
        q = NavierStokes2D(
            n=16, horizon=1.0, frames=10, length=2.0, solver=Stepper(dt=0.05, tolerance=factor * float(s.error))
        )
        assert bool(q.solve(a).converged) is ok
    seen = []
    p.solve(a, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


class Two(Evolution):
    name, dimensions, out_names = "two", 1, ("a", "b")

    def linear(self, basis, a):
        return torch.tensor([[0.0], [-3.0]], dtype=torch.float64)

    def nonlinear(self, basis, a):
        return torch.zeros_like


def ones(space, indices, seed):
    return torch.ones(len(indices), 2, *space.shape, dtype=torch.float64)


def test_the_worst_channel_counts():
    p = Two(n=8, frames=2, initial=ones, solver=Stepper("cn_heun", dt=0.1, tolerance=1e-4))
    s = p.solve(p.sample([0], 0))
    assert float(s.error) > 1e-4
    assert float(s.residual) > 1e-3


def test_the_cost_is_that_of_all_chunks(monkeypatch):
    monkeypatch.setattr(Stepper, "seconds", lambda *a: 2.0)
    p = NavierStokes2D(n=8)
    monkeypatch.setattr(evolution, "CHUNK_BYTES", {"cpu": 3 * 8 * 10**2})
    assert p.chunk(p.sample([0], 0)) == 3
    assert p.cost(p.sample(range(12), 0)) == 8.0


def problem(**settings):
    return NavierStokes2D(n=16, horizon=1.0, frames=4, viscosity=1e-2, **settings)


def test_chunks_change_nothing(monkeypatch):
    p = problem(solver=Stepper(dt=0.05))
    a = p.sample(range(5), 0)
    whole = p.solve(a)
    monkeypatch.setattr(evolution, "CHUNK_BYTES", {"cpu": 2 * 8 * 24**2})
    seen = []
    parts = p.solve(a, seen.append)
    torch.testing.assert_close(parts.u, whole.u, rtol=0, atol=1e-14)
    torch.testing.assert_close(parts.error, whole.error, rtol=1e-6, atol=0)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


def test_a_diverged_sample_is_counted_over_all_chunks(monkeypatch):
    p = NavierStokes2D(n=16, horizon=2.0, frames=2, viscosity=0.0, solver=Stepper(dt=0.5))
    monkeypatch.setattr(evolution, "CHUNK_BYTES", {"cpu": 2 * 8 * 24**2})
    a = p.sample(range(4), 0)
    a[3] *= 1e6
    with pytest.raises(Diverged) as caught:
        p.solve(a)
    assert caught.value.sample == 3


@pytest.mark.parametrize("settings", [{}, {"start": 0.25}, {"viscosity": [1e-3, 1e-1]}])
def test_the_flow_goes_from_snapshot_to_snapshot(monkeypatch, settings):
    p = NavierStokes2D(**{"n": 16, "frames": 4, "viscosity": 1e-2} | settings, solver=Stepper(tolerance=1e-9))
    a = p.sample(range(3), 0)
    u = p.solve(a).u
    starts = u[:, :, :-1].transpose(1, 2).flatten(0, 1)
    times = torch.tensor([0.0, (p.horizon - p.start) / p.frames], dtype=torch.float64)
    path, errors = p.flow(a.repeat_interleave(4, dim=0), starts, times)
    ends = path[:, :, 1]
    expected = u[:, :, 1:].transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(ends, expected, rtol=0, atol=1e-7 * float(expected.abs().max()))
    assert (ends - starts).norm() > 1e-3 * starts.norm()
    assert errors.shape == (12,)
    assert (errors <= 1e-9).all()
    monkeypatch.setattr(evolution, "CHUNK_BYTES", {"cpu": 5 * 8 * 24**2})
    assert p.chunk(starts) == 5
    path, errors = p.flow(a.repeat_interleave(4, dim=0), starts, times)
    parts = path[:, :, 1]
    torch.testing.assert_close(parts, expected, rtol=0, atol=1e-7 * float(expected.abs().max()))
    assert errors.shape == (12,)
    bad = starts.clone()
    bad[7] = torch.nan
    with pytest.raises(Diverged) as caught:
        p.flow(a.repeat_interleave(4, dim=0), bad, times)
    assert caught.value.sample == 7


def test_the_flows_error_is_that_of_the_worst_channel():
    p = Two(n=8, initial=ones, solver=Stepper("cn_heun", dt=0.05))
    u = torch.randn(2, 2, 8, dtype=torch.float64)
    path, errors = p.flow(u, u, torch.tensor([0.0, 0.2]).double())
    ends = path[:, :, 1]
    exact = u * torch.tensor([1.0, math.exp(-0.6)], dtype=torch.float64).view(2, 1)
    basis = p.basis(p.grid.space)
    torch.testing.assert_close(ends, basis.to_values(basis.to_modes(exact)), rtol=1e-2, atol=0)
    assert (errors > 1e-4).all()


def test_snapshots_may_start_late():
    whole = problem(solver=Stepper(dt=0.05))
    late = NavierStokes2D(n=16, start=0.5, horizon=1.0, frames=2, viscosity=1e-2, solver=Stepper(dt=0.05))
    a = whole.sample([0], 0)
    assert late.grid[0].points().tolist() == [0.5, 0.75, 1.0]
    torch.testing.assert_close(late.solve(a).u, whole.solve(a).u[:, :, 2:])


def test_a_finer_solver_lattice_stores_what_the_coarse_one_holds():
    fine = problem(resolution=48, solver=Stepper(dt=0.05))
    same = NavierStokes2D(n=48, horizon=1.0, frames=4, viscosity=1e-2, solver=Stepper(dt=0.05))
    a = fine.sample([0], 0)
    assert a.shape == (1, 1, 48, 48)
    stored, full = fine.solve(a).u, same.solve(a).u
    assert stored.shape == (1, 1, 5, 16, 16)
    spectra = [torch.fft.rfft2(u, norm="forward") for u in (stored, full)]
    torch.testing.assert_close(spectra[0][..., :8, :8], spectra[1][..., :8, :8])
    assert spectra[0][..., 8].abs().max() < 1e-15  # no Nyquist mode
    assert (stored[:, :, 0] - full[:, :, 0, ::3, ::3]).abs().max() > 1e-6  # not every third node


def test_a_coefficient_may_differ_from_sample_to_sample():
    p = problem()
    ranged = NavierStokes2D(n=16, horizon=1.0, frames=4, viscosity=[1e-3, 1e-1], solver=Stepper(dt=0.05))
    assert ranged.in_names == ("vorticity", "viscosity")
    assert ranged.parameters == {"drag": 0.0}
    a = ranged.sample(range(200), 0)
    values = a[:, 1, 0, 0]
    assert torch.equal(a[:, 1], values.view(-1, 1, 1).expand(-1, 16, 16))
    assert torch.equal(ranged.sample([7], 0), a[7:8])
    assert torch.equal(a[:, :1], p.sample(range(200), 0))
    share = (values < 1e-2).double().mean()  # the logarithm is uniform
    assert share == pytest.approx(0.5, abs=0.1)
    assert 1e-3 <= values.min() < values.max() <= 1e-1
    few = ranged.solve(a[:3])
    for i in range(3):
        alone = NavierStokes2D(n=16, horizon=1.0, frames=4, viscosity=float(values[i]), solver=Stepper(dt=0.05))
        torch.testing.assert_close(few.u[i], alone.solve(a[i : i + 1, :1]).u[0])
        r = ranged.residual(a[i : i + 1], few.u[i : i + 1], ranged.grid)
        torch.testing.assert_close(r, alone.residual(a[i : i + 1, :1], few.u[i : i + 1], alone.grid))
    # behind a history of frames in the channels, and on a time axis
    history = torch.cat([few.u[:, 0, :3], a[:3, 1:]], dim=1)
    spread = torch.cat([few.u[:, :, :3], a[:3, 1:, None].expand(-1, -1, 3, -1, -1)], dim=1)
    for given in (history, spread):
        torch.testing.assert_close(
            ranged.residual(given, few.u, ranged.grid), ranged.residual(a[:3], few.u, ranged.grid)
        )


def test_the_parts_of_the_tendency():
    p = problem()
    a = p.sample([0, 1], 0)
    u = p.solve(a).u
    linear, nonlinear = p.tendencies(a, u, p.grid.space)
    basis = p.basis(p.grid.space)
    torch.testing.assert_close(linear[:, :, 2], basis.to_values(-1e-2 * basis.k2 * basis.to_modes(u[:, :, 2])))
    torch.testing.assert_close(nonlinear[:, :, 2], basis.to_values(p.nonlinear(basis, a)(basis.to_modes(u[:, :, 2]))))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n": 2}, r"problem\.n=2"),
        ({"frames": 0}, r"problem\.frames=0"),
        ({"resolution": 8}, r"problem\.resolution=8 is below problem\.n=16"),
        ({"start": 1.0}, "start < horizon"),
        ({"length": 0.0}, "length > 0"),
        ({"viscosity": -1.0}, "wanted viscosity >= 0"),
        ({"viscosity": [1e-3, 1e-4]}, "0 < low < high"),
        ({"viscosity": [0.0, 1e-4]}, "0 < low < high"),
        ({"viscosity": [1e-4, 1e-3, 1e-2]}, r"one number, or \[low, high\]"),
        ({"drag": float("nan")}, r"problem\.drag=nan"),
    ],
)
def test_mistakes_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        NavierStokes2D(**{"n": 16, "horizon": 1.0} | settings)
