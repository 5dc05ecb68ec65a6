"""The energy budget: exact for a decaying wave; it closes for solved samples, and for no others."""

from math import pi

import h5py
import numpy as np
import pytest
import torch

from pdeops.data.file import DataFile
from pdeops.data.generate import generate
from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.report import budget
from pdeops.report.budget import energy_budget

SPLIT = (0.5, 0.5, 0.0)


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    problem = NavierStokes2D(n=16, horizon=2.0, frames=10, viscosity=[1e-3, 1e-2])
    return generate(problem, tmp_path_factory.mktemp("flow") / "flow.h5", n=2, split=SPLIT)


@pytest.fixture(scope="module")
def shock(tmp_path_factory):
    smooth = PeriodicKernel(width=0.3)
    problem = Burgers1D(n=128, horizon=0.2, frames=20, viscosity=0.02, initial=smooth)
    return generate(problem, tmp_path_factory.mktemp("shock") / "shock.h5", n=2, split=SPLIT)


def changed(path, to, change):
    """A copy of a file with its targets changed."""
    to.write_bytes(path.read_bytes())
    with h5py.File(to, "r+") as f:
        for name in DataFile(path).targets:
            data = f[f"t0_fields/{name}"]
            data[...] = change(data[...])
    return DataFile(to)


def test_a_decaying_wave(shock, tmp_path):
    """u = e^(-t) sin(2 pi x): 1/2 <u, u> = e^(-2t) / 4, <u, L u> = -viscosity (2 pi)^2 e^(-2t) / 2, <u, N(u)> = 0."""
    grid = DataFile(shock).spec.grid
    t, x = grid.points().unbind(-1)
    wave = torch.exp(-t) * torch.sin(2 * pi * x)
    found = energy_budget(changed(shock, tmp_path / "wave.h5", lambda u: 0 * u + wave.numpy()), [1])
    decay = torch.exp(-2 * grid[0].points())[None]
    close = {"atol": 1e-6, "rtol": 1e-6}
    torch.testing.assert_close(found.energy, decay / 4, **close)
    torch.testing.assert_close(found.rate, -decay / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.linear, -0.02 * (2 * pi) ** 2 / 2 * decay, **close)
    torch.testing.assert_close(found.nonlinear, 0 * decay, **close)
    torch.testing.assert_close(found.remainder, found.rate - found.linear)


@pytest.mark.parametrize("name", ["flow", "shock"])
def test_it_closes_for_a_solution_alone(name, request, tmp_path):
    path = request.getfixturevalue(name)
    solved = energy_budget(DataFile(path), [0, 1])
    assert solved.names == DataFile(path).targets
    assert solved.rate.abs().max() > 1e-4
    inner = slice(3, -3)  # where the differences are central
    assert solved.imbalance[:, inner].max() < 2e-3
    grid = DataFile(path).spec.grid
    growth = np.linspace(1, 1.2, grid.shape[0]).reshape(-1, *[1] * grid.space.ndim)
    growing = changed(path, tmp_path / "growing.h5", lambda u: growth * u)
    assert energy_budget(growing, [0, 1]).imbalance[:, inner].median() > 0.02
    jump = np.ones_like(growth)
    jump[6] = 1.01
    assert energy_budget(changed(path, tmp_path / "jump.h5", lambda u: jump * u), [0, 1]).imbalance.max() > 0.1


def test_a_drawn_viscosity_is_that_of_the_sample(flow):
    """The mean of the budgets is the budget of both; each closes with its own viscosity."""
    file = DataFile(flow)
    one, two, both = (energy_budget(file, samples) for samples in ([0], [1], [0, 1]))
    torch.testing.assert_close(both.linear, (one.linear + two.linear) / 2)
    assert (one.linear - two.linear).abs().max() > 1e-4
    assert max(float(x.imbalance[:, 3:-3].max()) for x in (one, two)) < 2e-3


def test_frames_in_chunks(flow, monkeypatch):
    whole = energy_budget(DataFile(flow), [0])
    monkeypatch.setattr(budget, "CHUNK_VALUES", 3 * 16 * 16)
    chunks = energy_budget(DataFile(flow), [0])
    for name in ("rate", "linear", "nonlinear"):
        torch.testing.assert_close(getattr(chunks, name), getattr(whole, name))


def test_what_has_no_budget(tmp_path, shock):
    grid = Grid((Axis("time", 4, nodes="uniform"), Axis("x", 8)))
    arrays = write_arrays(tmp_path / "a.h5", grid, targets={"u": np.ones((2, 4, 8))}, split=SPLIT)
    with pytest.raises(InputError, match="the file names no problem"):
        energy_budget(DataFile(arrays), [0])
    short = generate(Burgers1D(n=32, frames=3, viscosity=0.1), tmp_path / "short.h5", n=2, split=SPLIT)
    with pytest.raises(InputError, match="at least 5 frames, and there are 4"):
        energy_budget(DataFile(short), [0])
    with h5py.File(shock) as f, h5py.File(tmp_path / "b.h5", "w") as g:
        for name in f:
            f.copy(name, g)
        g.attrs.update(f.attrs)
        g["pdeops"].attrs["problem"] = f["pdeops"].attrs["problem"].replace("burgers1d.Burgers1D", "burgers1d.Nowhere")
    with pytest.raises(InputError, match="refused to build"):
        energy_budget(DataFile(tmp_path / "b.h5"), [0])
