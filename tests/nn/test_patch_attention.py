"""Attention between patches against the official einsums."""

from math import log

import pytest
import torch

from pdeops.nn.patch_attention import PatchAttention


@pytest.mark.parametrize("weighted", [False, True])
def test_attention_is_that_of_whole_patches(weighted):
    """The official einsums, its scale 1 / (nodes of the domain) as our temperature."""
    torch.manual_seed(0)
    batch, count, size, width, heads = 2, 6, 15, 8, 2
    layer, v = PatchAttention(width, heads).double(), torch.randn(batch, count, size, width, dtype=torch.float64)
    each, u = width // heads, layer.norm(v)
    with torch.no_grad():
        layer.temperature.fill_(log(each**0.5 / count))
    w = torch.rand(size, dtype=torch.float64)
    w = w / w.sum() if weighted else torch.full_like(w, 1 / size)
    q, k, values = ((u @ m.T).unflatten(-1, (heads, each)) for m in (layer.query, layer.key, layer.value))
    score = torch.einsum("bpshd,bqshd,s->bhpq", q, k, w * size) / (count * size)
    mean = torch.einsum("bhpq,bqshd->bpshd", score.softmax(-1), values)
    wanted = v + layer.out(mean.flatten(-2))
    torch.testing.assert_close(layer(v, w if weighted else None), wanted, atol=1e-12, rtol=0)
