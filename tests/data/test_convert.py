"""Converters, on small files of each published layout, and on the public sets where they are at hand."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from pdeops.data.check import check_file
from pdeops.data.convert import convert
from pdeops.data.file import DataFile
from pdeops.errors import InputError

RNG = np.random.default_rng(0)
PUBLIC = Path(os.environ.get("PDEOPS_DATA", "nowhere"))
public = pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public data sets are not here (PDEOPS_DATA)")


def fields(path):
    assert check_file(path) == []
    with h5py.File(path) as f:
        return {k: v[:] for k, v in f["t0_fields"].items()}


def test_neuraloperator_pt_with_its_test_file(tmp_path):
    x, y = RNG.integers(0, 2, (20, 6, 6)).astype(bool), RNG.standard_normal((20, 6, 6)).astype("f4")
    for name, part in (("train", slice(0, 15)), ("test", slice(15, 20))):
        torch.save({"x": torch.from_numpy(x[part]), "y": torch.from_numpy(y[part])}, tmp_path / f"{name}.pt")
    out = convert(tmp_path / "train.pt", tmp_path / "out.h5", test=tmp_path / "test.pt", split=(0.8, 0.2, 0.0))
    np.testing.assert_array_equal(fields(out)["a"], x)
    np.testing.assert_array_equal(fields(out)["u"], y)
    file = DataFile(out)
    assert {k: v.tolist() for k, v in file.split.items()} == {
        "train": list(range(12)),
        "validation": [12, 13, 14],
        "test": list(range(15, 20)),
    }
    assert file.spec.grid[0].nodes == "left"


def test_neuraloperator_pt_trajectories(tmp_path):
    y = torch.randn(10, 5, 16)
    torch.save({"x": y[:, 0], "y": y, "visc": 0.01}, tmp_path / "b.pt")
    file = DataFile(convert(tmp_path / "b.pt", tmp_path / "out.h5"))
    assert file.spec.grid.names == ("time", "x")
    assert file.spec.parameters == {"visc": 0.01}
    np.testing.assert_array_equal(fields(file.path)["u"], y.numpy())


def test_nothing_is_clobbered(tmp_path):
    torch.save({"x": torch.zeros(10, 1, 4, 4), "y": torch.ones(10, 1, 4, 4)}, tmp_path / "x.pt")
    out = convert(tmp_path / "x.pt", tmp_path / "out.h5")
    assert DataFile(out).spec.grid.shape == (4, 4)  # a channel axis of one is not space
    with pytest.raises(InputError, match="already there"):
        convert(tmp_path / "x.pt", out)
    convert(tmp_path / "x.pt", out, overwrite=True)
    with pytest.raises(InputError, match="a file to be converted"):
        convert(tmp_path / "x.pt", tmp_path / "x.pt", overwrite=True)


def test_coordinates_that_are_not_equally_spaced(tmp_path):
    u = RNG.standard_normal((10, 4, 4, 3))
    scipy.io.savemat(tmp_path / "x.mat", {"u": u, "t": np.array([[0.0, 0.1, 0.5]])})
    with pytest.raises(InputError, match="axis 'time' are not equally spaced"):
        convert(tmp_path / "x.mat", tmp_path / "out.h5")


def test_fno_mat_darcy_version_5_and_7_3(tmp_path):
    coeff, sol = RNG.standard_normal((10, 5, 7)), RNG.standard_normal((10, 5, 7))
    scipy.io.savemat(tmp_path / "v5.mat", {"coeff": coeff, "sol": sol})
    with h5py.File(tmp_path / "v73.mat", "w", userblock_size=512) as f:
        f["coeff"], f["sol"] = coeff.T, sol.T  # MATLAB's axis order
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    content = bytearray((tmp_path / "v73.mat").read_bytes())
    content[: len(header)] = header
    (tmp_path / "v73.mat").write_bytes(content)
    for name in ("v5", "v73"):
        found = fields(convert(tmp_path / f"{name}.mat", tmp_path / f"{name}.h5"))
        np.testing.assert_array_equal(found["a"], coeff.astype("f4"))
        np.testing.assert_array_equal(found["u"], sol.astype("f4"))
    assert DataFile(tmp_path / "v5.h5").spec.grid[1].nodes == "uniform"


def test_fno_mat_navier_stokes_and_burgers(tmp_path):
    u = RNG.standard_normal((10, 6, 8, 4))
    scipy.io.savemat(tmp_path / "ns.mat", {"u": u, "a": u[..., 0], "t": np.array([[1.0, 2, 3, 4]])})
    out = convert(tmp_path / "ns.mat", tmp_path / "ns.h5")
    np.testing.assert_array_equal(fields(out)["vorticity"][3, 2], u[3, :, :, 2].astype("f4"))
    assert DataFile(out).spec.grid[0].points().tolist() == [1, 2, 3, 4]
    scipy.io.savemat(tmp_path / "burgers.mat", {"a": u[:, :, 0, 0], "u": u[:, :, 0, 1]})
    out = convert(tmp_path / "burgers.mat", tmp_path / "burgers.h5")
    assert DataFile(out).spec.grid.shape == (6,)


def test_pdebench_layouts(tmp_path):
    u = RNG.standard_normal((10, 3, 8)).astype("f4")
    with h5py.File(tmp_path / "1d.hdf5", "w") as f:
        f["tensor"], f["x-coordinate"], f["t-coordinate"] = u, (np.arange(8) + 0.5) / 8, np.arange(4) * 0.1
        f.attrs["beta"] = 0.1
    out = convert(tmp_path / "1d.hdf5", tmp_path / "1d.h5")
    np.testing.assert_array_equal(fields(out)["u"], u)
    assert DataFile(out).spec.grid.shape == (3, 8)

    nu, p = RNG.standard_normal((10, 6, 6)).astype("f4"), RNG.standard_normal((10, 1, 6, 6)).astype("f4")
    with h5py.File(tmp_path / "darcy.hdf5", "w") as f:
        f["nu"], f["tensor"] = nu, p
        f["x-coordinate"] = f["y-coordinate"] = (np.arange(6) + 0.5) / 6
    out = convert(tmp_path / "darcy.hdf5", tmp_path / "darcy.h5")
    np.testing.assert_array_equal(fields(out)["u"], p[:, 0])
    grid = DataFile(out).spec.grid
    assert [(a.nodes, a.start, a.length) for a in grid] == [("cell", pytest.approx(0), pytest.approx(1))] * 2

    with h5py.File(tmp_path / "swe.hdf5", "w") as f:
        for i in range(10):
            f[f"{i:04d}/data"] = np.full((3, 4, 5, 2), i, "f4")
            for key, n in (("x", 4), ("y", 5), ("t", 3)):
                f[f"{i:04d}/grid/{key}"] = np.arange(n) / n
    out = convert(tmp_path / "swe.hdf5", tmp_path / "swe.h5")
    assert fields(out)["u1"].shape == (10, 3, 4, 5)
    assert fields(out)["u0"][7].max() == 7

    with h5py.File(tmp_path / "cfd.hdf5", "w") as f:
        for k, key in enumerate(("Vx", "Vy", "density")):
            f[key] = np.full((10, 3, 4, 4), k, "f4")
        f["x-coordinate"] = f["y-coordinate"] = (np.arange(4) + 0.5) / 4
        f["t-coordinate"] = np.arange(4.0)
    out = convert(tmp_path / "cfd.hdf5", tmp_path / "cfd.h5")
    assert DataFile(out).targets == ("Vx", "Vy", "density")
    assert DataFile(out).spec.grid.space[0].nodes == "periodic"


def test_what_cannot_be_converted(tmp_path):
    (tmp_path / "x.csv").write_text("1,2")
    (tmp_path / "x.pt").write_bytes(b"nonsense")
    (tmp_path / "x.hdf5").write_bytes(b"nonsense")
    scipy.io.savemat(tmp_path / "x.mat", {"z": np.zeros(3)})
    torch.save([1, 2], tmp_path / "list.pt")
    for name, message in (
        ("x.csv", "unknown suffix"),
        ("x.pt", "damaged or of another format"),
        ("x.hdf5", "damaged or of another format"),
        ("x.mat", "wanted coeff and sol"),
        ("list.pt", "dictionary with x and y"),
        ("none.pt", "there is no file"),
    ):
        with pytest.raises(InputError, match=message):
            convert(tmp_path / name, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@public
def test_public_files(tmp_path):
    out = convert(PUBLIC / "darcy_train_16.pt", tmp_path / "d.h5", test=PUBLIC / "darcy_test_16.pt")
    assert DataFile(out).n == 1050
    assert set(np.unique(fields(out)["a"])) == {0, 1}
    out = convert(PUBLIC / "burgers_train_16.pt", tmp_path / "b.h5")
    assert DataFile(out).spec.grid.shape == (17, 16)
