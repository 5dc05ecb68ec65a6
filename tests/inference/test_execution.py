"""Devices, precisions, threads and the compiler, without a change to what was given."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.inference import execution
from pdeops.inference.execution import running
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.ensemble import Ensemble
from pdeops.window import Window
from tests.inference.cases import GRID, error, inputs_of, surrogate_of
from tests.test_surrogate import make


def test_as_it_is():
    surrogate, a = make().train(), torch.randn(3, 2, 12, 12)
    with running(surrogate) as ready:
        assert torch.equal(ready.predict(a), surrogate.predict(a))
        assert ready is not surrogate
    assert surrogate.training
    assert all(p.requires_grad for p in surrogate.parameters())


@pytest.mark.parametrize("name", ["fno", "mgno", "deeponet", "tno"])
def test_half_precision_is_of_the_model_alone(name):
    surrogate = surrogate_of(name)
    a = inputs_of(surrogate, 3)
    surrogate.normalize_out.mean.fill_(1000.0)  # which bfloat16 holds to 4
    full = surrogate.predict(a)
    with running(surrogate, precision="bf16") as ready:
        half = ready.predict(a)
        coarse = ready.predict(a[..., ::2, ::2])
    assert half.dtype == coarse.dtype == torch.float32
    assert 1e-4 < error(half - 1000, full - 1000) < 0.02
    assert error(coarse - 1000, surrogate.predict(a[..., ::2, ::2]) - 1000) < 0.03


def ensemble():
    """Of two members that roll out."""
    window = Window().on(Grid([Axis("time", 9, nodes="left"), *GRID]), ["u"], ())
    models = [FNO(1, 1, window.grid_in, window.grid_out, width=16, modes=6) for _ in range(2)]
    one = Normalizer.identity(1)
    return Surrogate(Ensemble(models), window, one, one).eval().requires_grad_(False)


def test_half_precision_is_of_all_members():
    whole, a = ensemble(), torch.randn(3, 1, 16, 16)
    with running(whole, precision="bf16") as ready:
        assert 1e-4 < error(ready.predict(a), whole.predict(a)) < 0.02
        assert 1e-4 < error(ready.rollout(a, 3), whole.rollout(a, 3)) < 0.05
        assert 1e-4 < error(ready.predict(a, return_uncertainty=True)[0], whole.predict(a)) < 0.02


def test_double_precision():
    surrogate, a = make(), torch.randn(3, 2, 12, 12, dtype=torch.float64)
    with running(surrogate, precision="64") as ready:
        u = ready.predict(a)
        exact = ready.predict(a * (1 + 1e-12))
    assert u.dtype == torch.float64
    assert 0 < error(exact, u) < 1e-10
    assert error(surrogate.predict(a), u) < 1e-5


def test_threads_are_as_before():
    with running(make(), threads=2):
        assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), running(make(), threads=2):
        raise KeyError
    assert torch.get_num_threads() == 1


def test_refused_in_words(monkeypatch):
    for wrong, message in (
        ({"device": "abacus"}, "device='abacus' is not there: this machine has"),
        ({"precision": "16"}, r"precision='16'; wanted one of \('bf16', '32', '64'\)"),
        ({"threads": 0}, "inference.threads=0: wanted at least 1"),
    ):
        with pytest.raises(InputError, match=message), running(make(), **wrong):
            pass

    def none(needed_by, otherwise):
        raise InputError(f"{needed_by} needs a C++ compiler; or {otherwise}")

    monkeypatch.setattr(execution, "check_compiler", none)
    with pytest.raises(InputError, match="compile=True needs a C"), running(make(), compile=True):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fno", "mgno", "unet", "tno"])
def test_compiled(name):
    surrogate = surrogate_of(name)
    with running(surrogate, compile=True) as ready:
        for batch in (1, 3, 2, 5):
            a = inputs_of(surrogate, batch)
            assert error(ready.predict(a), surrogate.predict(a)) < 1e-5


@pytest.mark.slow
def test_compiled_members():
    whole, a = ensemble(), torch.randn(3, 1, 16, 16)
    with running(whole, compile=True) as ready:
        assert all(member.model._compiled_call_impl is not None for member in ready.members)
        assert error(ready.rollout(a, 3), whole.rollout(a, 3)) < 1e-5
