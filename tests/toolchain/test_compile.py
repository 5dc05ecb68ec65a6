"""torch.compile: one graph, the same values and gradients, no compilation per size."""

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounter

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _forget_graphs():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_one_graph_with_the_values_and_gradients_of_eager_mode(fno, a):
    compiled = copy.deepcopy(fno)
    compiled.compile(fullgraph=True)
    u, v = fno(a), compiled(a)
    torch.testing.assert_close(v, u, rtol=1e-5, atol=1e-6)
    for y in (u, v):
        y.square().sum().backward()
    for (key, p), q in zip(fno.named_parameters(), compiled.parameters(), strict=True):
        assert (p.grad - q.grad).norm() <= 1e-5 * p.grad.norm(), key


def compilations(model, sizes, **options):
    """How many graphs were made for inputs (batch, *grid) of these sizes, in turn."""
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True, **options)
    for batch, *grid in sizes:
        x = torch.randn(batch, 2, *grid)
        torch.testing.assert_close(compiled(x), model(x))
    return counter.frame_count


def test_dynamic_sizes_take_one_graph(fno):
    sizes = [(3, 12, 16), (4, 12, 16), (2, 15, 17), (5, 33, 24), (2, 20, 64)]
    assert compilations(fno, sizes, dynamic=True) == 1


def test_other_sizes_take_a_graph_per_kind_of_change_not_per_size(fno):
    """By default: the first sizes, then any batch, then any grid."""
    sizes = [(2, 12, 16), (3, 12, 16), (5, 12, 16), (2, 15, 17), (4, 33, 24), (2, 20, 64), (7, 12, 16)]
    assert compilations(fno, sizes) <= 3


def test_compiling_in_place_keeps_the_state_dict(fno):
    keys = list(fno.state_dict())
    fno.compile()
    assert list(fno.state_dict()) == keys


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")
def test_a_training_step_in_a_cuda_graph(fno, a):
    fno, a = fno.cuda(), a.cuda()
    eager = copy.deepcopy(fno)
    compiled = torch.compile(fno, mode="reduce-overhead", fullgraph=True)
    for _ in range(4):  # the third call records, later ones replay
        torch.compiler.cudagraph_mark_step_begin()
        fno.zero_grad(set_to_none=True)
        x = torch.randn_like(a)
        compiled(x).square().sum().backward()
    eager(x).square().sum().backward()
    for p, q in zip(eager.parameters(), fno.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-3, atol=1e-4)
