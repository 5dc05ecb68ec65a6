"""Attention as an expectation: dense sums, trapezoids, duplicates, masks, half precision."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pdeops.grid import Axis, Grid
from pdeops.nn.attention import Attention, FeedForward, continuum_attention, log_measure, log_weights
from pdeops.points import Points


def dense(q, k, v, w, scale):
    """sum_j w_j e^(s q.k_j) v_j / sum_j w_j e^(s q.k_j)."""
    p = w.view(-1, 1, 1, w.shape[-1]) * torch.exp(scale * torch.einsum("bhid,bhjd->bhij", q, k))
    return torch.einsum("bhij,bhjc->bhic", p / p.sum(-1, keepdim=True), v)


def samples(n=33, m=21, dtype=torch.float64, batch=2):
    return (torch.randn(batch, 3, size, 4, dtype=dtype) for size in (m, n, n))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("shape", [(33,), (2, 33)])
def test_equals_the_dense_sum(dtype, error, shape):
    q, k, v = samples(dtype=dtype)
    w = torch.rand(shape, dtype=dtype) ** 4 + 1e-3
    found = continuum_attention(q, k, v, log_weights(w), scale=0.7)
    torch.testing.assert_close(found, dense(q, k, v, w, 0.7), atol=error, rtol=0)
    equal = dense(q, k, v, torch.ones(33, dtype=dtype), 0.5)  # d^(-1/2), four channels
    torch.testing.assert_close(continuum_attention(q, k, v), equal, atol=error, rtol=0)


def test_is_the_trapezoidal_rule_on_sorted_points():
    """Means of neighbouring values times distances, summed, as a rule for e^(q.k(y)) v(y) and e^(q.k(y))."""
    x = torch.rand(50, dtype=torch.float64).sort().values
    q, k, v = samples(n=50)
    e = torch.exp(0.5 * torch.einsum("bhid,bhjd->bhij", q, k))
    f = e.unsqueeze(-1) * v.unsqueeze(2)

    def trapezoid(g, dim):
        return torch.trapezoid(g, x, dim=dim)

    exact = trapezoid(f, 3) / trapezoid(e, 3).unsqueeze(-1)
    h = x.diff()
    w = torch.cat([h[:1], h[1:] + h[:-1], h[-1:]]) / 2
    torch.testing.assert_close(continuum_attention(q, k, v, log_weights(w)), exact, atol=1e-12, rtol=0)


def test_what_has_no_weight_is_not_there():
    q, k, v = samples()
    w = torch.rand(33, dtype=torch.float64) + 0.1
    w[[3, 17]] = 0
    left = w > 0
    for values in (v, v.masked_fill(~left.view(-1, 1), 1e6)):
        found = continuum_attention(q, k, values, log_weights(w))
        kept = continuum_attention(q, k[:, :, left], v[:, :, left], log_weights(w[left]))
        torch.testing.assert_close(found, kept, atol=1e-12, rtol=0)
    assert log_weights(w).isfinite().all()
    assert log_weights(w)[left].exp().mean().item() == pytest.approx(1)


def test_weights_have_gradients_also_where_some_are_zero():
    q, k, v = samples()
    w = (torch.rand(33, dtype=torch.float64) + 0.1).requires_grad_()
    here = torch.arange(33) < 30

    def function(w, q):
        return continuum_attention(q, k, v, log_weights(torch.where(here, w, 0.0)))

    assert torch.autograd.gradcheck(function, (w, q.requires_grad_()), fast_mode=True)
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(function, (w, q), fast_mode=True)


@pytest.mark.parametrize("scale", [None, 0.7])
def test_derivatives_forwards_and_by_transforms(scale):
    q, k, v = samples()
    w = log_weights(torch.rand(33, dtype=torch.float64))
    dq, h = torch.randn_like(q), 1e-6
    _, forwards = torch.func.jvp(lambda q: continuum_attention(q, k, v, w, scale), (q,), (dq,))
    ends = (continuum_attention(q + s * h * dq, k, v, w, scale) for s in (1, -1))
    torch.testing.assert_close(forwards, torch.sub(*ends) / (2 * h), atol=1e-8, rtol=0)


def test_half_precision_with_weights_is_as_good_as_without():
    """Largest errors, medians of seeds: sorted random points with trapezoidal weights."""
    weighted, floor = [], []
    for seed in range(8):
        torch.manual_seed(seed)
        q, k, v = samples(257, 257, torch.float32, 1)
        x = torch.rand(257).sort().values
        h = x.diff()
        w = log_weights(torch.cat([h[:1], h[1:] + h[:-1], h[-1:]]) / 2)
        half = [t.bfloat16() for t in (q, k, v)]
        for errors, log in ((weighted, w), (floor, None)):
            found = continuum_attention(*half, log)
            assert found.dtype == torch.bfloat16
            exact = continuum_attention(*(t.float() for t in half), log)
            errors.append((found.float() - exact).abs().max())
    assert torch.stack(weighted).median() < 1.5 * torch.stack(floor).median()


@pytest.mark.parametrize("nodes", ["cell", "uniform"])
@pytest.mark.parametrize("d", [1, 2])
def test_converges_of_second_order_as_nodes_become_more(nodes, d):
    """Smooth, not periodic: midpoint and trapezoidal rules; equal weights on end points would be of first order."""
    q = torch.randn(1, 1, 5, 2, dtype=torch.float64)

    def on(n):
        grid = Grid(Axis(name, n, nodes=nodes) for name in "xy"[:d])
        x = grid.points().flatten(0, -2).sum(-1)
        k = torch.stack([(2 * x).sin(), x**2], -1).view(1, 1, -1, 2)
        return continuum_attention(q, k, (x.exp() * x).view(1, 1, -1, 1), log_measure(grid))

    n = (9, 27, 513 if d == 1 else 161)
    coarse, fine, exact = (on(k + (nodes == "uniform")) for k in n)
    order = torch.log((coarse - exact).norm() / (fine - exact).norm()) / torch.log(torch.tensor(3.0))
    assert 1.9 < order < 2.2


def test_equal_weights_need_none():
    assert log_measure(Grid([Axis("x", 4), Axis("y", 5, nodes="cell")])) is None
    assert log_measure(Grid([Axis("x", 4), Axis("y", 5, nodes="uniform")])).shape == (20,)
    assert log_measure(Points(torch.rand(3, 2))) is None
    assert log_measure(Points(torch.rand(2, 3, 2), mask=torch.ones(2, 3, dtype=torch.bool))).shape == (2, 3)


def test_without_its_branches_a_layer_is_the_identity():
    v = torch.randn(2, 7, 8)
    attention, perceptron = Attention(8, 2), FeedForward(8, 16)
    for last in (attention.out, perceptron.mlp[2]):
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
    assert torch.equal(attention(v), v)
    assert torch.equal(perceptron(v), v)


def test_who_asks_is_not_asked():
    attention, v = Attention(8, 2), torch.randn(2, 9, 8)
    whole = attention(v[:, :6])
    more = attention(v, known=6)
    torch.testing.assert_close(more[:, :6], whole, atol=1e-6, rtol=0)
    again = attention(torch.cat([v[:, :6], v[:, 2:3]], 1), known=6)
    torch.testing.assert_close(again[:, 6], whole[:, 2], atol=1e-6, rtol=0)
