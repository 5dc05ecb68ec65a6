"""Training over outputs in a row, against the gain g of u' = g a, of which everything is known."""

import functools

import pytest
import torch

import pdeops
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.residual import Residual
from pdeops.losses.supervised import MeanSquare
from pdeops.models.nsm import NSM
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.surrogate import Surrogate
from pdeops.tasks.fit import Fit
from pdeops.tasks.unrolled import longest, steps_in, unrolled_loss
from pdeops.window import Batch, Window

G, K = 1.25, 3


class Gain(torch.nn.Module):
    """Every frame that comes out is g times the last one that went in."""

    def __init__(self, window):
        super().__init__()
        self.g, self.window = torch.nn.Parameter(torch.tensor(G, dtype=torch.float64)), window

    def forward(self, a, out=None):
        last = self.window.history_frames(a)[:, :, -1:]
        return self.window.stack(self.g * last.expand(-1, -1, self.window.n_out, -1))


def setup(history="channel", n_in=2, n_out=1):
    grid = Grid((Axis("time", 12, 11.0, "uniform"), Axis("x", 8)))
    window = Window(n_in=n_in, n_out=n_out, history=history).on(grid, ("u",), ("c",))
    one = [Normalizer(torch.zeros(n), torch.ones(n)) for n in (window.in_channels, window.out_channels)]
    surrogate = Surrogate(Gain(window), window, *one).double()
    frames = torch.randn(4, 1, n_in + K * n_out, 8, dtype=torch.float64)
    batch = Batch(window.make_input(frames[:, :, :n_in], frames[:, :, 0]), window.stack(frames[:, :, n_in:]))
    return surrogate, batch, frames


@pytest.mark.parametrize("history", ["channel", "time"])
@pytest.mark.parametrize("n_out", [1, 2])
@pytest.mark.parametrize("pushforward", [False, True])
def test_losses_and_gradients_are_those_of_the_powers(history, n_out, pushforward):
    surrogate, batch, frames = setup(history, n_out=n_out)
    loss = unrolled_loss(surrogate, MeanSquare(surrogate.window), batch, K, pushforward)
    loss.backward()
    g = torch.tensor(G, dtype=torch.float64, requires_grad=True)
    w, truths = frames[:, :, 1:2], frames[:, :, 2:].split(n_out, dim=2)
    errors = [(g**k * w - v).square().mean() for k, v in enumerate(truths, 1)]
    expected = (g * (G ** (K - 1) * w) - truths[-1]).square().mean() if pushforward else sum(errors) / K
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(surrogate.model.g.grad, g.grad)


def test_fewer_steps_than_a_batch_holds():
    surrogate, batch, frames = setup()
    loss = unrolled_loss(surrogate, MeanSquare(surrogate.window), batch, 1, False)
    torch.testing.assert_close(loss, (G * frames[:, :, 1] - frames[:, :, 2]).square().mean())


def test_steps_by_epoch():
    schedule = {2: 2, 5: 4}
    assert [steps_in(e, schedule) for e in range(7)] == [1, 1, 2, 2, 2, 4, 4]
    assert [steps_in(e, 3) for e in range(2)] == [3, 3]
    assert longest(schedule) == 4
    for wrong in (0, {0: 0}, {-1: 2}, {0: 1.5}):
        with pytest.raises(InputError, match=r"task.rollout=.*: wanted a number of steps"):
            longest(wrong)


def test_an_epoch_takes_its_steps():
    surrogate, batch, _ = setup()
    task = Fit(
        surrogate, MeanSquare(surrogate.window), optimizer=functools.partial(torch.optim.SGD), rollout={0: 1, 1: K}
    )
    for epoch, steps in ((0, 1), (1, K)):
        type(task).current_epoch = property(lambda self, epoch=epoch: epoch)
        try:
            found = task._training_loss(batch)
        finally:
            del type(task).current_epoch
        torch.testing.assert_close(found, unrolled_loss(surrogate, task.loss, batch, steps, False))


@pytest.mark.parametrize(
    "options",
    [
        ["task.rollout={0:1,1:2}", "data.noise=0.1"],
        ["task.rollout=2", "task.pushforward=true"],
        ["task.rollout=2", "model=sfno", "data.window.n_out=1", "model.latent_steps=2", "model.time_modes=1"],
    ],
)
def test_runs(run, tiny, options):
    status, out, err = run("train", *tiny, *options, "hydra.run.dir=out")
    assert status == 0, err
    assert "test/relative_l2" in out
    assert pdeops.load("out").window.n_out == 1


def test_a_loss_with_a_lattice_of_its_own_is_asked_there():
    """Frames go in, the lattice goes to the loss."""
    problem = ReactionDiffusion(n=16, frames=8)
    window = Window(n_out=2, history="time").on(problem.grid, ("u",), ("u",))
    model = NSM(1, 1, window.grid_in, window.grid_out, width=4, modes=4, nodes=8, depth=1)
    one = [Normalizer(torch.zeros(1), torch.ones(1)) for _ in range(2)]
    surrogate = Surrogate(model, window, *one, problem).double()
    loss = Residual(window, problem=problem, mild=True, collocation=model.collocation)
    a = problem.sample([0, 1], 0).unsqueeze(2)
    batch = Batch(a, torch.zeros(2, 1, 4, 16, dtype=torch.float64), out=model.collocation)
    found = unrolled_loss(surrogate, loss, batch, 2, False)
    states = [a, surrogate(a)[:, :, -1:]]
    each = [loss(surrogate(s, model.collocation), Batch(s, out=model.collocation)) for s in states]
    torch.testing.assert_close(found, sum(each) / 2)
    torch.testing.assert_close(unrolled_loss(surrogate, loss, batch, 2, True), each[1])
    with pytest.raises(InputError, match="formed on"):
        loss(surrogate(a), Batch(a))
