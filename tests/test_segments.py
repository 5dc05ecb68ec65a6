"""Driven systems in segments: cut, learned from any state, and followed one after the other."""

import numpy as np
import pytest
import torch

from pdeops.config import from_config, to_config
from pdeops.data.dataset import Trajectories, Windows
from pdeops.data.generate import generate
from pdeops.data.module import DataModule
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.residual import Residual
from pdeops.metrics.rollout import errors_by_segment
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.norms import Lp
from pdeops.problems.controlled_ode import ControlledOde
from pdeops.problems.lorenz63 import Lorenz63
from pdeops.problems.pendulum import Pendulum
from pdeops.problems.processes import GaussianProcess, RandomSines
from pdeops.saved import load
from pdeops.solvers.steppers import Stepper
from pdeops.surrogate import Surrogate
from pdeops.window import Batch, Window
from tests.data.test_module import ranked

N, M = 97, 25
PROBLEMS = {
    "pendulum": Pendulum(n=N, horizon=4.0, k=2.0, controls=GaussianProcess(width=1.0), solver=Stepper(dt=4 / 96 / 8)),
    "controlled_ode": ControlledOde(
        n=N, horizon=1.0, controls=RandomSines(terms=3, frequency=4.0), solver=Stepper(dt=1 / 96 / 8)
    ),
}


@pytest.fixture(params=PROBLEMS)
def system(request):
    return PROBLEMS[request.param]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    problem = PROBLEMS["pendulum"]
    return generate(problem, tmp_path_factory.mktemp("data") / "p.h5", n=10, split=(0.6, 0.2, 0.2), shard=10)


def window_of(problem, segment=M):
    return Window(segment=segment).on(problem.grid, problem.out_names, problem.in_names)


class Exact(torch.nn.Module):
    """The solver in the place of a model."""

    def __init__(self, problem):
        super().__init__()
        self.problem = problem

    def forward(self, a, out=None):
        return self.problem.solve(a).u


def one(channels):
    return Normalizer(torch.zeros(channels), torch.ones(channels)).double()


def surrogate_of(problem, model=None):
    window = window_of(problem)
    posed = window.posed(problem)
    normalizers = one(window.in_channels), one(window.out_channels)
    return Surrogate(model or Exact(posed), window, *normalizers, posed)


def test_following_the_exact_solver_segment_by_segment_is_the_whole_trajectory(system):
    a = system.sample(range(3), 0)
    truth = system.solve(a).u
    u = surrogate_of(system).drive(a, truth[..., 0])
    assert u.shape == truth.shape
    torch.testing.assert_close(u, truth, rtol=0, atol=2e-7)  # controls are splines through fewer nodes
    assert (truth[..., -1] - truth[..., 0]).abs().min() > 1e-2


def test_a_segment_holds_the_controls_and_the_state_at_its_start(system):
    window = window_of(system)
    names = tuple(f"{name}[+0]" for name in system.out_names)
    assert window.in_names == system.in_names + names
    assert window.out_names == system.out_names
    assert window.starts(N) == N - M + 1
    assert not window.evolves
    assert window.fed_back
    assert window.grid_in == window.grid_out == Grid((Axis("t", M, system.horizon / 4, "uniform"),))
    controls, states = torch.randn(2, 1, N), torch.randn(2, len(names), N)
    a, u, *_ = window.segments(controls, states, [0, 30])
    for i, first in enumerate((0, 30)):
        assert torch.equal(a[i, :1], controls[i, :, first : first + M])
        assert torch.equal(u[i], states[i, :, first : first + M])
        assert torch.equal(a[i, 1:], states[i, :, first : first + 1].expand(-1, M))


def test_the_problem_of_a_segment_is_the_system_from_that_state(system):
    """Its residual vanishes on a segment of a solution, its constraint is the state at the start."""
    window = window_of(system)
    posed = window.posed(system)
    assert (posed.grid, posed.in_names) == (window.grid_in, window.in_names)
    controls = system.sample(range(3), 0)
    states = system.solve(controls).u
    a, u, *_ = window.segments(controls, states, [7, 40, 72])
    assert Residual(window, problem=system)(u, Batch(a)) < 1e-4
    assert Residual(window, problem=system)(u.flip(0), Batch(a)) > 1e-2
    noise = torch.randn_like(u)
    constrained = posed.constrain(a, noise, window.grid_out)
    assert torch.equal(constrained[..., 0], u[..., 0])
    assert torch.equal(constrained[..., 1:], noise[..., 1:])
    again = from_config(to_config(posed))
    torch.testing.assert_close(again.solve(a).u, u, rtol=0, atol=2e-7)
    sampled = posed.sample([1], 0)
    torch.testing.assert_close(posed.solve(sampled).u, states[1:2, :, :M], rtol=0, atol=2e-7)


def test_data_sets_hold_every_segment_and_whole_trajectories(file):
    problem = PROBLEMS["pendulum"]
    module = DataModule(file=file, problem=problem, window=Window(segment=M), batch_size=4)
    module.open()
    fields = module.fields("test")
    windows = Windows(fields, module.window)
    assert len(windows) == 2 * (N - M + 1)
    batch = Trajectories(fields, module.window).__getitems__([0, 1])
    assert batch.a.shape == (2, 3, N)
    for i, (row, first) in {0: (0, 0), 5: (0, 5), N - M + 1: (1, 0), len(windows) - 1: (1, N - M)}.items():
        a, u, *_ = windows[i]
        assert torch.equal(u, batch.u[row, :, first : first + M])
        assert torch.equal(a[:1], batch.a[row, :1, first : first + M])
    assert torch.equal(batch.a[:, 1:], batch.u[..., :1].expand(-1, -1, N))
    assert len(module.test_dataloader()) == 2
    mean_in, std_in, mean_out, std_out = module.channel_stats()
    assert torch.equal(std_in[1:], std_out)
    assert torch.equal(mean_in[1:], mean_out)


def noisy(file, step=0, rank=0, world=1, training=True, **options):
    module = DataModule(file=file, window=Window(segment=M), batch_size=16, windows=8, **options)
    ranked(module, rank, world, training=training)
    module.trainer.fit_loop.total_batch_idx = step - 1
    batch = next(iter(module.train_dataloader()))
    return module, batch, module.on_after_batch_transfer(batch, 0)


def test_noise_is_of_the_states_at_the_start_in_their_deviations(file):
    errors = []
    for step in range(60):
        module, batch, given = noisy(file, step, noise=0.1)
        assert torch.equal(given.u, batch.u)
        assert torch.equal(given.a[:, :1], batch.a[:, :1])
        error = given.a[:, 1:] - batch.a[:, 1:]
        torch.testing.assert_close(error, error[..., :1].expand(-1, -1, M), rtol=0, atol=1e-6)
        errors.append(error[..., 0] / module.channel_stats()[1][1:])
    errors = torch.cat(errors)  # 960 samples, two states
    torch.testing.assert_close(errors.std(0).float(), torch.full((2,), 0.1), rtol=0.1, atol=0)
    assert errors.mean(0).abs().max() < 0.012
    assert torch.corrcoef(errors.T)[0, 1].abs() < 0.12


def test_noise_is_that_of_the_batch_and_shared_by_processes(file):
    torch.testing.assert_close(noisy(file, 3, noise=0.1)[2].a, noisy(file, 3, noise=0.1)[2].a, rtol=0, atol=0)
    _, batch, given = noisy(file, 3, noise=0.1)
    assert not torch.equal(given.a, noisy(file, 4, noise=0.1)[2].a)
    rows = [noisy(file, 3, rank, 2, noise=0.1)[2].a for rank in (0, 1)]
    assert torch.equal(torch.stack(rows, 1).flatten(0, 1), given.a)
    assert torch.equal(noisy(file, 3, noise=0.1, training=False)[2].a, batch.a)  # none in validation


def test_errors_by_segment_make_up_that_of_the_whole():
    t = Axis("t", N, 6.0, "uniform")
    u, v = torch.randn(2, 3, N, dtype=torch.float64), torch.randn(2, 3, N, dtype=torch.float64)
    each = errors_by_segment(u, v, t, M)
    assert each.shape == (2, 3, 4)
    norm = Lp(Grid((t,)))
    torch.testing.assert_close(each.square().mean(-1).sqrt(), norm(u - v) / norm(v))
    later = torch.where(t.points() > 1.5, v + 1, v)
    assert torch.equal(errors_by_segment(later, v, t, M)[..., 0], torch.zeros(2, 3, dtype=torch.float64))
    vanishing = errors_by_segment(torch.ones(1, 1, N), torch.zeros(1, 1, N), t, M)
    torch.testing.assert_close(vanishing, torch.ones(1, 1, 4))


def test_a_surrogate_of_segments_is_saved_and_takes_arrays(tmp_path):
    problem = PROBLEMS["pendulum"]
    window = window_of(problem)
    model = FNO(3, 2, window.grid_in, window.grid_out, width=4, modes=4, depth=1)
    surrogate = Surrogate(model, window, *(x.float() for x in (one(3), one(2))), window.posed(problem))
    surrogate.save(tmp_path / "s")
    a = problem.sample(range(2), 0)
    u = load(tmp_path / "s").drive(a.numpy(), np.zeros((2, 2)))
    assert isinstance(u, np.ndarray)
    assert np.array_equal(u, surrogate.drive(a, torch.zeros(2, 2)).numpy())
    first = surrogate.predict(window.driven(a[..., :M], torch.zeros(2, 2)))
    assert np.array_equal(u[..., :M], first.numpy())


def test_mistakes_are_refused(file):
    problem = PROBLEMS["pendulum"]
    with pytest.raises(
        InputError, match=r"segment=24: wanted nodes whose intervals divide the trajectory's 96: 2, 3, 4"
    ):
        window_of(problem, 24)
    with pytest.raises(InputError, match=r"segment=5: wanted 7 nodes or more of pendulum"):
        window_of(problem, 5).posed(problem)
    lorenz = Lorenz63(n=N)
    with pytest.raises(InputError, match=r"lorenz63 has initial values among its inputs \['x', 'y0', 'z0'\]"):
        window_of(lorenz).posed(lorenz)
    with pytest.raises(InputError, match=r"segment=25 cuts one axis 't' .* this data has Grid\(x: 8"):
        Window(segment=M).on(Grid.periodic((8,)), ("u",), ("a",))
    with pytest.raises(InputError, match=r"data\.noise=0\.1 is for states that go in, and this data has none"):
        DataModule(file=file, noise=0.1).open()
    surrogate = surrogate_of(problem)
    a, start = problem.sample([0], 0), torch.zeros(1, 2)
    with pytest.raises(InputError, match=r"controls on 30 nodes; wanted whole segments: 25, 49, 73"):
        surrogate.drive(a[..., :30], start)
    with pytest.raises(InputError, match=r"start of shape \(1, 3\); wanted \(1, 2\) with the states"):
        surrogate.drive(a, torch.zeros(1, 3))
    with pytest.raises(InputError, match=r"wanted \(batch, 1, nodes\) with the channels \['u'\]"):
        surrogate.drive(a[0], start)
    with pytest.raises(InputError, match=r"controls of shape \(1, 2, .*wanted \(batch, 1, nodes\) with the channels"):
        surrogate.drive(a.expand(-1, 2, -1), start)
    for odd in (a.tolist(), None, a + 1j, a.numpy().astype(object), a.numpy().astype(str)):
        with pytest.raises(InputError, match=r"got controls of .*; wanted a tensor or an array of real numbers"):
            surrogate.drive(odd, start)
    with pytest.raises(InputError, match=r"got a start of torch.complex64; wanted"):
        surrogate.drive(a, start + 1j)
    with pytest.raises(InputError, match="Use drive"):
        surrogate.rollout(window_of(problem).driven(a, start), 3)
    whole = Surrogate(Exact(problem), Window().on(problem.grid, ("s1", "s2"), ("u",)), one(1), one(2), problem)
    with pytest.raises(InputError, match="was not trained on segments"):
        whole.drive(a, start)
