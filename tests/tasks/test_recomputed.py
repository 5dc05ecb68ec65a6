"""Blocks computed again backwards: the same gradients, and fewer tensors kept."""

from types import SimpleNamespace

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.tasks.recomputed import Recompute
from pdeops.window import Window
from tests.models.test_contract import NAMES, build, randn

WITHOUT = ["deeponet", "pod_deeponet"]
LITTLE = ["unet", "neuralop_fno", "neuralop_tfno", "neuralop_uno", "sno"]  # small pieces, or most of it on one level
NOTHING = ["nsm_published"]  # what enters its layers is all that they keep


def kept_and_gradients(model, a):
    """Numbers that are kept for the backward pass, parameters aside; gradients."""
    own, kept = {p.data_ptr() for p in model.parameters()}, {}

    def pack(t):
        if t.data_ptr() not in own:
            kept[t.data_ptr()] = t.numel()
        return t

    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss = model(a).square().mean()
    loss.backward()
    return sum(kept.values()), [p.grad.clone() for p in model.parameters()]


def task_of(model):
    one = Normalizer(torch.zeros(1), torch.ones(1))
    surrogate = Surrogate(model, Window().on(Grid.periodic((16, 16)), "u", "a"), one, one)
    return SimpleNamespace(surrogate=surrogate)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_gradients_from_less(name):
    model, a, callback = build(name, Grid.periodic((16, 16))), randn(name, 2, 16, 16), Recompute()
    if name in WITHOUT:
        with pytest.raises(InputError, match=r"recompute=true: .* has no blocks"):
            callback.on_fit_start(None, task_of(model))
        return
    plain, gradients = kept_and_gradients(model, a)
    callback.on_fit_start(None, task_of(model))
    less, again = kept_and_gradients(model, a)
    for p, q in zip(gradients, again, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)
    assert less < (0.97 if name in LITTLE else 0.8) * plain or (name in NOTHING and less == plain)
    callback.on_fit_end(None, task_of(model))
    assert kept_and_gradients(model, a)[0] == plain
