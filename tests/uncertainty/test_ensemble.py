"""An ensemble is the mean of its members, each between its own normalisers, and a model like others."""

import pytest
import torch
from torch import nn

import pdeops
from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.deeponet import DeepONet
from pdeops.models.fno import FNO
from pdeops.models.mgno import MgNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.antiderivative import Antiderivative
from pdeops.problems.darcy import Darcy
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.ensemble import Ensemble, Part, mean_and_deviation
from pdeops.window import Window


def units(channels):
    return Normalizer(torch.randn(channels), 0.5 + torch.rand(channels))


def make(problem, window, model=FNO, posed=True, **options):
    """An ensemble, and the surrogates that it is made of."""
    inputs = () if problem.grid.time else problem.in_names
    window = window.on(problem.grid, problem.out_names, inputs)
    torch.manual_seed(0)
    problem = window.posed(problem) if posed else None
    sizes = window.in_channels, window.out_channels
    each = [
        Surrogate(model(*sizes, window.grid_in, window.grid_out, **options), window, *map(units, sizes), problem).eval()
        for _ in range(3)
    ]
    whole = Ensemble.of([Part(s.model, s.normalize_in, s.normalize_out) for s in each])
    identities = map(Normalizer.identity, sizes)
    return Surrogate(whole, window, *identities, problem).eval(), each


def fisher(posed=False, **window):
    """Of Fisher's equation; without it, if not posed: an error estimate of noise would take its solver long."""
    return make(ReactionDiffusion(n=16, frames=9), Window(**window), posed=posed, width=4, modes=4, depth=1)


def test_mean_and_deviation():
    fields = torch.tensor([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    mean, deviation = mean_and_deviation(fields)
    assert mean.tolist() == [3.0, 5.0]
    torch.testing.assert_close(deviation, torch.tensor([7.0**0.5, 0.0]))
    alone, none = mean_and_deviation(fields[:1])
    assert (alone.tolist(), none) == ([1.0, 5.0], None)


def test_the_prediction_is_the_mean_of_the_members():
    ensemble, each = fisher(n_in=2)
    a = torch.randn(3, 2, 16)
    predictions = torch.stack([s.predict(a) for s in each])
    assert predictions.std(0).min() > 0
    torch.testing.assert_close(ensemble.predict(a), predictions.mean(0))
    u, found = ensemble.predict(a, return_uncertainty=True)
    torch.testing.assert_close(u, predictions.mean(0))
    torch.testing.assert_close(found.deviation, predictions.std(0))
    assert (found.lower, found.upper, found.coverage) == (None, None, None)


def test_members_follow_their_own_rollouts():
    ensemble, each = fisher(n_in=2, n_out=3)
    a = torch.randn(2, 2, 16)
    paths = torch.stack([s.rollout(a, 7) for s in each])
    torch.testing.assert_close(ensemble.rollout(a, 7), paths.mean(0))
    u, found = ensemble.rollout(a, 7, return_uncertainty=True)
    assert torch.equal(u, ensemble.rollout(a, 7))
    torch.testing.assert_close(found.deviation, paths.std(0))
    fed_back = ensemble.window.unstack(ensemble.predict(ensemble.window.advance(a, ensemble.predict(a))))
    assert (u[:, :, 3:6] - fed_back).abs().max() > 1e-3  # the mean fed back is another path


def test_members_drive_their_own_states():
    problem = Antiderivative(n=25)
    ensemble, each = make(problem, Window(segment=9), width=4, modes=4, depth=1)
    controls, start = torch.randn(2, 1, 17), torch.randn(2, 1)
    states = torch.stack([s.drive(controls, start) for s in each])
    torch.testing.assert_close(ensemble.drive(controls, start), states.mean(0))


def test_error_estimates_are_of_the_mean():
    ensemble, each = fisher(posed=True, n_in=2, n_out=4)
    a = 0.5 + 0.1 * torch.randn(2, 2, 16).cumsum(-1).cos()
    estimate = ensemble.error_estimate(a, 4)
    u, found = ensemble.rollout(a, 4, return_uncertainty=True)
    torch.testing.assert_close(found.error, estimate.bound)
    _, frames, *_ = ensemble.trajectories(a, 4)
    torch.testing.assert_close(frames[:, :, 2:], u.double())
    assert (each[0].error_estimate(a, 4).error - estimate.error).abs().min() > 1e-6


def test_what_the_problem_imposes_has_no_deviation():
    """Walls hold the mean and every member, on the trained lattice and between its nodes."""
    problem = Darcy(n=9)
    for model, options in ((FNO, {"width": 4, "modes": 4}), (MgNO, {"width": 4, "levels": 2})):
        ensemble, each = make(problem, Window(), model, **options)
        a = torch.rand(2, 1, 9, 9)
        u, found = ensemble.predict(a, return_uncertainty=True)
        assert u[..., 0, :].count_nonzero() == found.deviation[..., 0, :].count_nonzero() == 0
        assert found.deviation[..., 1:-1, 1:-1].min() > 0
    finer = problem.grid.resized((17, 17))
    torch.testing.assert_close(ensemble.predict(a, finer), torch.stack([s.predict(a, finer) for s in each]).mean(0))


def test_at_points():
    ensemble, each = make(Darcy(n=9), Window(), DeepONet)
    a, x = torch.rand(2, 1, 9, 9), torch.rand(5, 2)
    with pytest.warns(UserWarning, match="at points are the model's own"):
        u, found = ensemble.predict(a.numpy(), x.numpy(), return_uncertainty=True)
    values = torch.stack([s(a, x).detach() for s in each])
    torch.testing.assert_close(torch.from_numpy(u), values.mean(0))
    torch.testing.assert_close(torch.from_numpy(found.deviation), values.std(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_saved_and_loaded_bit_for_bit(tmp_path, dtype):
    ensemble = fisher(n_in=2)[0].to(dtype)
    loaded, a = pdeops.load(ensemble.save(tmp_path)), torch.randn(2, 2, 16)
    assert loaded.describe() == ensemble.describe()
    (u, mine), (v, theirs) = (s.predict(a, return_uncertainty=True) for s in (ensemble, loaded))
    assert torch.equal(u, v)
    assert torch.equal(mine.deviation, theirs.deviation)
    assert loaded.predict(a).dtype == dtype


def test_written_down_with_members_of_different_kinds():
    grid = Grid((Axis("x", 16),))
    whole = Ensemble([FNO(2, 1, grid, grid, width=4, modes=4), FNO(2, 1, grid, grid, width=6, modes=3, depth=2)])
    again = from_config(to_config(whole))
    again.load_state_dict(whole.state_dict())
    a = torch.randn(1, 2, 16)
    assert torch.equal(whole(a), again(a))
    assert whole(a, Grid((Axis("x", 24),))).shape == (1, 1, 24)


def test_exported():
    ensemble = fisher(n_in=2)[0]
    a = torch.randn(2, 2, 16)
    program = torch.export.export(ensemble, (a,))
    torch.testing.assert_close(program.module()(a), ensemble(a))


def test_members_that_do_not_fit_are_refused():
    grid, other = Grid.periodic((16, 16)), Grid.periodic((8, 8))
    with pytest.raises(InputError, match="an ensemble of 1: wanted two members or more"):
        Ensemble([FNO(1, 1, grid, grid, width=4, modes=4)])
    with pytest.raises(InputError, match="differ in their grid_in"):
        Ensemble([FNO(1, 1, g, g, width=4, modes=4) for g in (grid, other)])
    with pytest.raises(InputError, match="differ in their in_channels: 1, 2"):
        Ensemble([FNO(c, 1, grid, grid, width=4, modes=4) for c in (1, 2)])
    with pytest.raises(InputError, match="differ in their resolution: None, resample"):
        Ensemble([FNO(1, 1, grid, grid, width=4, modes=4), MgNO(1, 1, grid, grid, width=4, levels=2)])
    with pytest.raises(InputError, match="cannot be built"):
        from_config({"_target_": "pdeops.uncertainty.ensemble.Ensemble", "members": ["a", "b"]})
    assert isinstance(Ensemble([FNO(1, 1, grid, grid, width=4, modes=4)] * 2), nn.Module)
