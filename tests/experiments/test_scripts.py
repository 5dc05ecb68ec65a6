"""The scripts of `experiments/` run: a figure that cannot be measured again is no figure."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pdeops.data.generate import generate
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.surrogate import Surrogate
from pdeops.window import Window
from tests.test_surrogate import make

ROOT = Path(__file__).parents[2] / "experiments"


def script(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_reader_benchmark():
    out = script(ROOT / "bench" / "reader.py", "--reads", 100)
    assert "100 reads: resident memory" in out
    assert "times the samples per second" in out or "its side is skipped" in out


@pytest.mark.slow
def test_the_start_up_benchmark():
    assert "s more" in script(ROOT / "bench" / "startup.py")


@pytest.mark.slow
def test_the_benchmark_of_a_step_without_arithmetic():
    out = script(ROOT / "bench" / "overhead.py", "--steps", 40, "--repeats", 1, "--width", 8)
    assert float(re.search(r"own loop: (-?[\d.]+) ms a step", out)[1]) < 3  # of a machine that does other things
    assert "an FNO: bare" in out


@pytest.mark.slow
def test_the_loader_benchmark():
    out = script(ROOT / "bench" / "loader.py", "--seconds", 0.1)
    assert [line.split(":")[0] for line in out.splitlines()[1:]] == [
        f"data.cache={cache} data.workers={n}" for cache, n in (("memory", 0), ("none", 0), ("none", 1), ("none", 2))
    ]


@pytest.mark.slow
def test_weak_scaling_sends_what_the_formula_says():
    out = script(ROOT / "scaling" / "scaling.py", "space", "--worlds", 2, "--steps", 1)
    counted, formula = re.search(r"sent by a rank (\d+) bytes, by the formula (\d+)", out).groups()
    assert counted == formula
    assert "1 ranks, cache=none" in script(ROOT / "scaling" / "scaling.py", "data", "--worlds", 1, "--seconds", 0.1)


@pytest.mark.slow
def test_a_run_that_dies_has_the_curve_of_one_that_does_not(tmp_path):
    figure = tmp_path / "curves.png"
    out = script(ROOT / "survival" / "survival.py", "--deaths", 2, "--figure", figure)
    assert "2 deaths; largest difference of 48 logged values: 0\n" in out
    assert "tensors of weights: 0\n" in out
    assert figure.stat().st_size > 10_000


@pytest.mark.slow
def test_a_service_under_load_and_malformed_requests():
    out = script(ROOT / "serving" / "load.py", "--seconds", 3, "--clients", 8)
    assert "lost, wrong or other: 0" in out
    out = script(ROOT / "serving" / "malformed.py", "--requests", 80)
    assert "bad answers: none" in out
    assert "a pickle was opened: False" in out


def test_the_table_of_a_sweep(tmp_path):
    for i, value in enumerate((0.1, 0.2, 0.3)):
        (tmp_path / "sweep" / str(i)).mkdir(parents=True)
        (tmp_path / "sweep" / str(i) / "metrics.json").write_text(json.dumps({"test/relative_l2": value}))
    out = script(ROOT / "table.py", tmp_path / "sweep")
    assert "test/relative_l2 0.2000 +- 0.1000 over 3 runs, from 0.1000 to 0.3000" in out


@pytest.mark.slow
def test_the_solvers_benchmarks():
    out = script(ROOT / "bench" / "navier_stokes.py", "--only", "steps", "--repeats", 1)
    assert "torch-cfd's side is skipped" in out
    assert len([line for line in out.splitlines() if line.split()[:1] in (["64"], ["256"])]) == 4
    assert "ours, quickest at 1e-6" in script(
        ROOT / "bench" / "navier_stokes.py", "--only", "trajectory", "--horizon", 0.2
    )
    assert "kuramoto-sivashinsky" in script(ROOT / "bench" / "etdrk.py", "--repeats", 1)
    assert "samples/s" in script(ROOT / "bench" / "generation.py", "--sizes", 32, "--horizon", 0.2)


PEER = """
import torch

from tests.test_surrogate import make
from torch import nn


class SpectralConv2d(nn.Module):
    def __init__(self, c_in, c_out, k, m):
        super().__init__()
        self.plus, self.minus = (nn.Parameter(torch.zeros(c_in, c_out, k, m, 2)) for _ in range(2))
        self.k, self.m = k, m

    def forward(self, v):
        z = torch.fft.rfft2(v)
        y = torch.zeros_like(z)
        for weight, rows in ((self.plus, slice(0, self.k)), (self.minus, slice(-self.k, None))):
            w = torch.view_as_complex(weight)
            y[:, :, rows, : self.m] = torch.einsum("biyx,ioyx->boyx", z[:, :, rows, : self.m], w)
        return torch.fft.irfft2(y, s=v.shape[2:])
"""


def table(out):
    """The cells of a markdown table's rows, without its head."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in out.splitlines() if line[:1] == "|"]
    return rows[2:]


@pytest.mark.slow
def test_the_benchmark_of_the_spectral_convolution(tmp_path):
    """A peer that follows the paper's code takes our weights; it, neuraloperator and we compute the same."""
    (tmp_path / "pdearena" / "modules").mkdir(parents=True)
    (tmp_path / "pdearena" / "modules" / "fourier.py").write_text(PEER)
    out = script(ROOT / "bench" / "fno" / "layer.py", "64^2 C32", "--repeats", 1, "--peer", tmp_path)
    assert "physicsnemo is skipped" in out
    rows = table(out)
    names = {cells[1] for cells in rows}
    assert {"neuralop", "pdearena", "**ours**", "ours, between channels-first fields"} <= names
    assert all(float(cells[-1]) < 1e-6 for cells in rows)


@pytest.mark.slow
def test_the_benchmark_of_the_fno():
    rows = {cells[1]: cells for cells in table(script(ROOT / "bench" / "fno" / "step.py", "1024", "--repeats", 1))}
    assert all(float(difference) < 1e-5 for difference in rows["**ours**"][-1].split(", "))
    assert int(rows["**ours**"][-2]) < int(rows["neuralop"][-2])  # MiB
    rows = table(script(ROOT / "bench" / "fno" / "limits.py", "1024", "64^2 C32", "32^3", "--repeats", 1))
    forwards = [cells for cells in rows if cells[1] == "forward"]
    assert len(forwards) == 3
    assert all(formula == counted for _, _, formula, counted, *_ in forwards)  # flops


def test_what_estimates_tell_of_known_errors(tmp_path):
    small = ["--setting", "small", "--windows", "2", "--training", "0"]
    out = script(ROOT / "sfno_refine" / "reliability.py", *small, "--figure", tmp_path / "out.png")
    rows = {name: [float(x) for x in cells] for name, *cells in table(out) if "" not in cells}
    assert len(rows) == 11  # all but the exact one, which has no ratio
    for size in (0.001, 0.01, 0.1):
        errors = [cells[0] for name, cells in rows.items() if name.endswith(f", {size:.1%}")]
        assert errors == [size] * 3
    for error, told, effectivity, vorticity, ratio, velocity, _ in rows.values():
        assert told == pytest.approx(error, rel=0.3)
        assert effectivity == pytest.approx(told / error, rel=0.15)  # of two digits
        assert ratio == pytest.approx(vorticity / error, rel=0.15)
        if error < 1:
            assert velocity == pytest.approx(vorticity, rel=0.05)  # two forms of one residual
    correlations = [float(x) for x in re.findall(r"rank correlation ([0-9.]+)", out)]
    assert len(correlations) == 6
    assert all(0.8 < x < 1 for x in correlations)
    assert min(correlations[:2]) > max(correlations[2:])
    assert (tmp_path / "out.png").stat().st_size > 0


@pytest.mark.slow
def test_what_estimates_tell_of_models(tmp_path):
    small = ["--setting", "small", "--windows", "2", "--training", "2"]
    out = script(ROOT / "sfno_refine" / "reliability.py", *small, "--figure", tmp_path / "out.png")
    assert len(table(out)) == 12 + 32
    estimate = next(line for line in out.splitlines() if line.startswith("error estimate: "))
    found = re.search(r"outputs: rank correlation ([0-9.]+)", estimate)
    assert found
    assert 0.95 < float(found[1]) <= 1


@pytest.mark.slow
def test_products_with_and_without_recycling():
    out = script(ROOT / "sfno_refine" / "recycling.py", "--setting", "small", "--samples", "2")
    rows = table(out)
    assert len(rows) == 10
    for cells in rows:
        products, total, images, error = cells[3].split(", "), int(cells[4]), int(cells[5]), float(cells[6])
        assert sum(map(int, products)) == total > images
        assert error < 2e-6


def test_the_benchmarks_refuse_what_is_not_there():
    for arguments, message in ((["65^2"], "no case is named like"), (["--precision", "tf32"], "a GPU's")):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            script(ROOT / "bench" / "fno" / "limits.py", *arguments)
        assert message in refused.value.stderr


def test_peak_memory_counts_what_lives_at_once(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench" / "fno")
    from common import peak_bytes

    def job():
        a = torch.ones(2**20)  # 4 MiB
        b = a + 1  # 8 live
        del a
        c = b.double()  # 12 live
        del b, c
        torch.ones(2**20)

    assert peak_bytes(job) == 12 * 2**20


@pytest.mark.slow
def test_the_sfno_beside_its_peer(tmp_path):
    """Without the peer: a step of each size, and a row of errors that is not computed twice."""
    out = script(ROOT / "bench" / "sfno.py", "10->10", "--repeats", 1)
    assert "torch-cfd's side is skipped" in out
    assert out.count("**ours**") == 2
    small = ["data.n=20", "data.split=[0.6, 0.2, 0.2]", f"data.dir={tmp_path}", "model.modes=8", "model.width=8"]
    small += [f"problem.{key}" for key in ("n=16", "start=0", "horizon=6", "frames=60", "initial.amplitude=1")]
    arguments = [ROOT / "sfno_refine" / "accuracy.py", "--epochs", 1, "--seeds", 0, "--rows", tmp_path / "rows.csv"]
    arguments += small
    assert "the last frame" in script(*arguments)
    assert "the last frame" not in script(*arguments)


def test_the_tables_of_operators(tmp_path, run):
    """A tiny Darcy run: its errors as it left them, and on other lattices of the same solutions."""
    sizes = ["problem.n=9", "problem.resolution=33", "data.n=20", "model.width=4", "model.modes=4", "model.depth=1"]
    for seed in (0, 1):
        options = ["trainer=cpu", "trainer.max_epochs=1", f"seed={seed}", f"hydra.run.dir=runs/{seed}"]
        assert run("train", "experiment=darcy_rough", *sizes, *options)[0] == 0
    found = [json.loads((tmp_path / "runs" / str(i) / "metrics.json").read_text()) for i in (0, 1)]
    ((experiment, model, _, l2, _, seconds, seeds),) = table(script(ROOT / "operators" / "table.py", "runs"))
    assert (experiment, model, seeds) == ("darcy_rough", "FNO, H1 loss", "0, 1")
    assert float(l2.split()[0]) == pytest.approx(sum(m["test/relative_l2"] for m in found) / 2, abs=1e-4)
    assert 0 < float(seconds) < 60
    status, out, _ = run("resolutions", "runs", "--samples", "3", "--factors", "1", "2", "--figure", "out.png")
    same, finer = table(out)
    assert (status, same) == (0, ["9 x 9", l2])
    assert finer[0] == "17 x 17"
    assert (tmp_path / "out.png").stat().st_size > 0


@pytest.mark.slow
def test_mgno_beside_its_peer_and_on_other_lattices():
    """Without the peer: a row of each padding; every way gives one error on the trained lattice."""
    rows = table(script(ROOT / "bench" / "mgno.py", "64^2", "--repeats", 1).partition("\n")[2])
    assert [cells[2] for cells in rows] == ["572,661", "1,146,788"]
    out = script(ROOT / "mgno" / "resolution.py", "--samples", 16, "--epochs", 1)
    trained = {name: cells[1] for name, *cells in table(out)}
    assert trained["interpolated truth"] == "0.0000"
    assert trained["MgNO native"] == trained["MgNO resample"] == trained["MgNO cascade"]
    assert float(trained["FNO"]) > 0


@pytest.mark.slow
def test_attention_without_its_peer():
    rows = table(script(ROOT / "bench" / "attention.py", "64^2", "--repeats", 1).partition("\n")[2])
    assert [cells[0] for cells in rows] == ["ViTNO 64^2", "FANO 64^2"]


@pytest.mark.slow
def test_models_for_equal_time(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = ["darcy", "latent_transformer", "official_fano", "--seconds", 0.2, "--csv", "rows.csv"]
    out = script(ROOT / "equal_time" / "equal_time.py", *asked)
    assert "official_fano: skipped, no --peer" in out
    name, parameters, rate, steps, l2, h1 = table(out)[-1]
    assert (name, parameters, rate) == ("latent_transformer", "604,833", "0.002")
    assert int(steps) >= 1
    assert float(l2) > 0 < float(h1)
    assert len(Path("rows.csv").read_text().splitlines()) == 2


def test_samplings_of_functions_of_time(run, monkeypatch):
    """On the trained lattice both ways are one; an FNO has no answer at other times."""
    data = ["data=lorenz63", "problem.n=21", "problem.horizon=0.4", "data.n=20", "trainer=cpu", "trainer.max_epochs=1"]
    points = ["model=point_lsm", "model.width=4", "model.latent=8", "model.modes=4", "model.levels=2", "model.heads=2"]
    for name, model in (("points", points), ("fno", ["model=fno", "model.width=4", "model.modes=4"])):
        assert run("train", *data, *model, f"hydra.run.dir={name}")[0] == 0
    asked = [ROOT / "continuum_attention" / "lorenz63.py", "points", "--samples", 3, "--figure", "out.png"]
    rows = {name: cells for name, *cells in table(script(*asked))}
    assert len(rows) == 8
    assert rows["every 0.02000"][0] == rows["every 0.02000"][1]
    assert len({cells[0] for cells in rows.values()}) > 4
    assert Path("out.png").stat().st_size > 0
    rows = {
        name: cells
        for name, *cells in table(script(ROOT / "continuum_attention" / "lorenz63.py", "fno", "--samples", 2))
    }
    assert rows["every 0.02000"][0] == rows["every 0.02000"][1] != "-"
    assert list(rows.values())[5:] == [["-", "-"]] * 3

    monkeypatch.syspath_prepend(ROOT / "continuum_attention")
    from lorenz63 import error

    t = torch.linspace(0, 2, 2001, dtype=torch.float64) ** 2  # crowded near zero, on [0, 4]
    u, v = (t + 1).view(1, 1, -1), t.view(1, 1, -1)
    assert float(error(u, v, t)) == pytest.approx((4 / (4**3 / 3)) ** 0.5, rel=1e-4)


@pytest.mark.slow
def test_what_deviations_and_bands_are_worth(tmp_path):
    problem = ReactionDiffusion(n=16, frames=6)
    file = generate(problem, tmp_path / "fisher.h5", n=60, seed=0, split=(0.1, 0.2, 0.7), shard=60)
    for seed in range(2):
        window = Window().on(problem.grid, problem.out_names, ())
        torch.manual_seed(seed)
        model = FNO(1, 1, window.grid_in, window.grid_out, width=4, modes=4, depth=1)
        Surrogate(model, window, Normalizer.identity(1), Normalizer.identity(1), problem).save(
            tmp_path / f"sweep/{seed}/surrogate"
        )
    out = script(ROOT / "uncertainty" / "uncertainty.py", tmp_path / "sweep", file, "--steps", 3, "--samples", 20)
    assert len(re.findall(r"\| (?:field|pointwise) \| \d+\.\d+ \| [01]\.\d+ \| 0\.(?:89|9\d)\d* \|", out)) == 4
    assert "rank correlation of deviation and true error" in out


def test_the_table_of_the_zoo():
    out = script(ROOT / "zoo" / "make.py", "--table")
    assert out.strip() in (ROOT / "zoo" / "README.md").read_text()
    failed = subprocess.run([sys.executable, ROOT / "zoo" / "make.py", "ns2d-fnp"], capture_output=True, text=True)
    assert "Did you mean 'ns2d-fno'" in failed.stderr


@pytest.mark.slow
def test_seconds_of_a_surrogate_and_of_its_solver(tmp_path):
    source = make().save(tmp_path / "s")
    folder = ROOT / "inference"
    out = script(folder / "latency.py", source, "--ways", "eager", "--batches", 1, 2, "--threads", 1, "--seconds", 0)
    assert re.search(rf"\| {source} \| eager \| 1 \| [\d.]+ \([\d.]+\) \| [\d.e+]+ \| [\d.]+ \([\d.]+\) \|", out)
    out = script(folder / "against_solver.py", source, "--judged", 2, "--batches", 1, "--seconds", 0)
    cells = [cell.strip() for cell in out.splitlines()[-1].split("|")[1:-1]]
    assert cells[1] == "7 frames 0.5 apart"
    assert float(cells[2]) >= float(cells[6])  # the solver is at least as good
    assert re.fullmatch(r"etdrk[24], \d+ nodes an axis, \d+ steps a frame", cells[5])
