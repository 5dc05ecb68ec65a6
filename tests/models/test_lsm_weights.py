"""Our LSM with thuml's weights beside the formulas of its mathematics, and beside itself where there is a checkout."""

import os
from importlib.util import module_from_spec, spec_from_file_location
from math import pi
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.lsm_weights import from_lsm

CHECKOUT = os.environ.get("PDEOPS_LSM")
PUBLISHED = [  # width, grid, input channels; parameters (of the published scripts' models)
    (64, (64, 64), 10, 19_188_033),
    (64, (85, 85), 1, 19_187_457),
    (32, (41, 41), 1, 4_812_801),
    (32, (221, 51), 2, 4_812_833),
    (48, (129, 129), 2, 10_804_913),
    (32, (101, 31, 20), 1, 13_457_828),
]


def grid(*n):
    return Grid(Axis(name, k, nodes="uniform") for name, k in zip("xyz", n, strict=False))


def random_state(width, ndim, features, outputs=1, tokens=4, basis=12):
    """What a checkpoint of theirs holds, with batch norms that have seen data."""
    shapes, k = {}, (3,) * ndim

    def twice(name, a, middle, b):
        for i, (m, n) in ((0, (a, middle)), (3, (middle, b))):
            shapes.update({f"{name}.{i}.weight": (n, m, *k)})
            shapes.update({f"{name}.{i + 1}.{p}": (n,) for p in ("weight", "bias", "running_mean", "running_var")})
            shapes.update({f"{name}.{i + 1}.num_batches_tracked": ()})

    widths = [width * f for f in (1, 2, 4, 8, 8)]
    twice("inc.double_conv", width, width, width)
    for l in range(1, 5):
        twice(f"down{l}.maxpool_conv.1.double_conv", widths[l - 1], widths[l], widths[l])
        c = widths[4 - l]
        twice(f"up{l}.conv.double_conv", 2 * c, c, widths[max(3 - l, 0)])
    for l, c in enumerate(widths, 1):
        shapes |= {f"process{l}.weights": (c, 2 * basis), f"process{l}.latent": (8, tokens, c // 8)}
        for name, rows in (("encoder_attn", 2 * c), ("decoder_attn", c)):
            shapes |= {f"process{l}.{name}.weight": (rows, c, *(1,) * ndim), f"process{l}.{name}.bias": (rows,)}
    shapes |= {"outc.conv.weight": (width, width, *(1,) * ndim), "outc.conv.bias": (width,)}
    for name, (m, n) in {"fc0": (features, width), "fc1": (width, 128), "fc2": (128, outputs)}.items():
        shapes |= {f"{name}.weight": (n, m), f"{name}.bias": (n,)}
    torch.manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        fan = max(1, torch.Size(shape[1:]).numel()) if "weight" in name else 4
        state[name] = torch.randn(shape, dtype=torch.float64) / fan**0.5
        if name.endswith("running_var"):
            state[name] = state[name].abs() + 0.5
        if name.endswith("tracked"):
            state[name] = torch.tensor(3)
    return state


def published(state, a):
    """a (B, *n, channels) -> (B, *n, outputs), evaluated: keys and values at every node, 2 M waves, zeros at high
    ends."""
    n, d = a.shape[1:-1], a.ndim - 2
    conv, pool = getattr(F, f"conv{d}d"), getattr(F, f"max_pool{d}d")

    def dense(name, v):
        return v @ state[f"{name}.weight"].flatten(1).mT + state[f"{name}.bias"]

    def twice(name, v):
        for i in (0, 3):
            v = conv(v, state[f"{name}.{i}.weight"], padding=1)
            norm = [state[f"{name}.{i + 1}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
            v = F.batch_norm(v, *norm).clamp(min=0)
        return v

    def block(l, v, patches):
        c = v.shape[1]
        sizes = [k // patches for k in v.shape[2:]]
        split = v.reshape(len(v), c, *(e for s in sizes for e in (patches, s)))
        inner = [3 + 2 * i for i in range(d)]
        x = split.movedim(inner, list(range(-d, 0))).movedim(1, -d - 1).flatten(-d)  # (B, patches..., c, L)
        x = x.mT
        w, q = state[f"process{l}.weights"], state[f"process{l}.latent"]
        k, u = dense(f"process{l}.encoder_attn", x).unflatten(-1, (8, c // 8, 2)).transpose(-4, -3).unbind(-1)
        z = (q @ k.mT).softmax(-1) @ u + q  # (B, patches..., heads, tokens, dh)
        m = w.shape[1] // 2
        angles = pi / m * z[..., None] * torch.arange(m)
        waves = torch.cat([angles.sin(), angles.cos()], -1)
        z = z + torch.einsum("...htim,him->...hti", waves, w.unflatten(0, (8, c // 8)))
        p = dense(f"process{l}.decoder_attn", x).unflatten(-1, (8, c // 8)).transpose(-3, -2)
        y = ((p @ z.mT).softmax(-1) @ z).transpose(-3, -2).flatten(-2)
        y = (x + y).mT.unflatten(-1, sizes).movedim(-d - 1, 1)
        return y.movedim(list(range(-d, 0)), inner).reshape(v.shape)

    lines = [torch.linspace(0, 1, k, dtype=a.dtype) for k in n]
    x = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).expand(len(a), *n, d)
    v = dense("fc0", torch.cat([a, x], -1)).movedim(-1, 1)
    v = F.pad(v, [e for k in reversed(n) for e in (0, -k % 16)])
    levels = [twice("inc.double_conv", v)]
    for l in range(1, 5):
        levels.append(twice(f"down{l}.maxpool_conv.1.double_conv", pool(levels[-1], 2)))
    v = block(5, levels[4], 1)
    for l in range(1, 5):
        mode = {2: "bilinear", 3: "trilinear"}[d]
        v = F.interpolate(v, scale_factor=2, mode=mode, align_corners=True)
        v = twice(f"up{l}.conv.double_conv", torch.cat([block(5 - l, levels[4 - l], 2**l), v], 1))
    v = dense("outc.conv", v.movedim(1, -1))[(slice(None), *map(slice, n))]
    return dense("fc2", F.gelu(dense("fc1", v)))


def error(u, v):
    return float((u - v).detach().norm() / v.detach().norm())


@pytest.mark.parametrize("n", [(32, 48), (41, 37), (21, 16, 18)])
def test_with_their_weights_it_is_their_mathematics(n):
    d = len(n)
    state, a = random_state(8, d, 2 + d), torch.randn(2, *n, 2, dtype=torch.float64, requires_grad=True)
    model = from_lsm(state, grid(*n)).eval()
    ours, theirs = model(a.movedim(-1, 1)).movedim(1, -1), published(state, a)
    assert error(ours, theirs) < 1e-6
    gradients = [torch.autograd.grad(u.square().sum(), a)[0] for u in (ours, theirs)]
    assert error(*gradients) < 1e-6
    single = from_lsm({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, grid(*n)).eval()
    assert error(single(a.float().movedim(-1, 1)).movedim(1, -1).double(), theirs) < 1e-5


@pytest.mark.parametrize(("width", "n", "channels", "parameters"), PUBLISHED)
def test_as_many_parameters_as_published(width, n, channels, parameters):
    """But for what no output depends on: weights of sin(0), biases of keys, a linear map before another."""
    d = len(n)
    state = random_state(width, d, channels + d, outputs=4 if d == 3 else 1)
    learned = {k: v for k, v in state.items() if "running" not in k and "tracked" not in k}
    assert sum(v.numel() for v in learned.values()) == parameters
    idle = 2 * sum(width * f for f in (1, 2, 4, 8, 8)) + width * (width + 1)
    assert sum(p.numel() for p in from_lsm(state, grid(*n)).parameters()) == parameters - idle


@pytest.mark.skipif(not CHECKOUT, reason="PDEOPS_LSM is not set to a checkout of thuml's Latent-Spectral-Models")
@pytest.mark.parametrize(("n", "padding"), [((32, 48), (0, 0)), ((41, 37), (7, 11)), ((21, 31, 20), (11, 1, 12))])
def test_it_is_their_network(n, padding, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)  # of their constructors
    spec = spec_from_file_location("theirs", Path(CHECKOUT) / "models" / f"LSM_{len(n)}D.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    patch = ",".join(str((k + e) // 16) for k, e in zip(n, padding, strict=True))
    options = {"padding": ",".join(map(str, reversed(padding))), "patch_size": patch, "num_token": 4, "num_basis": 12}
    theirs = module.Model(SimpleNamespace(in_dim=1, out_dim=1, d_model=8, **options))
    theirs.load_state_dict(random_state(8, len(n), 1 + len(n)))
    theirs = theirs.double()
    for l in range(1, 6):
        getattr(theirs, f"process{l}").modes_list = torch.arange(12, dtype=torch.float64) / 12
    mine, a = from_lsm(theirs.state_dict(), grid(*n)), torch.randn(2, *n, 1, dtype=torch.float64)
    for training in (True, False):  # theirs has coordinates in single precision
        theirs.train(training), mine.train(training)
        x, y = (a.clone().requires_grad_() for _ in range(2))
        u, v = mine(x.movedim(-1, 1)).movedim(1, -1), theirs(y)
        assert error(u, v) < 1e-6
        u.square().sum().backward(), v.square().sum().backward()
        assert error(x.grad, y.grad) < 1e-5


def test_other_weights_are_refused():
    state = random_state(8, 2, 3)
    with pytest.raises(InputError, match=r"no weights of thuml's LSM on 2 axes: 'process3\.latent'"):
        from_lsm({k: v for k, v in state.items() if k != "process3.latent"}, grid(32, 32))
    with pytest.raises(InputError, match="pos_embedding is no part of it"):
        from_lsm(state | {"pos_embedding": torch.ones(1)}, grid(32, 32))
    with pytest.raises(InputError, match="no weights of thuml's LSM on 3 axes"):
        from_lsm(state, grid(32, 32, 32))
    with pytest.raises(InputError, match="axis 'x' has periodic nodes: thuml's coordinates are of uniform ones"):
        from_lsm(state, Grid.periodic((32, 32)))
