"""The compiled block against torch's and against double precision; where it may not be used, torch's."""

import pytest
import torch

from pdeops.models import fno
from pdeops.nn import activation, block
from pdeops.nn.activation import GELU
from pdeops.nn.mlp import MLP
from pdeops.nn.pointwise import Pointwise

pytest.importorskip("numba")
SHAPE = (2, 37, 41)  # no multiple of a tile or of a chunk
NAMES = ("s", "v", "skip", "skip bias", "first", "first bias", "second", "second bias", "gate")


def made(shape=SHAPE, channels=48, hidden=32, dtype=torch.float32):
    """The inputs of a block: s, v, its parameters."""
    torch.manual_seed(0)
    field, c, h = (*shape, channels), channels, hidden
    sizes = (field, field, (c, c), (c,), (h, c), (h,), (c, h), (c,), (c,))
    scale = [1, 1, c**-0.5, 1, c**-0.5, 1, h**-0.5, 1, 1]
    return [(torch.randn(n) * k).to(dtype).requires_grad_() for n, k in zip(sizes, scale, strict=True)]


def modules(inputs):
    """s, v, skip, mlp and gate of these inputs; the modules take them for their weights."""
    s, v, w, b, w1, b1, w2, b2, gate = inputs
    skip, chain = Pointwise(*w.shape), MLP(*w1.shape[::-1], len(w2))
    layers = skip, chain[0], chain[2]
    for layer, weight, bias in zip(layers, (w, w1, w2), (b, b1, b2), strict=True):
        del layer.weight, layer.bias
        layer.weight, layer.bias = weight, bias
    return s, v, skip, chain, gate


def compiled(inputs, last):
    return block._Fused.apply(last, *inputs)


def plain(inputs, last):
    s, v, skip, mlp, gate = modules(inputs)
    return block.residual(s.add, v, skip, torch.nn.Sequential(mlp[0], torch.nn.GELU(), mlp[2]), gate, (), last)


def gradients(function, inputs, last, dout):
    y = function(inputs, last)
    return [y, *torch.autograd.grad(y, inputs, dout.to(y.dtype))]


def error(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.fixture
def passes(monkeypatch):
    """The compiled passes over blocks that were taken."""
    job = activation.required("job")[0]
    known, run, taken = activation.required("block")[0], job.run, []
    names = {known.forward: "forward", known.backward: "backward"}
    monkeypatch.setattr(job, "run", lambda f, *a: (taken.append(names[f]) if f in names else None, run(f, *a)))
    return taken


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("shape", "channels", "hidden"),
    [(SHAPE, 48, 32), ((1, 5), 16, 48), ((3, 4096), 64, 16), ((70, 1, 1), 32, 32), (SHAPE, 20, 10)],
)
def test_value_and_gradients(shape, channels, hidden, last, passes, monkeypatch):
    monkeypatch.setattr(activation, "LEAST", 0)
    inputs = made(shape, channels, hidden)
    dout = torch.randn(*shape, channels)
    exact = gradients(plain, [x.detach().double().requires_grad_() for x in inputs], last, dout)
    ours = gradients(compiled, inputs, last, dout)
    assert passes == ["forward", "backward"]
    theirs = gradients(plain, inputs, last, dout)
    for name, a, b, c in zip(("out", *NAMES), ours, theirs, exact, strict=True):
        assert error(a, c) < 1e-6, name
        assert error(a, b) < 4e-6, name


@pytest.mark.parametrize("last", [False, True])
def test_second_derivatives(last):
    inputs = made((2, 30, 20), 32, 16)
    dout = torch.randn(2, 30, 20, 32, requires_grad=True)
    found = []
    for function in (compiled, plain):
        first = torch.autograd.grad(function(inputs, last), inputs, dout, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), [*inputs, dout], allow_unused=True))
    for name, a, b in zip((*NAMES, "dout"), *found, strict=True):
        assert (a is None) == (b is None), name
        assert a is None or error(a, b) < 1e-5, name


def test_gradients_with_a_graph_where_one_input_depends_on_another():
    """As in a network, where s is made of v."""
    _, v, *weights = made((2, 30, 20), 32, 16)
    y = compiled([v.sin(), v, *weights], False)
    found = [torch.autograd.grad(y.square().sum(), [v, *weights], create_graph=k) for k in (True, False)]
    for name, a, b in zip(NAMES[1:], *found, strict=True):
        assert error(a, b) < 1e-5, name


def test_only_some_gradients_and_none():
    inputs = made()
    for x in inputs[::2]:
        x.requires_grad_(False)
    y = compiled(inputs, False)
    assert torch.equal(y, block.fused(*modules(inputs), last=False))
    y.sum().backward()
    assert [x.grad is None for x in inputs] == [not x.requires_grad for x in inputs]
    with torch.no_grad():
        assert torch.equal(y, block.fused(*modules(inputs), last=False))


def test_batched_gradients():
    inputs = made((2, 20, 20), 32, 32)
    dout = torch.randn(2, 2, 20, 20, 32)
    ours, theirs = (
        torch.autograd.grad(f(inputs, False), inputs, dout, is_grads_batched=True) for f in (compiled, plain)
    )
    assert all(error(a, b) < 1e-5 for a, b in zip(ours, theirs, strict=True))


def test_bits_do_not_depend_on_threads(threads):
    inputs, dout = made(), torch.randn(*SHAPE, 48)
    found = []
    for n in (1, 2, 5):
        threads(n)
        found.append(gradients(compiled, inputs, False, dout))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_nan_and_infinity_stay_in_their_rows():
    inputs = made()
    clean = compiled(inputs, False)
    with torch.no_grad():
        inputs[0][1, 2, 3, 4], inputs[0][0, 0, 0, 0] = torch.nan, torch.inf
    y = compiled(inputs, False)
    assert y[1, 2, 3].isnan().all()
    hurt = torch.zeros(SHAPE, dtype=torch.bool)
    hurt[1, 2, 3] = hurt[0, 0, 0] = True
    assert torch.equal(y[~hurt], clean[~hurt])


def test_an_fno_takes_it(passes):
    from pdeops.grid import Grid

    grid, fine = Grid.periodic((32, 30)), Grid.periodic((64, 48))
    model = fno.FNO(1, 1, grid, grid, width=32, modes=6, depth=2)
    a = torch.randn(2, 1, 32, 30)
    for out in (None, fine):
        ours, exact = model(a, out=out), model.double()(a.double(), out=out)
        assert error(ours, exact) < 2e-6
        model.float()
    assert passes == ["forward"] * 4
    model(a).sum().backward()
    assert passes == ["forward"] * 6 + ["backward"] * 2


def parts(channels=32, hidden=32):
    return [torch.randn(2, 40, 40, channels), Pointwise(channels, channels), MLP(channels, hidden, channels)]


def test_what_it_does_not_take(monkeypatch):
    v, skip, chain = parts()
    gate = torch.ones(32)
    assert block.fits(v, skip, chain, gate, ())
    assert not block.fits(v, skip, None, gate, ())
    assert not block.fits(v, skip, chain, gate, (GELU(),))
    assert not block.fits(v.double(), skip, chain, gate, ())
    assert not block.fits(v.transpose(1, 2), skip, chain, gate, ())
    assert not block.fits(v, skip, chain, gate.double(), ())
    assert not block.fits(v, torch.nn.Linear(32, 32), chain, gate, ())
    assert not block.fits(v, skip, torch.nn.Sequential(*chain), gate, ())
    chain[1] = torch.nn.ReLU()
    assert not block.fits(v, skip, chain, gate, ())
    chain[1] = GELU()
    with torch.autocast("cpu", torch.bfloat16):
        assert not block.fits(v, skip, chain, gate, ())
    for part in (skip, chain, chain[1]):
        hook = part.register_forward_hook(lambda *_: None)
        assert not block.fits(v, skip, chain, gate, ())
        hook.remove()
    assert block.fits(v, skip, chain, gate, ())
    monkeypatch.setattr(activation, "passes", lambda *_: None)
    assert not block.fits(v, skip, chain, gate, ())
