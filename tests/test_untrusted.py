"""Saved surrogates that anybody may have changed: each is refused with a reason or loads, and nothing else happens."""

import json
import random
import resource
import shutil
import sys
import time
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file, save_file

from pdeops.errors import InputError
from pdeops.models.deeponet import DeepONet
from pdeops.models.fno import FNO
from pdeops.models.mgno import MgNO
from pdeops.models.sfno import SFNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.darcy import Darcy
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.saved import load
from pdeops.surrogate import Surrogate
from pdeops.window import Window
from tests.mutants import change


def surrogates():
    cases = []
    problem = Burgers1D(n=16)
    window = Window().on(problem.grid, problem.out_names, ())
    cases.append((problem, window, FNO(1, 1, window.grid_in, window.grid_out, width=4, modes=4, depth=1)))
    problem = Darcy(n=9)
    window = Window().on(problem.grid, problem.out_names, problem.in_names)
    cases.append((problem, window, DeepONet(1, 1, window.grid_in, window.grid_out, features=8)))
    cases.append((problem, window, MgNO(1, 1, window.grid_in, window.grid_out, width=4, depth=1, levels=2)))
    problem = NavierStokes2D(n=8, frames=8, horizon=4.0)
    window = Window(n_in=2, n_out=2, history="time").on(problem.grid, problem.out_names, ())
    cases.append(
        (problem, window, SFNO(1, 1, window.grid_in, window.grid_out, width=4, modes=4, time_modes=3, depth=1))
    )
    for problem, window, model in cases:
        ones = [Normalizer(torch.zeros(1), torch.ones(1)) for _ in range(2)]
        yield Surrogate(model, window, *ones, problem)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    root = tmp_path_factory.mktemp("saved")
    folders = [surrogate.save(root / str(i)) for i, surrogate in enumerate(surrogates())]
    for folder in folders:
        load(folder)  # what is imported at the first time, and kept compiled, is no one's fault
    return folders


class Watch:
    """Whether anything is started, connected to, written or removed while it watches."""

    def __init__(self):
        self.on, self.seen = False, []
        sys.addaudithook(self)

    def __call__(self, event, args):
        if not self.on:
            return
        kinds = ("subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "socket.", "os.remove")
        kinds += ("os.rename", "os.rmdir", "os.chmod", "shutil.", "os.mkdir", "ctypes.", "os.truncate", "pty.")
        if event.startswith(kinds):
            self.seen.append((event, args))
        elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
            self.seen.append((event, args[:2]))


@pytest.fixture(scope="module")
def watch():
    return Watch()


def ordeal(saved, tmp_path, watch, seeds):
    """Change, load, and look at what happened, once for each seed; how many loaded."""
    good = 0
    for folder in saved:
        load(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        r = random.Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(r.choice(saved), folder)
        told = f"{seed}: {change(folder, r)}"
        watch.on, start = True, time.process_time()
        try:
            surrogate = load(folder)
        except InputError as error:
            said = str(error)
        except BaseException as error:
            raise AssertionError(f"{told} -> {type(error).__name__}: {error}") from error
        else:
            said, good = "", good + 1
            assert all(p.isfinite().all() for p in surrogate.parameters()), told
        finally:
            watch.on = False
        assert len(said) < 1000, told
        assert "root:" not in said, told  # of another file
        assert time.process_time() - start < 5, told
        assert watch.seen == [], told
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown < 600, f"{told}: {grown:.0f} MiB more"
        shutil.rmtree(folder)
    return good


def test_changed_surrogates(saved, tmp_path, watch):
    assert 0 < ordeal(saved, tmp_path, watch, range(150)) < 75


@pytest.mark.slow
def test_a_thousand_changed_surrogates(saved, tmp_path, watch):
    assert 0 < ordeal(saved, tmp_path, watch, range(1000, 2000)) < 500


WEIGHTS = {
    "NaN": (lambda x: x.fill_(float("nan")), "hold NaN or infinite values"),
    "infinite": (lambda x: x.fill_(float("inf")), "hold NaN or infinite values"),
    "whole numbers": (lambda x: x.long(), r"is \(1,\) of torch.int64, wanted \(1,\) of torch.float32"),
    "complex": (lambda x: x + 0j, r"of torch.complex64, wanted"),
    "another shape": (lambda x: x.expand(2).clone(), r"is \(2,\) of torch.float32, wanted \(1,\)"),
    "none": (lambda x: None, "One side alone has normalize_in.mean"),
}


def made(folder, edit):
    """Weights of a folder, those of the input's mean changed."""
    tensors = load_file(folder / "weights.safetensors")
    tensors["normalize_in.mean"] = edit(tensors["normalize_in.mean"])
    return {name: x for name, x in tensors.items() if x is not None}


@pytest.mark.parametrize(("edit", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_are_those_of_the_description(saved, tmp_path, edit, message):
    folder = shutil.copytree(saved[0], tmp_path / "s")
    save_file(made(folder, edit), folder / "weights.safetensors")
    with pytest.raises(InputError, match=message):
        load(folder)


def test_half_precision_is_kept(saved, tmp_path):
    folder = shutil.copytree(saved[0], tmp_path / "s")
    save_file({name: x.half() for name, x in made(folder, lambda x: x).items()}, folder / "weights.safetensors")
    assert {x.dtype for x in load(folder).state_dict().values()} == {torch.float16}


def checkpoint(folder, path, edit=lambda x: x, **changes):
    described = json.loads((folder / "surrogate.json").read_text()) | changes
    state = {f"surrogate.{name}": x for name, x in made(folder, edit).items()}
    torch.save({"surrogate": described, "state_dict": state}, path)
    return path


def test_checkpoints_are_read_as_strictly(saved, tmp_path):
    path = tmp_path / "x.ckpt"
    assert isinstance(load(checkpoint(saved[0], path)), Surrogate)
    with pytest.raises(InputError, match=r"is \(1000000000000,\) of torch.float32, wanted \(1,\)"):
        load(checkpoint(saved[0], path, lambda x: x.expand(10**12)))  # which holds one number
    for changes, message in [({"window": 10**12}, "a whole number beyond"), ({"model": {"a": 1}}, "where they belong")]:
        with pytest.raises(InputError, match=message):
            load(checkpoint(saved[0], path, **changes))
    data = checkpoint(saved[0], path).read_bytes()
    for seed in range(60):
        r, changed = random.Random(seed), bytearray(data)
        for _ in range(r.randint(1, 8)):
            changed[r.randrange(len(data))] ^= 1 << r.randrange(8)
        path.write_bytes(changed if seed % 3 else data[: r.randrange(len(data))])
        with suppress(InputError):
            load(path)


def test_the_watch_sees(watch, tmp_path):
    watch.on = True
    try:
        (tmp_path / "x").write_text("")
        (tmp_path / "x").unlink()
    finally:
        watch.on = False
    assert [event for event, _ in watch.seen] == ["open", "os.remove"]
    watch.seen.clear()
