"""Rows of `task=refine`: what is said of a prediction and of what refinement makes of it."""

import pytest
import torch

from pdeops.tasks.refine import Refine
from tests.refinement.cases import relative, solved
from tests.refinement.test_surrogate import N_IN, N_OUT, STRIDE, frozen


class Trajectories:
    """As `data.dataset.Fields` serves them."""

    def __init__(self, frames, inputs):
        self.all, self.given, self.samples = frames, inputs, range(len(frames))

    def frames(self, samples, starts, count, stride):
        assert starts == [0]
        return self.all[samples, :, : count * stride : stride]

    def inputs(self, samples):
        return self.given[samples]


@pytest.fixture(scope="module")
def shallow():
    changes = {"n": 9, "gravity": (0.5, 2.0), "viscosity": (1e-3, 1e-1)}
    surrogate, _, frames = frozen("time", "shallow_water", **changes)
    _, a, u = solved("shallow_water", frames=STRIDE * (N_IN + 2 * N_OUT) - STRIDE, **changes)
    return surrogate, Trajectories(u, a[:, u.shape[1] :]), frames


def h1(u, length):
    """(B, C): the norm of (1 + |k|^2)^(1/2) u over all frames."""
    k = 2 * torch.pi * torch.fft.fftfreq(u.shape[-1], length / u.shape[-1], dtype=torch.float64)
    weight = (1 + k[:, None] ** 2 + k**2).sqrt()
    return (weight * torch.fft.fft2(u)).abs().square().sum((2, 3, 4)).sqrt()


def test_true_errors_are_those_of_the_worst_channel(shallow):
    surrogate, data, frames = shallow
    truth = frames[:, :, N_IN : N_IN + N_OUT]
    predicted = frames[:, :, N_IN - 1 : N_IN].expand_as(truth)
    rows = list(Refine(tol=1e-5).rows(surrogate, data))
    assert len(rows) == len(data.samples)
    for i, row in enumerate(rows):
        v, exact = predicted[i : i + 1], truth[i : i + 1]
        assert row.before.l2 == pytest.approx(float(relative(v, exact, 0)), rel=1e-5)
        length = surrogate.problem.length
        expected = h1(v - exact, length) / h1(exact, length)
        assert row.before.h1 == pytest.approx(float(expected.amax()), rel=1e-5)
        assert float(expected.amax()) > 1.1 * float(expected.amin())
        assert row.converged
        assert row.after.l2 <= 2e-5
        assert row.serial <= 1e-5
        assert row.after.residual < 1e-2 * row.before.residual
        reference, before, after = row.fields
        torch.testing.assert_close(reference, exact[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(before, v[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(after, exact[0], rtol=1e-3, atol=1e-4)


def test_as_many_samples_as_asked_for(shallow):
    surrogate, data, _ = shallow
    assert len(list(Refine(tol=1e-2, samples=1).rows(surrogate, data))) == 1
