"""Compiled passes against torch's and against double precision; where they may not be used, torch's."""

import multiprocessing
import os
import subprocess
import sys
import threading
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pdeops.nn import activation
from pdeops.nn.activation import GELU, gated_gelu, gelu

pytest.importorskip("numba")
SHAPE = (3, 50, 7, 33)  # no multiple of a vector, of a block or of a chunk


@pytest.fixture
def passes(monkeypatch):
    """How many compiled passes were taken."""
    job = activation.required("job")[0]
    taken, run = [], job.run
    monkeypatch.setattr(job, "run", lambda *a: (taken.append(a[0]), run(*a)))
    return taken


def exact(x):
    """gelu and its derivative in double precision."""
    x = x.double()
    phi = torch.special.ndtr(x)
    return x * phi, phi + x * torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5


def gated_leaves(shape=SHAPE):
    torch.manual_seed(0)
    return [torch.randn(s).requires_grad_() for s in (shape, shape[-1:], shape)]


def torch_gated(m, gate, v):
    return F.gelu(torch.addcmul(m, gate, v))


def close(a, b, rtol=2e-6):
    return (a - b).abs().max() <= rtol * b.abs().max()


def test_as_accurate_as_single_precision_allows(passes):
    x = torch.linspace(-20, 20, 2_000_001).requires_grad_()
    y = gelu(x)
    y.sum().backward()
    assert len(passes) == 2
    value, slope = exact(x.detach())
    scale = x.detach().abs().clamp_min(1)
    assert ((y - value).abs() / scale).max() <= 2.1e-7  # torch's: 3.8e-7
    assert ((x.grad - slope).abs() / scale).max() <= 2e-7  # torch's: 2.7e-7


def test_infinities_zero_and_nan(passes):
    x = torch.zeros(20_000)
    x[:5] = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0, -1e30])
    x.requires_grad_()
    y = gelu(x)
    y.backward(torch.ones_like(y))
    assert len(passes) == 2
    assert y[0] == torch.inf
    assert y[1] == 0
    assert y[2].isnan()
    assert (y[3:] == 0).all()
    assert torch.equal(x.grad[[0, 3, 5]], torch.tensor([1.0, 0.5, 0.5]))
    assert x.grad[[1, 4]].abs().max() < 2e-8
    assert x.grad[2].isnan()


@pytest.mark.parametrize("shape", [SHAPE, (20_000, 1), (7, 3000), (40_000,)])
def test_gate_and_its_gradients_are_torchs(shape, passes):
    leaves, dy = gated_leaves(shape), torch.randn(shape)
    ours, theirs = gated_gelu(*leaves), torch_gated(*leaves)
    assert close(ours, theirs)
    for a, b in zip(torch.autograd.grad(ours, leaves, dy), torch.autograd.grad(theirs, leaves, dy), strict=True):
        assert close(a, b)
    assert len(passes) == 2


def test_bits_do_not_depend_on_threads(threads):
    leaves, dy = gated_leaves(), torch.randn(SHAPE)
    found = []
    for n in (1, 2, 5):
        threads(n)
        y = gated_gelu(*leaves)
        found.append([y, gelu(leaves[0]), *torch.autograd.grad(y, leaves, dy)])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize(("ours", "theirs", "count"), [(gelu, F.gelu, 1), (gated_gelu, torch_gated, 3)])
def test_second_derivatives(ours, theirs, count):
    leaves = gated_leaves()[:count]
    found = []
    for function in (ours, theirs):
        first = torch.autograd.grad(function(*leaves).square().sum(), leaves, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))
    assert all(close(a, b) for a, b in zip(*found, strict=True))


def test_transforms_see_torch(passes):
    x, t = torch.randn(20_000), torch.randn(20_000)
    slope = exact(x)[1]
    assert close(torch.func.grad(lambda x: gelu(x).sum())(x), slope)
    assert close(torch.func.jvp(gelu, (x,), (t,))[1], slope * t)
    assert torch.equal(torch.func.vmap(gelu)(x.view(2, -1)), F.gelu(x).view(2, -1))
    with torch.autograd.forward_ad.dual_level():
        y = gelu(torch.autograd.forward_ad.make_dual(x, t))
        assert close(torch.autograd.forward_ad.unpack_dual(y).tangent, slope * t)
    assert passes == []


def test_batched_gradients():
    leaves = gated_leaves()
    dy = torch.randn(2, *SHAPE)
    ours = torch.autograd.grad(gated_gelu(*leaves), leaves, dy, is_grads_batched=True)
    theirs = torch.autograd.grad(torch_gated(*leaves), leaves, dy, is_grads_batched=True)
    assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(200, 200).T,
        torch.randn(0, 3),
        torch.randn(()),
        torch.randn(20_000).double(),
        torch.randn(20_000).bfloat16(),
        torch.randn(20_000, device="meta"),
    ],
)
def test_what_the_passes_do_not_take_is_torchs(x, passes):
    y = gelu(x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert x.is_meta or torch.equal(y, F.gelu(x))
    assert passes == []


def test_export_and_trace_see_torch(passes):
    x = torch.randn(20_000)
    exported = torch.export.export(GELU(), (x,))
    assert any("gelu" in str(node.target) for node in exported.graph.nodes)
    assert "aten::gelu" in str(torch.jit.trace(GELU(), x, check_trace=False).graph)
    assert passes == []


def test_inference_autocast_and_copies(passes):
    x = torch.randn(20_000)
    before = x.clone()
    with torch.inference_mode():
        assert close(gelu(x), F.gelu(x))
    with torch.autocast("cpu", torch.bfloat16):
        m, gate, v = gated_leaves()
        assert gated_gelu(m.bfloat16(), gate, v).dtype == torch_gated(m.bfloat16(), gate, v).dtype
        assert gelu(x).dtype == F.gelu(x).dtype
    assert not gelu(x).requires_grad
    assert torch.equal(deepcopy(GELU())(x), gelu(x))
    assert torch.equal(x, before)
    assert len(passes) > 3


def test_a_saved_tensor_changed_is_noticed():
    x = torch.randn(20_000, requires_grad=True) * 1
    y = gelu(x)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_expanded_gradients():
    x = torch.randn(20_000, requires_grad=True)
    gelu(x).sum().backward()
    assert close(x.grad, exact(x.detach())[1])


def test_without_numba_it_is_torchs(monkeypatch):
    monkeypatch.setattr(activation, "passes", lambda *_: None)
    leaves = gated_leaves()
    assert torch.equal(gelu(leaves[0]), F.gelu(leaves[0]))
    assert torch.equal(gated_gelu(*leaves), torch_gated(*leaves))


def test_without_a_team_it_is_done_alone(monkeypatch):
    x = torch.randn(100_000)
    y = gelu(x)
    monkeypatch.setattr(activation.required("job")[0], "_team", lambda: None)
    assert torch.equal(gelu(x), y)


def _child(queue, x):
    queue.put((activation.threads(), np.asarray(gelu(x))))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork(threads):
    threads(2)
    x = torch.randn(100_000)
    y = gelu(x)  # begins a pool, which the child has not
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(queue, x))
    child.start()
    used, found = queue.get()
    child.join(60)
    assert child.exitcode == 0
    assert used == 1
    assert np.array_equal(found, y.numpy())


def test_in_threads_at_once(threads):
    threads(2)
    x = torch.randn(300_000)
    y, found = gelu(x), []
    callers = [threading.Thread(target=lambda: found.append(gelu(x))) for _ in range(4)]
    for t in callers:
        t.start()
    for t in callers:
        t.join()
    assert len(found) == 4
    assert all(torch.equal(f, y) for f in found)


def test_numba_is_imported_only_for_large_tensors():
    code = (
        "import sys, torch, pdeops, pdeops.models.fno; from pdeops.nn.activation import gelu\n"
        "gelu(torch.zeros(3)); assert 'numba' not in sys.modules\n"
        "gelu(torch.zeros(20_000)); assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
