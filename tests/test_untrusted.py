"""Saved surrogates that anybody may have changed: each is refused with a reason or loads, and nothing else happens."""

import random
import resource
import shutil
import sys
import time

import pytest
import torch

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


def test_the_watch_sees(watch, tmp_path):
    watch.on = True
    try:
        (tmp_path / "x").write_text("")
        (tmp_path / "x").unlink()
    finally:
        watch.on = False
    assert [event for event, _ in watch.seen] == ["open", "os.remove"]
    watch.seen.clear()
