"""Files in, files out: the same as `predict` sample by sample, in the memory of a batch."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from pdeops.data.check import check_file
from pdeops.data.file import DataFile
from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.inference.predict import predict_file
from pdeops.models.deeponet import DeepONet
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.window import Window
from tests.test_surrogate import make

CELLS = Grid((Axis("x", 9, nodes="cell"), Axis("y", 8, 2.0, nodes="cell")))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def steady(model=FNO, **options):
    window = Window().on(CELLS, ["p", "q"], ["k", "f"])
    torch.manual_seed(1)
    net = model(2, 2, CELLS, CELLS, **options)
    return Surrogate(net, window, Normalizer(torch.zeros(2), torch.ones(2)), Normalizer(torch.ones(2), torch.ones(2)))


def small():
    return steady(width=8, modes=4, depth=1)


def fields(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype("f4")


def steady_file(n=10, grid=CELLS):
    """Fields in another order than the surrogate's, and one that it does not take."""
    given = {"f": fields(n, *grid.shape), "other": fields(*grid.shape), "k": 2 + fields(n, *grid.shape)}
    write_arrays(
        "in.h5", grid, inputs=given, targets={"p": fields(n, *grid.shape)}, split=(0.5, 0.2, 0.3), overwrite=True
    )
    return np.stack([given["k"], given["f"]], 1)


def values(path, *names):
    """(n, C, ...) of a file that has no faults."""
    assert check_file(path) == []
    file = DataFile(path)
    return np.stack([np.stack([file.read_field(name, i) for name in names]) for i in range(file.n)])


def moments(x):
    return pytest.approx(x.astype("f8").mean(), abs=1e-6), pytest.approx(x.astype("f8").std(), rel=1e-3)


@pytest.mark.parametrize("batch_size", [None, 3, 100])
def test_steady_fields_by_their_names(batch_size):
    surrogate, a = small(), steady_file()
    assert predict_file(surrogate, "in.h5", "out.h5", batch_size=batch_size, name="mine").name == "out.h5"
    u = values("out.h5", "p", "q")
    np.testing.assert_allclose(u, surrogate.predict(a), rtol=1e-5, atol=1e-6)
    out = DataFile("out.h5")
    assert out.spec.grid == CELLS
    assert out.targets == ("p", "q")
    assert {k: len(v) for k, v in out.split.items()} == {"train": 5, "validation": 2, "test": 3}
    stats = out.stats["q"]
    assert (stats["mean"], stats["std"]) == moments(u[:, 1])
    assert '"surrogate": "mine"' in out.handle["pdeops"].attrs["provenance"]


def test_a_split_alone():
    surrogate, a = small(), steady_file()
    predict_file(surrogate, "in.h5", "out.h5", split="test")
    np.testing.assert_allclose(values("out.h5", "p", "q"), surrogate.predict(a[7:]), rtol=1e-5, atol=1e-6)
    assert DataFile("out.h5").split["test"].tolist() == [0, 1, 2]


def test_other_nodes():
    surrogate, a = small(), steady_file()
    predict_file(surrogate, "in.h5", "out.h5", nodes=(18, 24))
    expected = surrogate.predict(a, CELLS.resized((18, 24)))
    np.testing.assert_allclose(values("out.h5", "p", "q"), expected, rtol=1e-5, atol=1e-6)
    assert DataFile("out.h5").spec.grid == CELLS.resized((18, 24))
    finer = steady_file(grid=CELLS.resized((12, 12)))  # and inputs on others
    predict_file(surrogate, "in.h5", "out.h5", overwrite=True)
    np.testing.assert_allclose(values("out.h5", "p", "q"), surrogate.predict(finer), rtol=1e-5, atol=1e-6)


def test_arrays_and_points():
    surrogate = steady(DeepONet, features=8)
    a, points = fields(7, 2, 9, 8).astype("f8"), np.random.default_rng(0).random((5, 2))
    np.save("in.npy", a)
    predict_file(surrogate, "in.npy", "out.npy", batch_size=2)
    np.testing.assert_allclose(np.load("out.npy"), surrogate.predict(a), rtol=1e-5, atol=1e-6)
    predict_file(surrogate, "in.npy", "at.npy", points=points, batch_size=3)
    assert np.load("at.npy").shape == (7, 2, 5)
    np.testing.assert_allclose(np.load("at.npy"), surrogate.predict(a, points), rtol=1e-5, atol=1e-6)
    predict_file(surrogate, "in.npy", "out.h5")
    np.testing.assert_allclose(values("out.h5", "p", "q"), surrogate.predict(a), rtol=1e-5, atol=1e-6)


def trajectories(frames=8, apart=0.5, n=3, nodes=12, name="vorticity"):
    grid = Grid((Axis("time", frames, (frames - 1) * apart, "uniform", 2.0), *Grid.periodic((nodes, nodes))))
    u = fields(n, *grid.shape)
    write_arrays("in.h5", grid, targets={name: u}, split=(1, 0, 0), overwrite=True)
    return u


@pytest.mark.parametrize(("history", "n_out"), [("channel", 1), ("channel", 3), ("time", 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_frames_that_follow_the_history(history, n_out, stride):
    surrogate = make(history=history, n_out=n_out)
    if history == "time":
        surrogate.normalize_out = Normalizer(torch.ones(1), torch.full((1,), 3.0))
    step = surrogate.window.time_step
    u = trajectories(apart=step / stride)
    predict_file(surrogate, "in.h5", "out.h5")
    a = torch.from_numpy(u[:, : 2 * stride : stride][:, None])
    expected = surrogate.window.unstack(surrogate.predict(surrogate.window.make_input(a)))
    np.testing.assert_allclose(values("out.h5", "vorticity"), expected, rtol=1e-5, atol=1e-6)
    times = DataFile("out.h5").spec.grid.time.points()
    np.testing.assert_allclose(times, 2.0 + step + step * np.arange(1, n_out + 1))
    if n_out > 1:
        changes = np.diff(expected, axis=2)
        stats = DataFile("out.h5").stats["vorticity"]
        assert (stats["mean_delta"], stats["std_delta"]) == moments(changes)


def test_a_file_of_the_well():
    surrogate, u = make(), trajectories()
    with h5py.File("in.h5", "r+") as f:
        del f["pdeops"]
    predict_file(surrogate, "in.h5", "out.h5")
    expected = surrogate.predict(u[:, :2])[:, :, None]
    np.testing.assert_allclose(values("out.h5", "vorticity"), expected, rtol=1e-5, atol=1e-6)


def test_a_single_frame_needs_no_time_axis():
    surrogate = make()
    window = Window().on(surrogate.window.grid, ["vorticity"], [])
    one = Normalizer(torch.zeros(1), torch.ones(1))
    surrogate = Surrogate(FNO(1, 1, window.grid_in, window.grid_out, width=8, modes=4), window, one, one)
    state = fields(4, 12, 12)
    write_arrays("in.h5", Grid.periodic((12, 12)), targets={"vorticity": state})
    predict_file(surrogate, "in.h5", "out.h5")
    expected = surrogate.predict(state[:, None])[:, :, None]
    np.testing.assert_allclose(values("out.h5", "vorticity"), expected, rtol=1e-5, atol=1e-6)


def refused(message, *arguments, **settings):
    with pytest.raises(InputError, match=message):
        predict_file(*arguments, **settings)
    left = {p.name for p in Path().iterdir()} - {"in.h5", "in.npy", "old.h5"}
    assert not left


def test_what_does_not_fit_is_refused_before_anything_is_written():
    surrogate = small()
    refused("there is no data file in.h5", surrogate, "in.h5", "out.h5")
    steady_file()
    refused("ends in .h5 or .hdf5 or .npy", surrogate, "in.h5", "out.txt")
    refused("ends in .npy", surrogate, "in.h5", "out.h5", points=np.zeros((3, 2)))
    refused(r"nodes=\[1, 2, 3\]; wanted one number for all", surrogate, "in.h5", "out.h5", nodes=[1, 2, 3])
    refused("give one of them", surrogate, "in.h5", "out.npy", nodes=[8], points=np.zeros((3, 2)))
    np.save("in.npy", np.zeros((0, 2, 12, 12)))
    refused("in.npy has no samples", surrogate, "in.npy", "out.npy")
    refused("batch_size=0", surrogate, "in.h5", "out.h5", batch_size=0)
    refused("split='dev'; wanted one of", surrogate, "in.h5", "out.h5", split="dev")
    Path("old.h5").write_text("mine")
    refused("already there; replace it with", surrogate, "in.h5", "old.h5")
    assert Path("old.h5").read_text() == "mine"
    np.save("in.npy", fields(3, 2, 9))
    refused(r"shape \(3, 2, 9\); wanted real numbers \(n, 2, x, y\)", surrogate, "in.npy", "out.npy")
    refused("samples have no splits", surrogate, "in.npy", "out.npy", split="test")
    Path("in.npy").write_text("no array")
    refused("in.npy is not an array of NumPy", surrogate, "in.npy", "out.npy")
    longer = Grid((CELLS[0], Axis("y", 8, 3.0, nodes="cell")))
    steady_file(grid=longer)
    refused("other domains are not", surrogate, "in.h5", "out.h5")


def test_other_fields_and_times_are_refused():
    trajectories(name="vortices")
    refused("no field 'vorticity', which this surrogate takes. Did you mean 'vortices'", make(), "in.h5", "out.h5")
    for frames, apart in ((8, 0.4), (8, 1.0), (2, 0.25)):  # no multiple, too far apart, too few
        trajectories(frames, apart)
        refused(f"has {frames} frames, {apart:g} apart; this surrogate takes 2, 0.5 apart", make(), "in.h5", "out.h5")


def test_samples_that_are_no_numbers_are_named():
    surrogate, a = small(), fields(5, 2, 9, 8)
    a[3, 1, 0, 0] = np.nan
    np.save("in.npy", a)
    refused("in.npy: sample 3 holds NaN", surrogate, "in.npy", "out.npy", batch_size=2)
    a[3] = 0
    np.save("in.npy", a)
    surrogate.normalize_out.std.fill_(np.inf)
    refused("the prediction of input 0 is not finite", surrogate, "in.npy", "out.npy")


MEASURED = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from pdeops.inference.predict import predict_file
import pdeops
surrogate = pdeops.load("s")
for source, out in (("few.npy", "x.npy"), ("few.h5", "x.h5"), ("many.npy", "y.npy"), ("many.h5", "y.h5")):
    predict_file(surrogate, source, out, batch_size=2)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_is_that_of_a_batch():
    grid = Grid.periodic((128, 128))
    window = Window().on(grid, "u", "a")
    units = [Normalizer(torch.zeros(1), torch.ones(1)) for _ in range(2)]
    Surrogate(FNO(1, 1, grid, grid, width=4, modes=2, depth=1), window, *units).save("s")
    for name, n in (("few", 4), ("many", 600)):  # 0.25 and 37.5 MiB, each way
        a = fields(n, 128, 128)
        np.save(f"{name}.npy", a[:, None])
        write_arrays(f"{name}.h5", grid, inputs={"a": a}, targets={"u": a[:, ::-1]})
    found = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True).stdout
    _, few, many_arrays, many = map(float, found.split())
    assert many_arrays - few < 12
    assert many - few < 12
