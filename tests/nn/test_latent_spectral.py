"""The neural spectral block beside its formula, compiled passes beside torch's operators."""

from math import pi

import pytest
import torch

from pdeops.errors import InputError
from pdeops.nn import latent_spectral
from pdeops.nn.latent_spectral import NeuralSpectralBlock

CASES = [((16,), 8, 4, 2, 3), ((12, 8), 12, 4, 3, 4), ((4, 6, 8), 8, 2, 8, 4)]
LARGE = [((256, 64), 32, 8, 8, 4), ((48, 80), 48, 16, 8, 4), ((512,), 40, 8, 5, 3), ((8, 16, 24), 64, 4, 8, 4)]


def block(channels, patches, heads, tokens, **options):
    torch.manual_seed(0)
    b = NeuralSpectralBlock(channels, patches, heads=heads, tokens=tokens, **options)
    with torch.no_grad():
        b.series.normal_()
    return b


def formula(b, x):
    """Patch by patch and head by head, keys and values formed at every node."""
    heads, _, dh = b.tokens.shape
    m, out = b.basis, x.clone()
    scale = dh**-0.5 if b.scaled else 1.0
    sizes = [k // b.patches for k in x.shape[2:]]
    for corner in torch.cartesian_prod(*[torch.arange(b.patches)] * len(sizes)).view(-1, len(sizes)).tolist():
        place = slice(None), slice(None), *(slice(i * s, (i + 1) * s) for i, s in zip(corner, sizes, strict=True))
        nodes = x[place].flatten(2).mT
        k, v, q = (map(nodes).unflatten(-1, (heads, dh)) for map in (b.key, b.value, b.query))
        for h in range(heads):
            own = slice(h * dh, (h + 1) * dh)
            z = (scale * b.tokens[h] @ k[:, :, h].mT).softmax(-1) @ v[:, :, h] + b.tokens[h]
            s, c = b.series[: m - 1, own], b.series[m - 1 :, own]
            z = (
                z
                + sum(s[i - 1] * torch.sin(pi * i * z / m) for i in range(1, m))
                + sum(c[i] * torch.cos(pi * i * z / m) for i in range(m))
            )
            y = (scale * q[:, :, h] @ z.mT).softmax(-1) @ z
            out[place][:, own] += y.mT.unflatten(-1, sizes)
    return out


def gradients(b, x, by=lambda b, x: b(x)):
    """Of a random functional: the output, and the gradients of input and weights."""
    x = x.detach().clone().requires_grad_()
    y = by(b, x)
    w = torch.cos(torch.arange(y.numel()).double()).view(y.shape).to(y)
    return [y.detach(), *torch.autograd.grad((w * y).sum(), [x, *b.parameters()])]


def error(u, v):
    return float((u.detach().double() - v.double()).norm() / v.detach().double().norm())


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("n", "channels", "patches", "heads", "tokens"), CASES)
def test_it_is_its_formula(n, channels, patches, heads, tokens, scaled):
    b = block(channels, patches, heads, tokens, scaled=scaled).double()
    x = torch.randn(2, channels, *n, dtype=torch.float64)
    for ours, wanted in zip(gradients(b, x), gradients(b, x, formula), strict=True):
        assert error(ours, wanted) < 1e-12


@pytest.mark.parametrize(("n", "channels", "patches", "heads", "tokens"), LARGE)
def test_compiled_passes_are_the_operators(n, channels, patches, heads, tokens, monkeypatch):
    pytest.importorskip("numba")
    b, x = block(channels, patches, heads, tokens), torch.randn(2, *n, channels).movedim(-1, 1)
    with monkeypatch.context() as patched:
        patched.setattr(latent_spectral, "composed", None)  # not called
        ours = gradients(b, x)
        assert torch.equal(b(x), ours[0])
        with torch.no_grad():
            assert torch.equal(b(x), ours[0])
    for own, wanted in zip(ours, gradients(b.double(), x.double()), strict=True):
        assert error(own, wanted) < 1e-5


def test_large_and_missing_numbers():
    """Tokens of hundreds, logits of thousands; a number that is none stays in its patch."""
    pytest.importorskip("numba")
    b, x = block(32, 4, 8, 4), 300 * torch.randn(2, 64, 64, 32)
    x[0, 3, 3, 5] = torch.nan
    y = b(x.movedim(-1, 1)).movedim(1, -1)
    exact = b.double()(x.double().movedim(-1, 1)).movedim(1, -1)
    assert torch.equal(y.isnan(), exact.isnan())
    assert y[0, :16, :16].isnan().any()
    assert not y[0, 16:].isnan().any()
    near = (y - exact).abs()[~y.isnan()] < 1e-2 * 300
    assert near.double().mean() > 0.999  # a softmax of such logits may fall to either of two


def test_results_do_not_depend_on_threads(threads):
    pytest.importorskip("numba")
    b, x = block(32, 8, 8, 4), torch.randn(3, 64, 64, 32).movedim(-1, 1)
    one = gradients(b, x)
    threads(2)
    assert all(torch.equal(u, v) for u, v in zip(gradients(b, x), one, strict=True))


def test_derivatives_of_higher_order():
    pytest.importorskip("numba")
    b, x = block(16, 4, 4, 2), torch.randn(1, 64, 64, 16).movedim(-1, 1)

    def slope(b, x):
        return torch.autograd.grad(b(x).square().sum(), x, create_graph=True)[0]

    ours, wanted = gradients(b, x, slope), gradients(b.double(), x.double(), slope)
    assert all(error(u, v) < 1e-4 for u, v in zip(ours, wanted, strict=True))


def test_gradients_with_a_graph_where_it_is_applied_twice():
    """The second input depends on the weights: their gradients count that way once."""
    pytest.importorskip("numba")
    b, x = block(16, 4, 4, 2), torch.randn(1, 64, 64, 16).movedim(-1, 1)
    y = b(b(x))
    found = [torch.autograd.grad(y.square().sum(), list(b.parameters()), create_graph=k) for k in (True, False)]
    assert all(error(u, v.detach()) < 1e-5 for u, v in zip(*found, strict=True))


@pytest.mark.parametrize("channels", [8, 16])
def test_batched_gradients(channels):
    """Of the operators (few numbers), and of the compiled passes (many)."""
    b, x = block(channels, 4, 4, 2), torch.randn(1, channels, 8 * channels, 64, requires_grad=True)
    y, inputs = b(x), [x, *b.parameters()]
    dy = torch.randn(2, *y.shape)
    both = torch.autograd.grad(y, inputs, dy, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(y, inputs, d, retain_graph=True) for d in dy]
    assert all(error(u, torch.stack(parts)) < 1e-5 for u, parts in zip(both, zip(*each, strict=True), strict=True))


def test_a_patch_is_a_part_of_the_domain():
    """A field of steps is the same on more nodes: attention over nodes is a mean."""
    b = block(8, 4, 2, 4).double()
    x = torch.randn(1, 8, 8, 12, dtype=torch.float64)

    def finer(u):
        return u.repeat_interleave(3, 2).repeat_interleave(2, 3)

    torch.testing.assert_close(b(finer(x)), finer(b(x)), rtol=1e-12, atol=1e-12)


def test_softmax_and_series_stay_in_single_precision_under_autocast():
    b, x = block(32, 4, 8, 4), torch.randn(2, 32, 32, 32)
    seen = []
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.MonkeyPatch.context() as patched:
        apply, softmax = latent_spectral.Series.apply, torch.nn.functional.softmax
        patched.setattr(latent_spectral.Series, "apply", lambda z, w: (seen.append(z.dtype), apply(z, w))[1])
        patched.setattr(latent_spectral.F, "softmax", lambda x, dim: (seen.append(x.dtype), softmax(x, dim))[1])
        half = b(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert seen == [torch.float32] * 3
    assert error(half, b(x)) < 0.05


def test_heads_and_tokens_differ_from_the_start():
    """Mean cosine between two of a head's tokens, or of a token's heads."""
    for channels in (32, 64, 256):
        torch.manual_seed(0)
        b = NeuralSpectralBlock(channels, 4)
        unit = torch.nn.functional.normalize(b.tokens, dim=-1).flatten(0, 1)
        cosines = unit @ unit.t()
        assert (cosines.sum() - len(unit)) / (len(unit) * (len(unit) - 1)) < 0.2
        assert abs(b.series.mean()) < 0.1 / channels


def test_bad_sizes_are_refused():
    with pytest.raises(InputError, match=r"model\.heads=8 do not divide model\.width=12"):
        NeuralSpectralBlock(12, 4)
    with pytest.raises(InputError, match=r"model\.tokens=0, model\.basis=12: wanted at least 1, 1 and 2"):
        NeuralSpectralBlock(8, 4, tokens=0)
