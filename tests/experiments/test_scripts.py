"""The scripts of `experiments/` run: a figure that cannot be measured again is no figure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
