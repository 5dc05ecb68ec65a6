"""Virtual files and packing: the same bits, wherever the folder stands, and nothing missing reads as a number."""

import resource

import h5py
import numpy as np
import pytest
import torch

from pdeops.data.check import check_file
from pdeops.data.file import DataFile
from pdeops.data.generate import file_name, generate
from pdeops.data.module import Generated
from pdeops.data.pack import pack
from pdeops.errors import InputError
from pdeops.problems.base import Solution
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.window import Window

DATA = {"n": 10, "split": (0.6, 0.2, 0.2), "shard": 4}


def contents(path):
    """Every dataset and attribute of a file; the time it took aside."""
    found = {}

    def note(name, item):
        found.update({f"{name}@{k}": np.asarray(v).tolist() for k, v in item.attrs.items() if k != "provenance"})
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype, item.chunks, item[()].tobytes() if name[:2] == "t0" else item[()].tolist())

    with h5py.File(path) as f:
        note("", f)
        f.visititems(note)
    return found


@pytest.fixture
def virtual(problem, tmp_path):
    return generate(problem, tmp_path / "x.h5", **DATA, virtual=True)


def test_virtual_packed_and_ordinary_hold_the_same(virtual, trajectories, tmp_path):
    with h5py.File(virtual) as f:
        assert f["t0_fields/vorticity"].is_virtual
    assert len(list((tmp_path / "x.parts").glob("0*.h5"))) == 3
    ordinary = contents(trajectories)
    unchunked = {k: (v[0], None, v[2]) if k == "t0_fields/vorticity" else v for k, v in ordinary.items()}
    assert contents(virtual) == unchunked
    said = pack(virtual)
    assert "x.h5: 10 samples in one file of" in said
    assert said.endswith(f"; removed {tmp_path / 'x.parts'}")
    assert not (tmp_path / "x.parts").exists()
    assert contents(virtual) == ordinary
    before = virtual.read_bytes()
    assert pack(virtual) == f"{virtual} holds its values already; nothing was done"
    assert virtual.read_bytes() == before


def test_packing_into_another_file_leaves_the_virtual_one(virtual, trajectories, tmp_path):
    assert "removed" not in pack(virtual, tmp_path / "y.h5")
    assert contents(tmp_path / "y.h5") == contents(trajectories)
    assert len(list((tmp_path / "x.parts").glob("0*.h5"))) == 3
    with pytest.raises(InputError, match=r"y\.h5 is already there"):
        pack(virtual, tmp_path / "y.h5")
    assert DataFile(virtual).n == 10


@pytest.fixture
def channels(monkeypatch):
    """A problem with an input and two targets, solved in no time."""
    good, zero = torch.ones(1, dtype=torch.bool), torch.zeros(1)
    draw = Burgers1D.sample

    def sample(self, indices, seed):
        return torch.cat([2 * draw(self, indices, seed), draw(self, indices, seed)], dim=1)

    def solve(self, a, progress=None):
        u = torch.cat([3 * a[:, 1:], a[:, 1:]], dim=1)
        count = len(a)
        u = u[:, :, None].expand(-1, -1, *self.grid.shape).clone()
        return Solution(u, zero.expand(count), good.expand(count), zero.expand(count))

    monkeypatch.setattr(Burgers1D, "in_names", ("k", "u"))
    monkeypatch.setattr(Burgers1D, "out_names", ("v", "u"))
    monkeypatch.setattr(Burgers1D, "sample", sample)
    monkeypatch.setattr(Burgers1D, "solve", solve)
    monkeypatch.setattr(Burgers1D, "cost", lambda *_: 0.0)
    return Burgers1D(n=16)


def test_every_field_finds_its_own_channel(channels, tmp_path):
    options = {"n": 5, "split": (0.6, 0.2, 0.2), "shard": 2}
    one, two = (DataFile(generate(channels, tmp_path / f"{v}.h5", **options, virtual=v)) for v in (False, True))
    for i in range(5):
        a, u = channels.sample([i], 0).float().numpy(), channels.solve(channels.sample([i], 0)).u.float().numpy()
        for file in (one, two):
            assert (file.inputs, file.targets) == (("k",), ("v", "u"))
            np.testing.assert_array_equal(file.read_input(i), a[0, :1])
            np.testing.assert_array_equal(file.read_target(i, slice(None)), u[0])
    assert one.stats == two.stats


def test_folder_and_file_move_together(virtual, trajectories, tmp_path, monkeypatch):
    expected = DataFile(trajectories).read_target(9, slice(None))
    (tmp_path / "elsewhere").mkdir()
    for name in ("x.h5", "x.parts"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    (tmp_path / "link.h5").symlink_to(tmp_path / "elsewhere" / "x.h5")
    monkeypatch.chdir("/")
    for path in (tmp_path / "elsewhere" / "x.h5", tmp_path / "link.h5"):
        np.testing.assert_array_equal(DataFile(path).read_target(9, slice(None)), expected)


def test_a_missing_shard_is_named(virtual, problem, trajectories, tmp_path, monkeypatch):
    (tmp_path / "x.parts" / "00000004.h5").unlink()
    with pytest.raises(InputError, match=r"x\.h5 reads its fields from shards, and x\.parts/00000004\.h5 is not there"):
        DataFile(virtual)
    with h5py.File(virtual) as f:  # whoever reads without looking gets no plausible number
        assert np.isnan(f["t0_fields/vorticity"][4]).all()
    virtual.unlink()  # as the message says
    solve, calls = NavierStokes2D.solve, []
    monkeypatch.setattr(NavierStokes2D, "solve", lambda self, a, p=None: calls.append(len(a)) or solve(self, a, p))
    generate(problem, virtual, **DATA, virtual=True)
    assert calls == [4]
    pack(virtual)
    assert contents(virtual) == contents(trajectories)


def test_a_damaged_shard_is_named_and_nothing_is_lost(virtual, tmp_path):
    shard = tmp_path / "x.parts" / "00000004.h5"
    shard.write_bytes(shard.read_bytes()[:600])
    for call in (lambda: check_file(virtual), lambda: pack(virtual)):
        with pytest.raises(InputError, match=r"shard x\.parts/00000004\.h5 cannot be read .*truncated.* delete it and"):
            call()
    with h5py.File(shard, "w") as f:
        f["u"] = np.full((4, 1, 6, 8, 8), np.nan, "f4")
    assert check_file(virtual) == [f"sample {i} holds NaN or infinite values" for i in range(4, 8)]
    with pytest.raises(InputError, match=r"sample 4 holds NaN or infinite values; nothing was packed"):
        pack(virtual)
    assert sorted(p.name for p in tmp_path.glob("*.[hp]*")) == ["x.h5", "x.parts"]
    assert len(list((tmp_path / "x.parts").glob("0*.h5"))) == 3


def test_more_shards_than_files_that_may_be_open(channels, tmp_path):
    """HDF5 would give NaN from the shard on at which the limit is reached."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        path = generate(channels, tmp_path / "x.h5", n=400, shard=1, virtual=True)
        assert check_file(path) == []
        pack(path)
        assert check_file(path) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_only_shards_of_its_own_are_removed(tmp_path, virtual):
    (tmp_path / "x.parts" / "manifest.json").write_text("{}")
    assert "removed" not in pack(virtual)
    assert len(list((tmp_path / "x.parts").glob("0*.h5"))) == 3


def test_virtual_is_no_part_of_the_recipe(problem, tmp_path):
    recipe = {**DATA, "seed": 0}
    for virtual in (False, True):
        data = Generated(problem=problem, dir=str(tmp_path), window=Window(n_in=2), virtual=virtual, **DATA)
        assert data.prepare() == tmp_path / file_name(problem, **recipe)
    assert not list(tmp_path.glob("*.parts"))  # what was there was taken as it was


def test_the_command(run, virtual):
    status, out, _ = run("data", "check", "x.h5")
    assert (status, "x.h5: good. ns2d, 10 samples" in out) == (0, True)
    status, out, _ = run("data", "pack", "x.h5")
    assert (status, "x.h5: 10 samples in one file of 0.0 MiB; removed x.parts" in out) == (0, True)
    assert "holds its values already" in run("data", "pack", "x.h5")[1]
    status, _, err = run("data", "pack", "nowhere.h5")
    assert (status, "there is no data file nowhere.h5" in err) == (2, True)
