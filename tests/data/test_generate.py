"""Generation: deterministic, resumable, atomic, and honest about what failed."""

import json

import h5py
import numpy as np
import pytest

from pdeops.data.file import DataFile
from pdeops.data.generate import _duration, check_problem, file_name, generate
from pdeops.errors import InputError
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Stepper

SPLIT = (0.6, 0.2, 0.2)


def values(path):
    with h5py.File(path) as f:
        return f["t0_fields/vorticity"][:]


def test_the_file_holds_the_solutions(problem, trajectories):
    u = problem.solve(problem.sample(range(4, 8), 0)).u.float().numpy()
    np.testing.assert_array_equal(values(trajectories)[4:8], u[:, 0])
    with h5py.File(trajectories) as f:
        recipe = json.loads(f["pdeops"].attrs["provenance"])["recipe"]
    assert recipe["seed"] == 0
    assert recipe["problem"]["viscosity"] == 1e-3


def test_a_killed_run_resumes_to_the_same_values(problem, trajectories, tmp_path, monkeypatch):
    calls = []
    solve = NavierStokes2D.solve

    def dies(self, a, progress=None):
        calls.append(len(a))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return solve(self, a, progress)

    path = tmp_path / "x.h5"
    monkeypatch.setattr(NavierStokes2D, "solve", dies)
    with pytest.raises(KeyboardInterrupt):
        generate(problem, path, n=10, split=SPLIT, shard=4)
    assert not path.exists()
    assert sorted(p.name for p in path.with_suffix(".parts").iterdir()) == [
        "00000000.h5",
        "00000004.h5",
        "manifest.json",
    ]
    generate(problem, path, n=10, split=SPLIT, shard=4)
    assert calls == [4, 4, 2, 2]  # only the missing shard is solved again
    np.testing.assert_array_equal(values(path), values(trajectories))
    assert sorted(p.name for p in tmp_path.iterdir()) in (["x.h5"], ["x.h5", "x.lock"])


def test_what_is_there_is_not_made_again(problem, trajectories, monkeypatch):
    monkeypatch.setattr(NavierStokes2D, "solve", lambda *_: pytest.fail("solved again"))
    generate(problem, trajectories, n=10, split=SPLIT, shard=4)


def test_parts_of_another_recipe_are_refused(problem, tmp_path):
    parts = tmp_path / "x.parts"
    parts.mkdir()
    (parts / "manifest.json").write_text(json.dumps({"recipe": {"n": 3, "seed": 0}}))
    with pytest.raises(InputError, match="shards of another data set: n is 3 there and 10 here"):
        generate(problem, tmp_path / "x.h5", n=10)


def test_inaccurate_solutions_are_not_written(tmp_path):
    problem = NavierStokes2D(n=8, horizon=1.0, frames=2, solver=Stepper(dt=0.1, tolerance=1e-12))
    with pytest.raises(
        InputError,
        match=r"sample 0 has a solver error of .*above problem\.solver\.tolerance\. Lower problem\.solver\.dt",
    ):
        generate(problem, tmp_path / "x.h5", n=4)
    assert not (tmp_path / "x.h5").exists()


def test_file_names_tell_data_sets_apart(problem):
    other = NavierStokes2D(n=8, horizon=1.0, frames=5, viscosity=2e-3, solver=problem.solver)
    base = {"n": 10, "seed": 0, "split": SPLIT, "shard": 4}
    names = {file_name(p, **(base | c)) for p in (problem, other) for c in ({}, {"seed": 1}, {"n": 11})}
    assert len(names) == 6
    assert all(name.startswith("ns2d-") for name in names)


def test_a_file_of_another_problem_is_refused(trajectories, steady):
    other = NavierStokes2D(n=8, horizon=1.0, frames=5, viscosity=5e-3, solver=Stepper(dt=0.1))
    with pytest.raises(InputError, match=r"viscosity is 0\.001 in the file and 0\.005 in the configuration"):
        check_problem(DataFile(trajectories), other)
    with pytest.raises(InputError, match="problem=null"):
        check_problem(DataFile(steady), other)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (29, "29 s"), (95, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds, text):
    assert _duration(seconds) == text
