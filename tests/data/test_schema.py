"""The layout: The Well's rules and our additions; statistics; what is refused."""

import h5py
import numpy as np
import pytest

from pdeops.data.check import check_file
from pdeops.data.file import DataFile
from pdeops.data.schema import split_codes, split_sizes, write_arrays
from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.grid import Axis, Grid


def test_the_wells_attributes(trajectories):
    """The rules of The Well's format checker, in the types that it asserts."""
    with h5py.File(trajectories) as f:
        assert isinstance(f.attrs["dataset_name"], str)
        assert f.attrs["grid_type"] == "cartesian"
        assert f.attrs["n_spatial_dims"] == 2
        assert f.attrs["n_trajectories"] == 10
        assert list(f.attrs["simulation_parameters"]) == ["viscosity", "drag"]
        assert f.attrs["viscosity"] == f["scalars/viscosity"][()] == 1e-3
        assert list(f["dimensions"].attrs["spatial_dims"]) == ["x", "y"]
        assert f["dimensions/time"].shape == (6,)
        assert f["dimensions/time"].attrs["time_varying"]
        w = f["t0_fields/vorticity"]
        assert w.shape == (10, 6, 8, 8)
        assert w.dtype == np.float32
        assert w.attrs["dim_varying"].tolist() == [True, True]
        assert isinstance(w.attrs["sample_varying"], np.bool_)
        assert list(f["t0_fields"].attrs["field_names"]) == ["vorticity"]
        for rank in (1, 2):
            assert isinstance(f[f"t{rank}_fields"].attrs["field_names"], np.ndarray)
        bc = f["boundary_conditions/x_periodic"]
        assert bc.attrs["bc_type"] == "PERIODIC"
        assert bc["mask"].shape == (8,)


def test_our_additions(trajectories):
    with h5py.File(trajectories) as f:
        assert f["pdeops"].attrs["schema"] == "1.0"
        assert f["pdeops/split"][:].tolist() == [0] * 6 + [1] * 2 + [2] * 2
        assert (f["pdeops/error"][:] < 1e-4).all()
        assert (f["pdeops/residual"][:] < 1e-3).all()
        train = f["t0_fields/vorticity"][:6].astype(np.float64)
        stats = {k: v[()] for k, v in f["pdeops/stats/vorticity"].items()}
    assert stats["mean"] == pytest.approx(train.mean(), abs=1e-9)
    assert stats["std"] == pytest.approx(train.std())
    assert stats["std_delta"] == pytest.approx(np.diff(train, axis=1).std())


def test_good_files_have_no_faults(trajectories, steady):
    assert check_file(trajectories) == []
    assert check_file(steady) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda f: f.attrs.__delitem__("grid_type"), "no root attribute 'grid_type'"),
        (lambda f: f.__delitem__("t2_fields"), "no group /t2_fields"),
        (lambda f: f["dimensions/x"].__setitem__(2, 0.5), "coordinates of axis 'x'"),
        (lambda f: f["t0_fields/u"].__setitem__((3, 0, 0), np.nan), "sample 3 holds NaN"),
        (lambda f: f["pdeops/split"].__setitem__(0, 7), "not one code"),
        (lambda f: f["t0_fields/u"].attrs.__delitem__("dim_varying"), "lacks one of the flags"),
    ],
)
def test_faults_are_named(steady, tmp_path, damage, fault):
    path = tmp_path / "damaged.h5"
    path.write_bytes(steady.read_bytes())
    with h5py.File(path, "r+") as f:
        damage(f)
    assert any(fault in sentence for sentence in check_file(path)), check_file(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f["pdeops"].attrs.__setitem__("schema", "9"), "its schema is '9'"),
        (lambda f: f.attrs.__setitem__("n_trajectories", 19), "one code per sample"),
        (lambda f: f["pdeops"].attrs.__setitem__("axes", "{"), "not a data file that pdeops reads"),
        (lambda f: f["pdeops/stats"].__delitem__("u"), "no statistics of field 'u'"),
        (lambda f: f["t0_fields"].__delitem__("u"), "not a data file that pdeops reads"),
    ],
)
def test_damage_that_stops_at_opening(steady, tmp_path, damage, message):
    path = tmp_path / "damaged.h5"
    path.write_bytes(steady.read_bytes())
    with h5py.File(path, "r+") as f:
        damage(f)
    with pytest.raises(InputError, match=message):
        DataFile(path)


def test_nothing_is_overwritten_unasked(tmp_path):
    path = write_arrays(tmp_path / "x.h5", GRID, targets={"u": np.zeros((10, 4))}, inputs={"a": np.zeros((10, 4))})
    before = path.read_bytes()
    with pytest.raises(InputError, match="already there"):
        write_arrays(path, GRID, targets={"u": np.ones((10, 4))})
    assert path.read_bytes() == before
    write_arrays(path, GRID, targets={"u": np.ones((10, 4))}, overwrite=True)


def test_statistics_of_the_training_split_alone(steady):
    file = DataFile(steady)
    with h5py.File(steady) as f:
        assert file.stats["a"]["mean"] == pytest.approx(f["t0_fields/a"][:16].astype(float).mean())
    assert file.stats["mask"] == {"mean": 1.0, "std": 0.0}


def test_splits():
    assert split_sizes(1200, (0.8, 0.1, 0.1)) == (960, 120, 120)
    assert split_sizes(4, (0.8, 0.1, 0.1)) == (2, 1, 1)
    assert split_sizes(10, (0.9, 0.1, 0.0)) == (9, 1, 0)
    assert split_codes((2, 1, 1)).tolist() == [0, 0, 1, 2]
    with pytest.raises(InputError, match="sum to 1"):
        split_sizes(10, (0.8, 0.1, 0.2))
    with pytest.raises(InputError, match="more samples are needed"):
        split_sizes(2, (0.8, 0.1, 0.1))


GRID = Grid((Axis("x", 4, nodes="cell"),))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"inputs": {"a": np.zeros((3, 5))}, "targets": {"u": np.zeros((3, 4))}},
            r"'a' has shape \(3, 5\); wanted \(3, 4\)",
        ),
        ({"targets": {"u": np.full((10, 4), np.nan)}}, "'u' of sample 0 holds NaN"),
        ({"targets": {"u": np.zeros((4, 4))}, "codes": [0, 1, 2, 0, 0]}, "5 split codes"),
        ({"targets": {"u": np.zeros((4, 4))}, "codes": [0, 1, 7, 0]}, "wanted 0, 1 or 2"),
        ({"targets": {"u": np.zeros((4, 4))}, "codes": [1, 1, 2, 1]}, "some 0"),
        ({"targets": {"u": np.zeros((10, 4), complex)}}, "wanted real numbers"),
        ({"targets": {"u[0]": np.zeros((10, 4))}}, "without brackets"),
        ({"targets": {}}, "at least one target"),
    ],
)
def test_bad_arrays_are_refused_and_leave_nothing(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        write_arrays(tmp_path / "x.h5", GRID, **arrays)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")

    def fail():
        with atomically(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_split_sizes_round():
    assert split_sizes(18, (0.8, 0.1, 0.1)) == (14, 2, 2)


def test_small_variation_around_a_large_mean(tmp_path):
    from pdeops.data.file import DataFile
    from pdeops.data.schema import write_arrays

    a = 1000 + np.random.default_rng(0).standard_normal((10, 50)).astype("f4")
    stats = DataFile(write_arrays(tmp_path / "x.h5", Grid((Axis("x", 50, nodes="cell"),)), targets={"u": a})).stats
    assert stats["u"]["std"] == pytest.approx(a[:8].astype(float).std(), rel=1e-4)
