"""Generation: deterministic, resumable, atomic, and honest about what failed."""

import json

import h5py
import numpy as np
import pytest
import torch

from pdeops.data.check import check_file
from pdeops.data.engine import Processes
from pdeops.data.file import DataFile
from pdeops.data.generate import _duration, check_problem, file_name, generate
from pdeops.data.pack import pack
from pdeops.errors import InputError
from pdeops.problems.coefficients import LogNormal, NeumannMatern
from pdeops.problems.darcy import Darcy
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.heat import Heat
from pdeops.problems.helmholtz import Helmholtz
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.auto import Auto
from pdeops.solvers.direct import Direct
from pdeops.solvers.sequences import GCRODR
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
    (parts / "manifest.json").write_text(
        json.dumps({"recipe": {"n": 3, "seed": 0}, "plan": {"problem": {}, "reason": "", "order": None}})
    )
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


# steady problems

STEADY = {"n": 10, "split": SPLIT, "shard": 4}


def flow(solver, **settings):
    law = LogNormal(of=NeumannMatern(), standardise=True)
    return Darcy(n=13, permeability=law, solver=solver, **settings)


@pytest.fixture(scope="module")
def recycled(tmp_path_factory):
    return generate(flow(GCRODR(recycle=True)), tmp_path_factory.mktemp("steady") / "x.h5", **STEADY)


def fields(path, names=("permeability", "pressure")):
    with h5py.File(path) as f:
        return [torch.from_numpy(f[f"t0_fields/{name}"][:]).double().unsqueeze(1) for name in names]


def provenance(path):
    with h5py.File(path) as f:
        return json.loads(f["pdeops"].attrs["provenance"])


@pytest.mark.parametrize(
    ("problem", "chosen"),
    [
        (flow(Auto()), "Multigrid"),
        (Heat(n=9), "Multigrid"),
        (Helmholtz(n=9, frequency=50.0, sides="absorbing"), "Direct"),
        (flow(Auto(), resolution=37), "Multigrid"),
    ],
    ids=lambda x: getattr(x, "name", x),
)
def test_a_steady_problem(problem, chosen, tmp_path):
    path = generate(problem, tmp_path / "x.h5", **STEADY)
    assert check_file(path) == []
    a = problem.sample(range(10), 0)
    u = problem.solve(a).u
    stored = fields(path, (*problem.in_names, *problem.out_names))
    torch.testing.assert_close(torch.cat(stored, 1), torch.cat([problem.stored(a), u], 1), rtol=1e-6, atol=1e-6)
    file = DataFile(path)
    check_problem(file, problem)  # the problem as it was asked for, not as it was solved
    assert file.spec.grid == problem.grid
    said = provenance(path)
    assert said["solver"]["_target_"].endswith(f".{chosen}")
    assert said["choice"].startswith(f"solver: {chosen.lower()}")
    assert said["recipe"]["problem"]["solver"]["_target_"].endswith(".Auto")


def test_sorted_samples_are_stored_at_their_numbers(recycled):
    problem = flow(GCRODR(recycle=True))
    order = problem.order(range(10), 0)
    assert order != list(range(10))
    a, u = fields(recycled)
    torch.testing.assert_close(a.float(), problem.sample(range(10), 0).float(), rtol=0, atol=0)
    torch.testing.assert_close(u, flow(Direct()).solve(a).u, rtol=1e-5, atol=1e-7 * float(u.abs().max()))
    balance = problem.residual(a, u, problem.grid)[:, :, 1:-1, 1:-1].flatten(1).norm(dim=1) / 11
    assert balance.max() < 1e-3  # of single precision
    exchanged = problem.residual(a, u.roll(1, 0), problem.grid)[:, :, 1:-1, 1:-1].flatten(1).norm(dim=1) / 11
    assert exchanged.min() > 0.1
    # what is recorded of a sample is its own
    with h5py.File(recycled) as f:
        residual = f["pdeops/residual"][:]
    shards = [problem.solve(problem.sample(order[i : i + 4], 0)).residual for i in (0, 4, 8)]
    np.testing.assert_array_equal(residual[order], torch.cat(shards))


class Kill(Exception):
    pass


def killed_after(monkeypatch, shards):
    """`solve` of steady problems dies after so many calls (one of them is the pilot's); gives the calls."""
    calls, solve = [], Elliptic.solve

    def dies(self, a, progress=None):
        calls.append(type(self.solver).__name__)
        if len(calls) > shards:
            raise Kill
        return solve(self, a, progress)

    monkeypatch.setattr(Elliptic, "solve", dies)
    return calls


def test_a_killed_run_of_sorted_samples_resumes_bitwise(recycled, tmp_path, monkeypatch):
    problem, path = flow(GCRODR(recycle=True)), tmp_path / "x.h5"
    killed_after(monkeypatch, 3)
    with pytest.raises(Kill):
        generate(problem, path, **STEADY)
    monkeypatch.undo()
    manifest = json.loads((tmp_path / "x.parts" / "manifest.json").read_text())
    assert manifest["plan"]["order"] == problem.order(range(10), 0)
    assert manifest["plan"]["problem"]["solver"]["recycle"] is True
    assert [p.name for p in (tmp_path / "x.parts").glob("0*.h5")] == ["00000000.h5"]
    generate(problem, path, **STEADY)
    for mine, theirs in zip(fields(path), fields(recycled), strict=True):
        assert torch.equal(mine, theirs)


def test_a_resumed_run_obeys_the_plan(tmp_path, monkeypatch):
    """Whatever would be chosen now."""
    problem, path = flow(Auto()), tmp_path / "x.h5"
    unbroken = generate(problem, tmp_path / "y.h5", **STEADY)
    killed_after(monkeypatch, 3)
    with pytest.raises(Kill):
        generate(problem, path, **STEADY)
    monkeypatch.undo()
    monkeypatch.setattr(Auto, "settled", lambda self, pilot: (GCRODR(recycle=True), "changed my mind"))
    calls = killed_after(monkeypatch, 99)
    generate(problem, path, **STEADY)
    assert set(calls) == {"Multigrid"}
    for mine, theirs in zip(fields(path), fields(unbroken), strict=True):
        assert torch.equal(mine, theirs)
    assert provenance(path)["choice"] == provenance(unbroken)["choice"]
    assert generate(problem, tmp_path / "z.h5", **STEADY)  # a new one is free to choose
    assert provenance(tmp_path / "z.h5")["choice"] == "changed my mind"
    assert provenance(tmp_path / "z.h5")["solver"]["_target_"].endswith(".GCRODR")


def test_workers_solve_sorted_samples_to_the_same_values(recycled, tmp_path):
    path = generate(flow(GCRODR(recycle=True)), tmp_path / "x.h5", **STEADY, engine=Processes(jobs=2))
    for mine, theirs in zip(fields(path), fields(recycled), strict=True):
        assert torch.equal(mine, theirs)


def test_a_virtual_file_of_sorted_samples(recycled, tmp_path):
    path = generate(flow(GCRODR(recycle=True)), tmp_path / "x.h5", **STEADY, virtual=True)
    with h5py.File(path) as f:
        assert f["t0_fields/pressure"].is_virtual
    for _ in range(2):
        assert check_file(path) == []
        for mine, theirs in zip(fields(path), fields(recycled), strict=True):
            assert torch.equal(mine, theirs)
        pack(path)


def test_the_choice_is_told(tmp_path, capsys):
    path = generate(flow(GCRODR()), tmp_path / "x.h5", **STEADY)
    said = provenance(path)
    assert said["choice"].startswith("recycling is o")
    assert "5 neighbouring pilot samples took" in said["choice"]
    assert said["choice"] in capsys.readouterr().out
    assert said["solver"]["recycle"] in (True, False)
    assert said["recipe"]["problem"]["solver"]["recycle"] == "auto"


def test_a_steady_solution_that_misses_the_tolerance_is_not_written(tmp_path, monkeypatch):
    solve = Elliptic.solve

    def fails(self, a, progress=None):
        solution = solve(self, a, progress)
        return solution._replace(converged=solution.converged & False)

    monkeypatch.setattr(Elliptic, "solve", fails)
    with pytest.raises(InputError, match=r"darcy: sample 0 has a solver error of .* Raise problem\.solver\.tolerance"):
        generate(flow(Direct()), tmp_path / "x.h5", **STEADY)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["plan"].update(order=None),
        lambda m: m["plan"]["order"].__setitem__(0, m["plan"]["order"][1]),
        lambda m: m["plan"]["order"].pop(),
        lambda m: m["plan"]["problem"].update(source=7.0),
        lambda m: m["plan"]["problem"]["solver"].update(tolerance=0.1),
        lambda m: m.pop("plan"),
        lambda m: m["plan"].update(more=1),
        None,
    ],
    ids=["unsorted", "twice", "short", "problem", "tolerance", "no plan", "extra key", "garbage"],
)
def test_a_plan_that_was_changed_is_refused(change, recycled, tmp_path, monkeypatch):
    problem, path = flow(GCRODR(recycle=True)), tmp_path / "x.h5"
    killed_after(monkeypatch, 3)
    with pytest.raises(Kill):
        generate(problem, path, **STEADY)
    monkeypatch.undo()
    manifest = tmp_path / "x.parts" / "manifest.json"
    if change:
        content = json.loads(manifest.read_text())
        change(content)
        manifest.write_text(json.dumps(content))
    else:
        manifest.write_text("{")
    with pytest.raises(InputError, match="Delete the folder to begin again"):
        generate(problem, path, **STEADY)
    assert not path.exists()
