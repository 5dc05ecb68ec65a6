"""`pdeops predict`, `rollout` and `export`."""

import numpy as np
import pytest
import torch

from pdeops.data.file import DataFile
from tests.inference.test_predict import trajectories
from tests.test_surrogate import make


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A surrogate in the folder s, and a file in.h5 for it."""
    monkeypatch.chdir(tmp_path)
    surrogate = make()
    surrogate.save("s")
    return surrogate, trajectories()


def test_predict(run, saved):
    surrogate, u = saved
    assert run("predict", "s", "in.h5", "-o", "out.h5", "--batch-size", "2", "--threads", "1")[:2] == (0, "out.h5\n")
    file = DataFile("out.h5")
    np.testing.assert_allclose(file.read_target(1, slice(None))[0], surrogate.predict(u[1:2, :2])[0], atol=1e-5)
    assert '"surrogate": "s"' in file.handle["pdeops"].attrs["provenance"]
    file.close()
    status, _, err = run("predict", "s", "in.h5", "-o", "out.h5")
    assert (status, "already there; replace it with" in err) == (2, True)
    assert run("predict", "s", "in.h5", "-o", "out.h5", "--force", "--nodes", "16", "--precision", "64")[0] == 0
    assert DataFile("out.h5").spec.grid.space.shape == (16, 16)
    np.save("points.npy", np.zeros((3, 2)))
    status, _, err = run("predict", "s", "in.h5", "-o", "out.npy", "--points", "points.npy")
    assert (status, "FNO evaluates on grids" in err) == (2, True)
    assert "there is no file nowhere.npy" in run("predict", "s", "in.h5", "-o", "o.npy", "--points", "nowhere.npy")[2]
    assert "there is no such folder" in run("predict", "t", "in.h5", "-o", "out.h5")[2]


def test_rollout(run, saved):
    surrogate, u = saved
    status, out, _ = run("rollout", "s", "in.h5", "-o", "out.h5", "--steps", "6", "--every", "2", "--split", "train")
    assert (status, out) == (0, "out.h5: 3 frames of each sample\n")
    expected = surrogate.rollout(u[:1, :2], 6)[0, 0, 1::2]
    np.testing.assert_allclose(DataFile("out.h5").read_target(0, slice(None))[0], expected, atol=1e-5)


def test_a_rollout_that_ends_early_says_so_with_its_status(run, saved):
    surrogate, _ = saved
    surrogate.normalize_out.std.fill_(1e12)
    surrogate.save("s")
    status, out, err = run("rollout", "s", "in.h5", "-o", "out.h5", "--steps", "20")
    assert status == 2
    frames = DataFile("out.h5").spec.grid.time.n
    assert 1 <= frames < 20
    assert out == f"out.h5: {frames} frames of each sample\n"
    assert f"is not finite at step {frames + 1}: {frames} frames are kept" in err


def test_export(run, saved):
    surrogate, _ = saved
    status, out, err = run("export", "s", "-o", "s.pt2")
    assert status == 0, err
    assert out.startswith("s.pt2: [None, 2, 12, 12] -> [None, 1, 12, 12]; differs by")
    a = torch.randn(4, 2, 12, 12)
    torch.testing.assert_close(torch.export.load("s.pt2").module()(a), surrogate.predict(a))
    assert "ends in .onnx or .pt2" in run("export", "s", "-o", "s.pth")[2]
