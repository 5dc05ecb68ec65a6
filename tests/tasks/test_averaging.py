"""The running mean of the weights against its recursion; what is validated, tested and saved is the mean."""

import lightning as L
import pytest
import torch

import pdeops
from pdeops.errors import InputError
from pdeops.tasks.averaging import Average

D, SEEN = 0.75, {}


class Recursion(L.Callback):
    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        SEEN.setdefault("weights", []).append(next(pl_module.parameters()).detach().clone())


def test_the_mean_is_validated_and_saved(run, mine):
    SEEN.clear()
    extra = [
        "callbacks=ema",
        f"callbacks.ema.decay={D}",
        "+callbacks.seen._target_=tests.tasks.test_averaging.Recursion",
    ]
    assert run("train", *mine, *extra, "trainer.max_epochs=1", "test=false", "hydra.run.dir=out")[0] == 0
    # before each step's gradients: the first weights are those of the start
    after = SEEN["weights"][1:] + [
        torch.load("out/checkpoints/last.ckpt", weights_only=True)["current_model_state"][
            "surrogate.model.lifting.0.weight"
        ]
    ]
    mean = after[0]
    for w in after[1:]:
        mean = D * mean + (1 - D) * w
    saved = next(pdeops.load("out").parameters())
    torch.testing.assert_close(saved, mean)
    assert not torch.equal(saved, after[-1])
    assert torch.equal(next(pdeops.load("out/checkpoints/last.ckpt").parameters()), saved)


def test_values_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"callbacks.ema.decay=1: wanted 0 <= decay < 1"):
        Average(1)
