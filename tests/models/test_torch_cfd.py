"""torch-cfd's SFNO beside the formulas of its mathematics, and beside itself where there is a checkout of it."""

import os
import sys
from math import pi
from pathlib import Path

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.torch_cfd import from_torch_cfd
from pdeops.window import Window

CHECKOUT = os.environ.get("PDEOPS_TORCH_CFD")
CASES = [((3, 2, 4), 10, 14, 10, (16, 12), "relu"), ((2, 3, 3), 7, 4, 6, (9, 10), "gelu")]
WIDTH, DELTA, BETA = 6, 0.1, -1e-2


def random_state(modes, depth=3):
    """What a checkpoint of theirs holds."""
    shapes = {"reduction.weight": (1, WIDTH, 1, 1, 1), "reduction.bias": (1,)}
    for part in ("norm.weight", "norm.bias", "proj.bias"):
        shapes[f"lifting_operator.{part}"] = (WIDTH,)
    shapes["lifting_operator.proj.weight"] = (WIDTH, WIDTH, 1, 1, 1)
    for l in range(depth):
        mlp = f"mlp.{l - 1}" if l else "lifting_operator.mlp"
        shapes |= {f"{mlp}.linear1.weight": (4 * WIDTH, WIDTH, 1, 1, 1), f"{mlp}.linear1.bias": (4 * WIDTH,)}
        shapes |= {f"{mlp}.linear2.weight": (WIDTH, 4 * WIDTH, 1, 1, 1), f"{mlp}.linear2.bias": (WIDTH,)}
        if l:
            shapes |= {f"w.{l - 1}.weight": (WIDTH, WIDTH, 1, 1, 1), f"w.{l - 1}.bias": (WIDTH,)}
        conv = f"spectral_conv.{l - 1}" if l else "lifting_operator.sconv"
        shapes |= {f"{conv}.weight.{i}": (WIDTH, WIDTH, *modes, 2) for i in range(4)}
    shapes |= {f"output_operator.conv.weight.{i}": (1, 1, *modes, 2) for i in range(4)}
    shapes |= {f"output_operator.conv.bias.{i}": (*modes, 2) for i in range(4)}
    torch.manual_seed(0)
    return {name: 0.5 * torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


def published(state, a, n_out, steps, act):
    """Channels first, time last, transforms unnormalised: a (B, x, y, t) -> (B, x, y, n_out)."""

    def linear(name, v):
        w = state[f"{name}.weight"].flatten(1)
        return torch.einsum("oi,bi...->bo...", w, v) + state[f"{name}.bias"].view(-1, 1, 1, 1)

    def mlp(name, v):
        return linear(f"{name}.linear2", act(linear(f"{name}.linear1", v)))

    def spectral(name, v, m, bias=False):
        c = torch.fft.rfftn(v, dim=(-3, -2, -1))
        z = torch.zeros_like(c)
        for i in range(4):
            r = torch.view_as_complex(state[f"{name}.weight.{i}"])
            mx, my, mt = r.shape[-3:]
            x = torch.arange(mx) - (mx if i % 2 else 0)
            y = torch.arange(my) - (my if i // 2 else 0)
            where = (slice(None), slice(None), x[:, None, None], y[:, None], torch.arange(mt))
            z[where] = torch.einsum("bixyt,ioxyt->boxyt", c[where], r)
            if bias:
                z[where] += DELTA * torch.view_as_complex(state[f"{name}.bias.{i}"])
        return torch.fft.irfftn(z, s=(*v.shape[2:4], m), dim=(-3, -2, -1))

    _, nx, ny, n_in = a.shape
    t = torch.arange(1, n_in + 1) / 100
    lines = [torch.exp(BETA * t) * (torch.sin, torch.cos)[k % 2](pi * (k + 1) * t) for k in range(WIDTH - 3)]
    x, y, s = torch.meshgrid(torch.linspace(0, 1, nx), torch.linspace(0, 1, ny), t, indexing="ij")
    v = a[:, None] + torch.stack([x, y, s, *(line.expand_as(s) for line in lines)])
    lift = "lifting_operator"
    v = torch.nn.functional.group_norm(v, 1, state[f"{lift}.norm.weight"], state[f"{lift}.norm.bias"], 1e-7)
    v = linear(f"{lift}.proj", v)
    v = act(v[..., -1:] + mlp(f"{lift}.mlp", spectral(f"{lift}.sconv", v, steps)))
    for l in range(sum(name.startswith("w.") for name in state) // 2):
        v = act(mlp(f"mlp.{l}", spectral(f"spectral_conv.{l}", v, steps)) + linear(f"w.{l}", v))
    v, last = linear("reduction", v), a[:, None, :, :, -1:]
    v = torch.cat([torch.zeros_like(v[..., :1]).expand(-1, -1, -1, -1, steps + 1), last, v], -1)
    return (last + spectral("output_operator.conv", v, n_out + steps + 2, bias=True)[..., -n_out:])[:, 0]


def grids(n_in, n_out, space):
    n = n_in + n_out
    trajectory = Grid([Axis("time", n, float(n), "left")]) + Grid.periodic(space)
    window = Window(n_in, n_out, history="time").on(trajectory, ("w",), ())
    return window.grid_in, window.grid_out


def error(u, v):
    return float((u - v).detach().norm() / v.detach().norm())


@pytest.mark.parametrize(("modes", "n_in", "n_out", "steps", "space", "activation"), CASES)
def test_with_their_weights_it_is_their_mathematics(modes, n_in, n_out, steps, space, activation):
    state, a = random_state(modes), torch.randn(2, n_in, *space, dtype=torch.float64)
    model = from_torch_cfd(state, *grids(n_in, n_out, space), latent_steps=steps, activation=activation).double()
    expected = published(state, a.movedim(1, -1), n_out, steps, getattr(torch.nn.functional, activation))
    change = expected.movedim(-1, 1) - a[:, -1:]
    assert error(model(a[:, None])[:, 0] - a[:, -1:], change) < 1e-6


@pytest.mark.skipif(not CHECKOUT, reason="PDEOPS_TORCH_CFD is not set to a checkout of torch-cfd")
@pytest.mark.parametrize(("modes", "n_in", "n_out", "steps", "space", "activation"), CASES)
def test_it_is_their_network(modes, n_in, n_out, steps, space, activation, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(CHECKOUT)), *sys.path])
    from fno.sfno import SFNO as Theirs

    name = {"relu": "ReLU", "gelu": "GELU"}[activation]
    theirs = Theirs(*modes, WIDTH, activation=name, latent_steps=steps, output_steps=n_out, num_spectral_layers=3)
    theirs.load_state_dict(random_state(modes))
    theirs, a = theirs.double(), torch.randn(2, n_in, *space, dtype=torch.float64)
    mine = from_torch_cfd(theirs.state_dict(), *grids(n_in, n_out, space), latent_steps=steps, activation=activation)
    change = theirs(a.movedim(1, -1)).movedim(-1, 1) - a[:, -1:]
    assert error(mine.double()(a[:, None])[:, 0] - a[:, -1:], change) < 1e-6
    for parameter in mine.parameters():
        assert parameter.isfinite().all()


def test_other_weights_are_refused():
    state, own = random_state((3, 2, 4)), grids(10, 14, (16, 12))
    with pytest.raises(InputError, match=r"no weights of torch-cfd's scalar SFNO: 'lifting_operator\.norm\.weight'"):
        from_torch_cfd({k: v for k, v in state.items() if k != "lifting_operator.norm.weight"}, *own)
    with pytest.raises(InputError, match=r"parts that this network has not: \['lifting_operator.pe.proj.weight'\]"):
        from_torch_cfd(state | {"lifting_operator.pe.proj.weight": torch.ones(1)}, *own)
    with pytest.raises(InputError, match="activation='tanh'"):
        from_torch_cfd(state, *own, activation="tanh")
