"""Errors on other lattices, of models whose errors are known."""

import json
import warnings
from dataclasses import replace

import pytest
import torch

from pdeops.errors import InputError
from pdeops.models.fno import FNO
from pdeops.models.mgno import MgNO
from pdeops.nn.normalizer import Normalizer
from pdeops.norms import Lp, relative_error
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.darcy import Darcy
from pdeops.problems.poisson import Poisson
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.report.lattices import lattices, truths
from pdeops.report.resolutions import Sweep, draw, notes, rows
from pdeops.surrogate import Surrogate
from pdeops.window import Window

SAMPLES = range(5, 8)


def on(problem, model, mean=0.0, std=1.0):
    window = Window().on(problem.grid, problem.out_names, [x for x in problem.in_names if x not in problem.out_names])
    unit = Normalizer(torch.zeros(1), torch.ones(1))
    return Surrogate(model, window, unit, Normalizer(torch.full((1,), mean), torch.full((1,), std)), problem).double()


class Solver(torch.nn.Module):
    """The solution on the lattice of the input, times a factor."""

    def __init__(self, problem, factor):
        super().__init__()
        self.problem, self.factor = problem, factor

    def forward(self, a, out=None):
        return self.factor * replace(self.problem, n=a.shape[-1]).solve(a).u


class Refusing(Solver):
    def forward(self, a, out=None):
        if a.shape[-1] < 9:
            raise InputError("too few nodes")
        return super().forward(a, out)


def sweep(problem, models, factors):
    return Sweep("a title", models, problem, lattices(problem, factors), SAMPLES, seed=3)


@pytest.mark.parametrize(
    "problem",
    [
        Poisson(n=9),
        Poisson(n=8, nodes="cell"),
        Darcy(n=9),
        SpectralPoisson(n=8),
        SpectralPoisson(n=9, nodes="chebyshev"),
    ],
)
def test_a_solution_too_large_by_a_percent_has_that_error_on_every_lattice(problem):
    """Also with a normaliser between: 1.01 and 0.97 of the truth are 0.01 and 0.03 off."""
    models = {"close": [on(problem, Solver(problem, 1.01)), on(problem, Solver(problem, 0.485), std=2.0)]}
    found = list(rows(sweep(problem, models, [0.5, 1, 2, 3])))
    ends = problem.nodes in ("uniform", "chebyshev")
    assert [row.grid.shape for row in found] == [(8 * k // 2 + ends,) * 2 for k in (1, 2, 4, 6)]
    for row in found:
        assert row.errors["close"] == pytest.approx([0.01, 0.03], rel=1e-4)


def test_lattices_of_one_resolution_take_their_nodes_from_one_solution():
    problem, calls = Darcy(n=9, resolution=33), []
    found = list(
        truths(lattices(problem, [0.5, 1, 2, 4]), SAMPLES, 3, lambda grid, done: calls.append((grid[0].n, done)))
    )
    assert {n for n, _ in calls} == {33}
    assert [done for _, done in calls].count(0.0) == 1
    assert [len(p.grid.points()) for p, _, _ in found] == [5, 9, 17, 33]
    for p, a, u in found:
        own = p.sample(SAMPLES, 3)
        assert torch.equal(a, p.stored(own))
        torch.testing.assert_close(u, p.solve(own).u)
    assert torch.equal(found[1][2], found[3][2][:, :, ::4, ::4])


def test_errors_of_a_resolution_are_against_the_finest_truth():
    """A solver of the coarse lattice itself: what it errs by is the discretisation's error."""
    problem = Darcy(n=9, resolution=33)
    model = Solver(replace(problem, resolution=None), 1.0)
    coarse, finest = rows(sweep(problem, {"own": [on(problem, model)]}, [1, 4]))
    a, u = problem.sample(SAMPLES, 3), problem.solve(problem.sample(SAMPLES, 3)).u
    expected = relative_error(replace(problem, resolution=None).solve(problem.stored(a)).u, u, Lp(problem.grid)).mean()
    assert coarse.errors["own"] == pytest.approx([float(expected)], rel=1e-6)
    assert float(expected) > 1e-2
    assert finest.errors["own"] == pytest.approx([0.0], abs=1e-6)


def test_factors_that_do_not_fit():
    problem = Darcy(n=9, resolution=33)
    with pytest.raises(InputError, match=r"factor 8: 65 uniform nodes .* among the 33 .*work: 0.5, 1, 2, 4$"):
        lattices(problem, [1, 8])
    with pytest.raises(InputError, match=r"factor 1.5: 13 uniform nodes .*work: 0.5, 1, 2, 4$"):
        lattices(problem, [1.5])
    cells = Poisson(n=5, nodes="cell", resolution=45)  # only odd ratios keep centres on centres
    with pytest.raises(InputError, match=r"factor 2: 10 cell nodes .*work: 1, 1.8, 3, 9$"):
        lattices(cells, [2])
    assert [p.n for p in lattices(replace(problem, resolution=None), [8, 1.5])] == [65, 13]
    with pytest.raises(InputError, match=r"factor 0.1, 2 nodes per axis: .*n >= 4"):
        lattices(Darcy(n=9), [0.1])
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="wanted positive numbers"):
            lattices(problem, [bad])


def test_a_lattice_that_a_model_refuses_leaves_the_others():
    problem = Poisson(n=9)
    models = {"choosy": [on(problem, Refusing(problem, 1.01))], "any": [on(problem, Solver(problem, 1.02))]}
    chosen = sweep(problem, models, [0.5, 1])
    coarse, own = rows(chosen)
    assert (coarse.errors["choosy"], coarse.refusals) == ([], {"choosy": "too few nodes"})
    assert coarse.errors["any"] == pytest.approx([0.02])
    assert own.errors["choosy"] == pytest.approx([0.01])
    assert own.refusals == {}
    assert notes(chosen, [coarse, own])[-1] == "choosy on 5 x 5: too few nodes"


def test_ways_are_told_once_and_not_as_warnings(capfd):
    problem = Poisson(n=9)
    sizes = (1, 1, problem.grid, problem.grid)
    models = {
        "FNO": [on(problem, FNO(*sizes, width=2, modes=2, depth=1))],
        "MgNO": [on(problem, MgNO(*sizes, width=2, resolution=way)) for way in ("cascade", "resample")],
    }
    chosen = sweep(problem, models, [1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(rows(chosen))
    told = notes(chosen, found)
    assert told == [
        "Relative L2 over 3 test samples, solved on each lattice itself.",
        "Trained on 9 x 9; the ways to other lattices: FNO (native); MgNO (cascade and resample).",
    ]
    err = capfd.readouterr().err
    assert "a title, solving 3 samples on 17 x 17" in err
    assert "trained on" not in err


def test_a_solution_that_misses_its_tolerance_is_no_truth(monkeypatch):
    problem = Poisson(n=9)
    solve = Poisson.solve
    monkeypatch.setattr(Poisson, "solve", lambda *given: solve(*given)._replace(converged=torch.tensor([True, False])))
    with pytest.raises(InputError, match="a solution of poisson misses its tolerance on"):
        list(rows(sweep(problem, {"x": [on(problem, Solver(problem, 1.0))]}, [1])))


def leave(folder, problem, seed, output, *, n=20, name="steady", file=None):
    """A run whose surrogate gives a constant."""
    known = problem or Poisson(n=9)
    surrogate = on(known, FNO(1, 1, known.grid.space, known.grid.space, width=2, modes=2, depth=1), mean=output)
    for p in surrogate.model.parameters():
        p.data.zero_()
    surrogate.problem = problem
    surrogate.save(folder / "surrogate")
    data = {"n": n, "seed": 0, "split": [0.6, 0.2, 0.2], "file": file}
    model, loss = {"_target_": "pdeops.models.fno.FNO"}, {"_target_": "pdeops.losses.supervised.RelativeLp"}
    config = {"name": name, "seed": seed, "data": data, "model": model, "loss": loss}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps({"test/relative_l2": 1.0}))


def rows_printed(out):
    return [line for line in out.splitlines() if line.startswith("|")]


def test_the_table_of_runs(run, tmp_path):
    """Zeros err by 1; of neumann Poisson problems, which have no mean, c errs by sqrt(c^2 + ||u||^2) / ||u||."""
    cells = Poisson(n=8, nodes="cell", sides="neumann")
    for seed in (0, 1):
        leave(tmp_path / "runs" / str(seed), Darcy(n=9, resolution=33), seed, 0.0, name="flow")
    leave(tmp_path / "runs" / "other", cells, 0, 0.5)
    command = ["resolutions", "runs", "--factors", "1", "2", "--samples", "2", "--figure", "out.png"]
    status, out, err = run(*command)
    assert status == 0, err
    printed = rows_printed(out)
    assert printed[:4] == ["| flow | FNO |", "|---|---|", *(f"| {n} x {n} | 1.0000 +- 0.0000 |" for n in (9, 17))]
    norms = []
    for p in lattices(cells, [1, 2]):
        u = p.solve(p.sample(range(16, 18), 0)).u  # the test split begins after 12 + 4 samples
        size = Lp(p.grid)(u)
        norms.append(float(((0.25 + size.square()).sqrt() / size).mean()))
    assert printed[4:] == [
        "| steady | FNO |",
        "|---|---|",
        *(f"| {n} x {n} | {e:.4f} |" for n, e in zip((8, 16), norms, strict=True)),
    ]
    assert "2 test samples, solved on 33 x 33 nodes." in out
    assert "2 test samples, solved on each lattice itself." in out
    assert (tmp_path / "out.png").stat().st_size > 0
    assert "out.png is already there; replace it with --force" in run(*command)[2]
    assert run(*command, "--force")[0] == 0
    status, out, _ = run("resolutions", "runs/0", "--factors", "1")
    assert "Relative L2 over 4 test samples" in out  # there are no more


def refusal(*arguments, run):
    status, out, err = run("resolutions", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1), err  # a sentence, and nothing was begun
    return err


def test_what_cannot_be_swept(run, tmp_path):
    leave(tmp_path / "good", Darcy(n=9, resolution=33), 0, 0.0)
    leave(tmp_path / "finer", Darcy(n=17, resolution=33), 1, 0.0)
    leave(tmp_path / "more", Darcy(n=9, resolution=33), 1, 0.0, n=30)
    leave(tmp_path / "moving", Burgers1D(n=16), 0, 0.0, name="burgers")
    leave(tmp_path / "arrays", None, 0, 0.0)
    leave(tmp_path / "file", Darcy(n=9), 0, 0.0, file="mine.h5")
    assert "there is no folder god. Did you mean 'good'?" in refusal("god", run=run)
    assert "moving was trained on burgers1d: only the samples of steady problems" in refusal("good", "moving", run=run)
    assert "arrays was trained on a file without a problem" in refusal("arrays", run=run)
    assert "file was trained on a given file" in refusal("file", run=run)
    assert "problem.n is 9 in good, and 17 in finer" in refusal("good", "finer", run=run)
    assert "data.n is 20 in good, and 30 in more" in refusal("good", "more", run=run)
    assert "factor 8: 65 uniform nodes per axis" in refusal("good", "--factors", "8", run=run)
    assert "steady has 4 test samples, and 0 were wanted" in refusal("good", "--samples", "0", run=run)
    assert "a figure's name ends in .png, .svg, .pdf" in refusal("good", "--figure", "x.gif", run=run)


def test_a_panel_for_each_experiment(tmp_path, monkeypatch):
    problem = Poisson(n=9)
    models = {"$one": [on(problem, Refusing(problem, 1.1))], "two": [on(problem, Solver(problem, 1.2))]}
    found = list(rows(sweep(problem, models, [0.5, 2, 1])))
    drawn = []
    monkeypatch.setattr("pdeops.report.resolutions.save", lambda figure, path, overwrite: drawn.append(figure))
    draw({"first": found, "second": found[1:]}, tmp_path / "x.png")
    left, right = drawn[0].axes
    assert (left.get_title(), right.get_title()) == ("first", "second")
    one, two = (line.get_xydata() for line in left.lines)
    assert one == pytest.approx(torch.tensor([[9, 0.1], [17, 0.1]]).numpy())
    assert two == pytest.approx(torch.tensor([[5, 0.2], [9, 0.2], [17, 0.2]]).numpy())
