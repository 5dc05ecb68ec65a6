"""Error estimates and refinement as a trained surrogate's user meets them."""

import numpy as np
import pytest
import torch
from torch import nn

from pdeops.bases.fourier import resample
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.window import Window
from tests.refinement.cases import relative, solved

N_IN, N_OUT, STRIDE = 3, 5, 2


class Frozen(nn.Module):
    """The last frame of the history over and over, in the layout of the window, `off` by a factor."""

    def __init__(self, window, off=1.0):
        super().__init__()
        self.window, self.off = window, off

    def forward(self, a, out=None):
        last = self.window.history_frames(a)[:, :, -1:]
        return self.window.stack(self.off * last.repeat_interleave(self.window.n_out, dim=2))


def frozen(history, name="shallow_water", **changes):
    """A surrogate, its input, and the truth of what it predicts, of trajectories `STRIDE` frames apart."""
    problem, a, u = solved(name, frames=STRIDE * (N_IN + 2 * N_OUT) - STRIDE, **changes)
    window = Window(N_IN, N_OUT, STRIDE, history).on(problem.grid, problem.out_names, problem.varying)
    channels = window.in_channels, window.out_channels
    mean, std = torch.full((channels[0],), 0.25), torch.full((channels[0],), 2.0)  # of no effect on what is frozen
    out = Normalizer(mean[:1].expand(channels[1]), std[:1].expand(channels[1]))
    frames = u[:, :, ::STRIDE]
    given = window.make_input(frames[:, :, :N_IN], a[:, len(problem.out_names) :])
    return Surrogate(Frozen(window), window, Normalizer(mean, std), out, problem), given, frames


CASES = [
    ("shallow_water", {"n": 9, "gravity": (0.5, 2.0), "viscosity": (1e-3, 1e-1)}),
    ("burgers1d", {"viscosity": (1e-3, 1e-1), "n": 25}),
]


@pytest.mark.parametrize("history", ["channel", "time"])
@pytest.mark.parametrize(("name", "changes"), CASES)
def test_the_inputs_of_the_problem_are_found_in_those_of_the_window(history, name, changes):
    surrogate, given, frames = frozen(history, name, **changes)
    inputs = surrogate.window.problem_inputs(given)
    assert torch.equal(inputs[:, : frames.shape[1]], frames[:, :, N_IN - 1])
    _, a, _ = solved(name, frames=STRIDE * (N_IN + 2 * N_OUT) - STRIDE, **changes)
    assert torch.equal(inputs[:, frames.shape[1] :], a[:, frames.shape[1] :])


@pytest.mark.parametrize("history", ["channel", "time"])
@pytest.mark.parametrize(("name", "changes"), CASES)
@pytest.mark.parametrize("steps", [None, N_OUT + 3])
def test_predictions_and_rollouts_are_judged_and_refined(history, name, changes, steps):
    surrogate, given, frames = frozen(history, name, **changes)
    ahead = steps or N_OUT
    truth = frames[:, :, N_IN : N_IN + ahead]
    predicted = frames[:, :, N_IN - 1 : N_IN].expand_as(truth)
    true, told = relative(predicted, truth, 0), surrogate.error_estimate(given, steps)
    assert (true / 20 < told.error).all()
    assert (told.error < 20 * true).all()
    seen = []
    found = surrogate.refine(given, tol=1e-5, steps=steps, progress=seen.append)
    u = found.u if steps else surrogate.window.unstack(found.u)
    assert found.u.shape == (surrogate.rollout(given, steps) if steps else surrogate.predict(given)).shape
    assert (relative(u, truth, 0) <= 2e-5).all()
    assert found.converged.all()
    assert seen == [1, 2]


def test_arrays_are_as_good_as_tensors():
    surrogate, given, _ = frozen("time", "burgers1d")
    array = given.numpy().astype(np.float64)
    assert torch.equal(surrogate.error_estimate(array).error, surrogate.error_estimate(given).error)
    assert torch.equal(surrogate.refine(array, tol=1e-3).u, surrogate.refine(given, tol=1e-3).u)
    single = surrogate.refine(array.astype(np.float32), tol=1e-3)
    assert single.u.dtype == torch.float64
    assert single.converged.all()


def test_the_history_is_taken_in_double_precision():
    """Rounded to single precision, as models take it, it would be another trajectory by 1e-7."""
    surrogate, given, frames = frozen("time", "burgers1d")
    found = surrogate.refine(given, tol=1e-9)
    assert (relative(found.u, frames[:, :, N_IN : N_IN + N_OUT], 0) <= 2e-9).all()


def test_no_gradients_and_the_former_mode():
    surrogate, given, _ = frozen("time", "burgers1d")
    surrogate.train()
    assert not surrogate.refine(given.requires_grad_(), tol=1e-2).u.requires_grad
    assert surrogate.training


def test_what_cannot_be_judged_is_refused():
    surrogate, given, _ = frozen("channel", "burgers1d")
    for steps in (0, 2.5):
        with pytest.raises(InputError, match="whole number"):
            surrogate.error_estimate(given, steps)
    with pytest.raises(InputError, match="got an input of shape"):
        surrogate.refine(given[:, 1:])
    surrogate.problem = None
    for call in (surrogate.error_estimate, surrogate.refine):
        with pytest.raises(InputError, match="follow from an evolution equation, and problem=null"):
            call(given)
    steady = Window().on(Grid((Axis("x", 8, nodes="cell"),)), ("u",), ("a",))
    one = Normalizer(torch.zeros(1), torch.ones(1))
    with pytest.raises(InputError, match="follow from an evolution equation"):
        Surrogate(nn.Identity(), steady, one, one).error_estimate(torch.randn(1, 1, 8))


@pytest.mark.parametrize("history", ["channel", "time"])
def test_inputs_on_another_lattice(history):
    surrogate, given, _ = frozen(history, "burgers1d")
    fine = resample(given, (48,))
    expected, found = surrogate.error_estimate(given), surrogate.error_estimate(fine)
    torch.testing.assert_close(found.error, expected.error, rtol=1e-2, atol=0)
    assert surrogate.refine(fine, tol=1e-4).u.shape[-1] == 48
