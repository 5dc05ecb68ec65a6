"""Rollouts into files: the same as `rollout`, in the memory of a frame, and stopped where they diverge."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pdeops.data.file import DataFile
from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.inference.rollout import rollout_file
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.ensemble import Ensemble
from pdeops.window import Window
from tests.inference.test_predict import fields, moments, values

SPACE = Grid.periodic((8, 6))
TIME = Axis("time", 6, 2.0, "uniform", 1.0)  # 0.4 apart


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def surrogate_of(model=None, inputs=("k",), **frames):
    window = Window(**frames).on(Grid((TIME,)) + SPACE, ["p", "q"], inputs)
    torch.manual_seed(0)
    sizes = window.in_channels, window.out_channels
    model = model or FNO(*sizes, window.grid_in, window.grid_out, width=8, modes=3, depth=1)
    return Surrogate(model, window, *(Normalizer(torch.zeros(n), torch.ones(n)) for n in sizes))


def history(n=5, space=SPACE):
    """A file, and the arrays p, q (n, T, *space) and k (n, *space)."""
    p, q, k = fields(n, 6, *space.shape), 2 * fields(n, 6, *space.shape), 1 + fields(n, *space.shape)
    grid = Grid((TIME,)) + space
    write_arrays("in.h5", grid, inputs={"k": k}, targets={"q": q, "p": p}, overwrite=True)
    return np.stack([p, q], 1), k[:, None]


def expected(surrogate, frames, static, steps):
    window = surrogate.window
    past = torch.from_numpy(frames[:, :, : window.n_in * window.stride : window.stride])
    return surrogate.rollout(window.make_input(past, torch.from_numpy(static)), steps)


@pytest.mark.parametrize(
    "frames",
    [
        {},
        {"n_in": 2, "stride": 2},
        {"n_in": 2, "n_out": 3},
        {"n_in": 3, "n_out": 2, "history": "time"},
    ],
    ids=str,
)
@pytest.mark.parametrize("every", [1, 3])
def test_the_frames_of_a_rollout(frames, every):
    surrogate, given = surrogate_of(**frames), history()
    rolled = rollout_file(surrogate, "in.h5", "out.h5", steps=10, every=every, batch_size=2)
    u = expected(surrogate, *given, 10)[:, :, every - 1 :: every].numpy()
    assert rolled == (Path("out.h5"), 10 // every, None)
    np.testing.assert_allclose(values("out.h5", "p", "q"), u, rtol=1e-5, atol=1e-6)
    out = DataFile("out.h5")
    step = 0.4 * surrogate.window.stride
    last = 1.0 + step * (surrogate.window.n_in - 1)
    np.testing.assert_allclose(out.spec.grid.time.points(), last + every * step * np.arange(1, 10 // every + 1))
    for c, name in enumerate("pq"):
        stats, changes = out.stats[name], np.diff(u[:, c], axis=1)
        assert (stats["mean"], stats["std"]) == moments(u[:, c])
        assert (stats["mean_delta"], stats["std_delta"]) == moments(changes)


def test_arrays_and_other_lattices():
    surrogate = surrogate_of()
    space = SPACE.resized((12, 10))
    frames, static = history(space=space)
    rollout_file(surrogate, "in.h5", "out.npy", steps=4, split="train")
    u = np.load("out.npy")
    assert u.shape == (3, 2, 4, 12, 10)
    np.testing.assert_allclose(u, expected(surrogate, frames[:3], static[:3], 4), rtol=1e-5, atol=1e-6)
    np.save("in.npy", np.concatenate([frames[:, :, 0], static], 1))
    rollout_file(surrogate, "in.npy", "again.h5", steps=4)
    np.testing.assert_allclose(values("again.h5", "p", "q")[:3], u, rtol=1e-5, atol=1e-6)


class Growing(nn.Module):
    """Times a thousand a step."""

    def forward(self, a, out=None):
        return 1e3 * a[:, :2]


@pytest.mark.parametrize("suffix", ["h5", "npy"])
@pytest.mark.parametrize("every", [1, 2])
def test_what_diverges_ends_with_the_frames_before(suffix, every):
    surrogate = surrogate_of(Growing())
    frames, static = history()
    frames[3, 1] *= 1e20  # from there 1e20, 1e23 ... of 1e38 that a number may have
    write_arrays(
        "in.h5",
        Grid((TIME,)) + SPACE,
        inputs={"k": static[:, 0]},
        targets={"p": frames[:, 0], "q": frames[:, 1]},
        overwrite=True,
    )
    rolled = rollout_file(surrogate, "in.h5", f"out.{suffix}", steps=9, every=every, batch_size=2)
    good = int(expected(surrogate, frames, static, 9).isfinite().all(0).flatten(2).all(2).all(0).sum())
    assert 4 <= good <= 7
    kept = good // every
    assert rolled.frames == kept
    assert rolled.stopped == f"the rollout of input 3 is not finite at step {good + 1}: {kept} frames are kept"
    u = np.load("out.npy") if suffix == "npy" else values("out.h5", "p", "q")
    wanted = expected(surrogate, frames, static, good)[:, :, every - 1 :: every]
    np.testing.assert_allclose(u, wanted, rtol=1e-5)
    if suffix == "h5":
        assert DataFile("out.h5").spec.grid.time.n == kept
        assert DataFile("out.h5").stats["q"]["std"] == pytest.approx(u[:, 1].astype("f8").std(), rel=1e-4)
    assert {p.name for p in Path().iterdir()} == {"in.h5", f"out.{suffix}"}


def test_nothing_finite_leaves_nothing():
    surrogate = surrogate_of(Growing())
    surrogate.normalize_out.std.fill_(np.inf)
    history()
    with pytest.raises(InputError, match="input 0 is not finite at step 1: there is no frame to keep"):
        rollout_file(surrogate, "in.h5", "out.h5", steps=3)
    assert {p.name for p in Path().iterdir()} == {"in.h5"}


class Integrator(nn.Module):
    """s' = c on a segment, by trapezoids."""

    def forward(self, a, out=None):
        c, start = a[:, :1], a[:, 1:]
        return start[..., :1] + 0.25 * torch.cat(
            [torch.zeros_like(start[..., :1]), (c[..., 1:] + c[..., :-1]) / 2], 2
        ).cumsum(2)


def test_driven_systems():
    t = Axis("t", 9, 2.0, nodes="uniform")  # 0.25 apart
    window = Window(segment=5).on(Grid((t,)), ["s"], ["c"])
    surrogate = Surrogate(Integrator(), window, *(Normalizer(torch.zeros(n), torch.ones(n)) for n in (2, 1)))
    longer = replace(t, n=21, length=5.0)
    controls, states = fields(3, 21), fields(3, 21)
    write_arrays("in.h5", Grid((longer,)), inputs={"c": controls}, targets={"s": states}, split=(1, 0, 0))
    integral = np.cumsum(0.125 * (controls[:, 1:] + controls[:, :-1]), 1)
    exact = states[:, :1] + np.concatenate([np.zeros((3, 1)), integral], 1)
    assert rollout_file(surrogate, "in.h5", "out.h5", batch_size=2).frames == 21
    np.testing.assert_allclose(values("out.h5", "s")[:, 0], exact, atol=1e-5)
    assert DataFile("out.h5").spec.grid == Grid((longer,))
    assert rollout_file(surrogate, "in.h5", "out.npy", steps=3).frames == 13
    np.testing.assert_allclose(np.load("out.npy")[:, 0], exact[:, :13], atol=1e-5)
    for settings, message in (({"steps": 6}, "need controls on 25 nodes; in.h5 has 21"), ({"every": 2}, "every=2")):
        with pytest.raises(InputError, match=message):
            rollout_file(surrogate, "in.h5", "out.h5", overwrite=True, **settings)
    closer = replace(t, n=21, length=2.0)
    write_arrays("in.h5", Grid((closer,)), inputs={"c": controls}, targets={"s": states}, overwrite=True)
    with pytest.raises(InputError, match="other domains are not"):
        rollout_file(surrogate, "in.h5", "out.h5", overwrite=True)


def test_refused():
    history()
    surrogate = surrogate_of()
    for settings, message in (
        ({}, "how many frames"),
        ({"steps": 0}, "inference.steps=0: wanted at least 1"),
        ({"steps": 3, "every": 4}, "steps=3 and every=4 keep no frame"),
    ):
        with pytest.raises(InputError, match=message):
            rollout_file(surrogate, "in.h5", "out.h5", **settings)


MEASURED = """
import resource
import torch
torch.set_num_threads(1)
import pdeops
from pdeops.inference.rollout import rollout_file
surrogate = pdeops.load("s")
for steps in (4, 600):
    rollout_file(surrogate, "in.h5", "out.h5", steps=steps, overwrite=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_steps():
    grid = Grid((Axis("time", 2), *Grid.periodic((128, 128))))
    window = Window().on(grid, "u", "")
    units = [Normalizer(torch.zeros(1), torch.ones(1)) for _ in range(2)]
    Surrogate(FNO(1, 1, grid.space, grid.space, width=4, modes=2, depth=1), window, *units).save("s")
    write_arrays("in.h5", grid, targets={"u": fields(1, 2, 128, 128)}, split=(1, 0, 0))
    found = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True).stdout
    few, many = map(float, found.split())
    assert many - few < 12  # MiB, of 37.5 that are written


def test_members_of_an_ensemble_follow_their_own_frames():
    models = [surrogate_of(n_in=2, n_out=2).model for _ in range(2)]
    with torch.no_grad():
        for p in models[1].parameters():
            p.mul_(1.5)
    frames = history()
    ensemble, first = surrogate_of(Ensemble(models), n_in=2, n_out=2), surrogate_of(models[0], n_in=2, n_out=2)
    rollout_file(ensemble, "in.h5", "out.npy", steps=7)
    np.testing.assert_allclose(np.load("out.npy"), expected(ensemble, *frames, 7), rtol=1e-5, atol=1e-6)
    assert not np.allclose(np.load("out.npy"), expected(first, *frames, 7), atol=1e-3)
