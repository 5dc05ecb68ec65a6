"""The compiled perceptron against torch's and against double precision; where it may not be used, torch's."""

import pytest
import torch

from pdeops.nn import activation
from pdeops.nn import mlp as module
from pdeops.nn.mlp import MLP
from pdeops.nn.pointwise import Pointwise

pytest.importorskip("numba")
SIZES = [(3, 128, 64), (64, 128, 1), (20, 16, 50), (32, 48, 32), (1, 32, 16), (5, 40, 21), (33, 7, 2)]
ROWS = (2, 103, 151)  # no multiple of a tile or of a chunk


def leaves(sizes, rows=ROWS):
    torch.manual_seed(0)
    model = MLP(*sizes)
    for bias in (model[0].bias, model[2].bias):
        torch.nn.init.normal_(bias)
    return model, torch.randn(*rows, sizes[0], requires_grad=True)


def plain(model):
    """The same weights by torch's operators."""
    return torch.nn.Sequential(model[0], torch.nn.GELU(), model[2])


def gradients(model, x, dy):
    y = model(x)
    return [y, *torch.autograd.grad(y, [x, *model.parameters()], dy.to(y.dtype))]


def error(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.fixture
def passes(monkeypatch):
    """How many compiled passes were taken."""
    job, taken = activation.required("job")[0], []
    run = job.run
    monkeypatch.setattr(job, "run", lambda f, *a: (taken.append(f), run(f, *a)))
    return taken


@pytest.mark.parametrize("sizes", SIZES)
def test_value_and_gradients(sizes, passes):
    model, x = leaves(sizes)
    dy = torch.randn(*ROWS, sizes[2])
    ours = gradients(model, x, dy)
    assert len(passes) == 2
    theirs = gradients(plain(model), x, dy)
    exact = gradients(plain(model).double(), x.detach().double().requires_grad_(), dy)
    for i, (a, b, c) in enumerate(zip(ours, theirs, exact, strict=True)):
        assert a.shape == b.shape
        assert error(a, c) < 1e-6, i
        assert error(a, b) < 4e-6, i


def test_second_derivatives():
    model, x = leaves((20, 16, 50))
    dy = torch.randn(*ROWS, 50, requires_grad=True)
    found = []
    for chain in (model, plain(model)):
        wanted = [x, *chain.parameters()]
        first = torch.autograd.grad(chain(x), wanted, dy, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), [*wanted, dy], allow_unused=True))
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        assert a is None or error(a, b) < 1e-5


def test_gradients_with_a_graph_where_it_is_applied_twice():
    """The second input depends on the weights: their gradients count that way once."""
    model, x = leaves((32, 48, 32))
    y = model(model(x))
    found = [torch.autograd.grad(y.square().sum(), [x, *model.parameters()], create_graph=k) for k in (True, False)]
    assert all(error(a, b) < 1e-5 for a, b in zip(*found, strict=True))


def test_batched_gradients():
    model, x = leaves((20, 16, 50))
    dy = torch.randn(2, *ROWS, 50)
    found = [torch.autograd.grad(m(x), [x, *m.parameters()], dy, is_grads_batched=True) for m in (model, plain(model))]
    assert all(error(a, b) < 1e-5 for a, b in zip(*found, strict=True))


def test_only_some_gradients_and_none(passes):
    model, x = leaves((3, 32, 8))
    x.requires_grad_(False)
    model[0].weight.requires_grad_(False)
    y = model(x)
    y.sum().backward()
    assert x.grad is None
    assert model[0].weight.grad is None
    assert model[0].bias.grad is not None
    with torch.no_grad():
        assert torch.equal(model(x), y)
    assert len(passes) == 3


def test_channels_moved_to_the_end(passes):
    model, x = leaves((3, 32, 8))
    assert torch.equal(model(x.movedim(-1, 1).contiguous().movedim(1, -1)), model(x))
    assert len(passes) == 2


def test_bits_do_not_depend_on_threads(threads):
    model, x = leaves((20, 16, 50))
    dy, found = torch.randn(*ROWS, 50), []
    for n in (1, 2, 5):
        threads(n)
        found.append(gradients(model, x, dy))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_what_it_does_not_take(passes, monkeypatch):
    model, x = leaves((3, 32, 8))
    monkeypatch.setattr(module, "_forward", None)  # taken, it is an error
    with pytest.raises(TypeError), torch.no_grad():
        model(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
    hook = model[1].register_forward_hook(lambda *_: None)
    model(x)
    hook.remove()
    model[1] = torch.nn.ReLU()
    assert torch.equal(model(x), model[2](torch.relu(model[0](x))))
    MLP(3, 32, 8).double()(x.double())
    assert type(MLP(3, 32, 8)[0]) is Pointwise
    monkeypatch.setattr(activation, "passes", lambda *_: None)
    MLP(3, 32, 8)(x)


@pytest.mark.parametrize("shape", [(4, 64, 64, 5), (4, 64, 64, 16), (131072,)])
def test_inputs_of_another_shape_are_torchs_to_refuse(shape):
    """Large ones: the compiled pass would read what is not there."""
    with pytest.raises((RuntimeError, IndexError)):
        MLP(8, 16, 8)(torch.randn(shape))


def test_an_empty_hidden_layer_is_torchs():
    x = torch.randn(2, 100, 100, 8)
    mlp = MLP(8, 0, 8)
    torch.testing.assert_close(mlp(x), mlp[2].bias.expand_as(x))
