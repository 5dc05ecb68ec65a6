"""Reading: values, processes, damage, and The Well's own files."""

import os
import pickle

import h5py
import numpy as np
import pytest

from pdeops.data.file import DataFile
from pdeops.errors import InputError


def test_values(trajectories):
    file = DataFile(trajectories)
    with h5py.File(trajectories) as f:
        w = f["t0_fields/vorticity"][:]
    np.testing.assert_array_equal(file.read_target(3, slice(1, 5, 2)), w[3:4, 1:5:2])
    assert file.read_input(3).shape == (0, 8, 8)
    assert file.targets == ("vorticity",)


def test_several_fields(steady):
    file = DataFile(steady)
    with h5py.File(steady) as f:
        np.testing.assert_array_equal(file.read_input(4), np.stack([f["t0_fields/a"][4], np.ones((6, 5), np.float32)]))
        np.testing.assert_array_equal(file.read_target(4, slice(None))[1], f["t0_fields/p"][4])
    assert (file.inputs, file.targets) == (("a", "mask"), ("u", "p"))


def test_one_field(steady, trajectories):
    file = DataFile(steady)
    np.testing.assert_array_equal(file.read_field("p", 4), file.read_target(4, slice(None))[1])
    np.testing.assert_array_equal(file.read_field("mask", 4), np.ones((6, 5)))
    np.testing.assert_array_equal(
        DataFile(trajectories).read_field("vorticity", 3, slice(1, 5, 2)),
        DataFile(trajectories).read_target(3, slice(1, 5, 2))[0],
    )
    with pytest.raises(InputError, match=r"has no field 'q'. Options: a, mask, p, u"):
        file.read_field("q", 0)


def test_one_handle_per_process(trajectories):
    file = DataFile(trajectories)
    file.read_target(0, slice(0, 1))
    assert file.handle is file.handle
    again = pickle.loads(pickle.dumps(file))
    assert again._handle is None
    np.testing.assert_array_equal(again.read_target(1, slice(None)), file.read_target(1, slice(None)))
    mine = file.handle
    reader, writer = os.pipe()
    if os.fork() == 0:  # the child must not use its parent's handle
        file.read_target(0, slice(0, 1))
        os.write(writer, b"1" if file.handle is not mine else b"0")
        os._exit(0)
    assert os.read(reader, 1) == b"1"


def damaged(path, content):
    path.write_bytes(content)
    return path


def test_damage_is_named(trajectories, tmp_path):
    content = trajectories.read_bytes()
    for bad in (b"", b"not hdf5 at all", content[: len(content) // 2]):
        with pytest.raises(InputError, match=r"bad\.h5 cannot be read as HDF5 .*truncated, corrupted"):
            DataFile(damaged(tmp_path / "bad.h5", bad))
    with pytest.raises(InputError, match="there is no data file"):
        DataFile(tmp_path / "missing.h5")
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["x"] = 1
    with pytest.raises(InputError, match="pdeops convert"):
        DataFile(tmp_path / "other.h5")


def well_file(path):
    """A file of The Well's layout, written by hand: a scalar, a vector and a constant field."""
    with h5py.File(path, "w") as f:
        f.attrs.update(dataset_name="flow", grid_type="cartesian", n_spatial_dims=2, n_trajectories=10)
        f.attrs["simulation_parameters"] = np.array([], dtype=h5py.string_dtype())
        f.create_group("scalars").attrs["field_names"] = np.array([], dtype=h5py.string_dtype())
        dimensions = f.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        for name, values in (("time", np.arange(5) / 2), ("x", np.arange(6) / 6), ("y", np.linspace(0, 2, 4))):
            dimensions[name] = values.astype("f4")
        bc = f.create_group("boundary_conditions/x_periodic")
        bc.attrs.update(bc_type="PERIODIC", associated_dims=["x"])
        rng = np.random.default_rng(0)
        for rank, name, shape, time in (
            (0, "density", (10, 5, 6, 4), True),
            (0, "mask", (10, 6, 4), False),
            (1, "velocity", (10, 5, 6, 4, 2), True),
        ):
            group = f.require_group(f"t{rank}_fields")
            group.attrs["field_names"] = [*group.attrs.get("field_names", []), name]
            group[name] = rng.standard_normal(shape).astype("f4")
            group[name].attrs.update(sample_varying=True, time_varying=time, dim_varying=[True, True])
        f.create_group("t2_fields").attrs["field_names"] = np.array([], dtype=h5py.string_dtype())
    return path


def test_a_file_of_the_well(tmp_path):
    file = DataFile(well_file(tmp_path / "flow.hdf5"))
    assert file.targets == ("density", "velocity_x", "velocity_y")
    assert file.inputs == ("mask",)
    assert file.spec.grid.shape == (5, 6, 4)
    assert [a.nodes for a in file.spec.grid] == ["uniform", "periodic", "uniform"]
    assert file.spec.grid.volume == pytest.approx(2 * 1 * 2)
    assert {k: len(v) for k, v in file.split.items()} == {"train": 8, "validation": 1, "test": 1}
    with h5py.File(file.path) as f:
        np.testing.assert_array_equal(file.read_target(7, slice(1, 3))[2], f["t1_fields/velocity"][7, 1:3, ..., 1])
        v = f["t1_fields/velocity"][:8, ..., 1].astype(float)
    np.testing.assert_array_equal(file.read_field("velocity_x", 7), file.read_target(7, slice(None))[1])
    assert file.stats["velocity_y"]["mean"] == pytest.approx(v.mean())
    assert file.stats["velocity_y"]["std_delta"] == pytest.approx(np.diff(v, axis=1).std())
