"""The official MgNO for Darcy flow beside plain formulas, and beside itself where there is a checkout of it."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.mgno import MgNO

CHECKOUT = os.environ.get("PDEOPS_MGNO")
WIDTH, DEPTH = 6, 3
ROUGH = [[1, 0]] * 5 + [[2, 0]]
CASES = [
    (64, ROUGH, [4] * 5),
    (256, ROUGH, [4] * 5),
    (211, ROUGH, [3, 4, 3, 3, 4]),
    (64, [[2, 1], [1, 0], [1, 2], [2, 0]], [4] * 3),
]


def random_state(sweeps, taps, residual=False, c_f=1):
    """Names and shapes as their networks write them."""
    state = {"linear.weight": (1, WIDTH, 1, 1)}
    for i in range(DEPTH):
        f, conv = (WIDTH if i else c_f), f"conv_list.{i}"
        a, s, square = (f, WIDTH, 3, 3), (WIDTH, f, 3, 3), (WIDTH, WIDTH)
        state |= {f"linear_list.{i}.weight": (WIDTH, f, 1, 1), f"linear_list.{i}.bias": (WIDTH,)}
        for l, (nu, mu) in enumerate(sweeps):
            if l:
                state[f"{conv}.RTlayers.{l - 1}.weight"] = (*square, taps[l - 1], taps[l - 1])
                state |= {f"{conv}.layer{l}.0.Pi.weight": (*square, 3, 3), f"{conv}.layer{l}.0.R.weight": (f, f, 3, 3)}
                if residual:
                    state[f"{conv}.layer{l}.0.A.weight"] = a
            for j in range(nu):
                step = f"{conv}.layer{l}.{j + bool(l)}"
                state |= {f"{step}.S.weight": s} | ({f"{step}.A.weight": a} if l or j else {})
            for j in range(mu):
                step = f"{conv}.post_smooth_layer{l}.{j}"
                state |= {f"{step}.S.weight": s, f"{step}.A.weight": a}
    torch.manual_seed(0)
    return {name: 0.2 * torch.randn(shape, dtype=torch.float64) for name, shape in state.items()}


def published(state, a, sweeps, taps):
    """The formulas of the network, channels first."""

    def sweep(step, u, f):
        r = f - F.conv2d(u, state[f"{step}.A.weight"], padding=1)
        return u + F.conv2d(r, state[f"{step}.S.weight"], padding=1)

    def cycle(conv, u, f, l):
        for j in range(sweeps[l][0]):
            if l == j == 0:
                u = F.conv2d(f, state[f"{conv}.layer0.0.S.weight"], padding=1)
            else:
                u = sweep(f"{conv}.layer{l}.{j + bool(l)}", u, f)
        if l + 1 < len(sweeps):
            down, r = f"{conv}.layer{l + 1}.0", f
            if f"{down}.A.weight" in state:
                r = f - F.conv2d(u, state[f"{down}.A.weight"], padding=1)
            coarse_u = F.conv2d(u, state[f"{down}.Pi.weight"], stride=2, padding=1)
            coarse_f = F.conv2d(r, state[f"{down}.R.weight"], stride=2, padding=1)
            below = cycle(conv, coarse_u, coarse_f, l + 1)
            u = u + F.conv_transpose2d(below, state[f"{conv}.RTlayers.{l}.weight"], stride=2, padding=1)
        for j in range(sweeps[l][1]):
            u = sweep(f"{conv}.post_smooth_layer{l}.{j}", u, f)
        return u

    u = a
    for i in range(DEPTH):
        linear = F.conv2d(u, state[f"linear_list.{i}.weight"], state[f"linear_list.{i}.bias"])
        u = F.gelu(cycle(f"conv_list.{i}", None, u, 0) + linear)
    return F.conv2d(u, state["linear.weight"])


def ours(n, sweeps, taps, c_in=1, **options):
    grid = Grid([Axis("x", n, nodes="left"), Axis("y", n, nodes="left")])
    pre, post = zip(*sweeps, strict=True)
    sizes = {"levels": len(sweeps), "pre": pre, "post": post, "prolongation": taps, "width": WIDTH, "depth": DEPTH}
    return MgNO(c_in, 1, grid, grid, **sizes | options).double()


def error(u, v):
    return float((u - v).norm() / v.norm())


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("n", "sweeps", "taps"), CASES)
def test_with_their_weights_it_is_their_mathematics(n, sweeps, taps, residual):
    state, a = random_state(sweeps, taps, residual), torch.randn(2, 1, n, n, dtype=torch.float64)
    model = ours(n, sweeps, taps, residual=residual).load_official(state)
    assert error(model(a).detach(), published(state, a, sweeps, taps)) < 1e-12


@pytest.mark.skipif(not CHECKOUT, reason="PDEOPS_MGNO is not set to a checkout of MgNO")
@pytest.mark.parametrize(("n", "sweeps", "taps"), CASES)
def test_it_is_their_network(n, sweeps, taps, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(CHECKOUT)), *sys.path])
    for name, used in (("torchinfo", "summary"), ("utilities3", "count_params")):  # for their script's printing alone
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        setattr(sys.modules[name], used, None)
    models = importlib.import_module("models")
    network = models.MgNO_DC_smooth if 3 in taps else models.MgNO_DC
    theirs = network(DEPTH, WIDTH, 1, 1, sweeps).double()
    a = torch.randn(2, 1, n, n, dtype=torch.float64, requires_grad=True)
    mine = ours(n, sweeps, taps).load_official(theirs.state_dict())
    expected, found = theirs(a), mine(a)
    assert error(found.detach(), expected.detach()) < 1e-12
    assert error(*(torch.autograd.grad(u.square().sum(), a)[0] for u in (found, expected))) < 1e-12
    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_other_weights_are_refused():
    _, sweeps, taps = CASES[0]
    state = random_state(sweeps, taps)
    with pytest.raises(InputError, match=r"have no 'conv_list\.0\.layer1\.0\.A\.weight'.*residual=True"):
        ours(64, sweeps, taps, residual=True).load_official(state)
    with pytest.raises(InputError, match=r"parts that this MgNO has not: \['linear_list\.0\.weight'"):
        ours(64, sweeps, taps, skip=False).load_official(state)
    with pytest.raises(InputError, match=r"RTlayers\.0\.weight has the shape \(6, 6, 4, 4\); .* wants \(6, 6, 3, 3\)"):
        ours(64, sweeps, [3, *taps[1:]]).load_official(state)
    with pytest.raises(InputError, match=r"have no 'layers\.0\.norm\.bias'"):
        ours(64, sweeps, taps, norm="instance").load_official(state)
