"""Engines: the same values whatever ran the shards, errors in words, an honest estimate."""

import re
import sys
from dataclasses import dataclass

import h5py
import numpy as np
import pytest
import torch

from pdeops.data.engine import Dask, Engine, Processes, Serial, Slurm, torch_threads
from pdeops.data.generate import generate
from pdeops.errors import InputError
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Stepper

DATA = {"n": 10, "split": (0.6, 0.2, 0.2), "shard": 4}
DATASETS = ("t0_fields/vorticity", "pdeops/residual", "pdeops/error", "pdeops/stats/vorticity/std")


@dataclass(frozen=True)
class Backwards(Engine):
    """The last shard first; `keeps`: whether it solves them at all."""

    jobs: int = 3
    keeps: bool = True
    threads: int = 1
    here = False

    def width(self):
        return self.jobs

    def run(self, solve, shards, progress):
        for shard in reversed(shards):
            yield solve(shard) if self.keeps else shard


def assert_same(path, other):
    with h5py.File(path) as f, h5py.File(other) as g:
        for name in DATASETS:
            if name.startswith("pdeops/"):  # sums, whose order depends on the number of threads
                np.testing.assert_allclose(f[name][()], g[name][()], rtol=1e-6)
            else:
                np.testing.assert_array_equal(f[name][()], g[name][()])


def refused(problem):
    """The same problem with a tolerance that its worst sample alone, of those in DATA, misses."""
    errors = problem.solve(problem.sample(range(DATA["n"]), 0)).error.sort().values
    tolerance = float(errors[-2:].mean())
    return NavierStokes2D(n=8, horizon=1.0, frames=5, solver=Stepper(dt=0.1, tolerance=tolerance))


def local(tmp_path):
    return Slurm(jobs=2, cluster="local", folder=str(tmp_path / "logs"))


def dask(_):
    return Dask(jobs=2)


def processes(_):
    return Processes(jobs=2)


ENGINES = [processes, pytest.param(dask, marks=pytest.mark.slow), pytest.param(local, marks=pytest.mark.slow)]


@pytest.mark.parametrize("engine", ENGINES)
def test_values_do_not_depend_on_the_engine(problem, trajectories, tmp_path, monkeypatch, engine):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(NavierStokes2D, "solve", lambda *_: pytest.fail("solved in this process"))
    assert_same(generate(problem, "x.h5", **DATA, engine=engine(tmp_path)), trajectories)
    assert not (tmp_path / "x.parts").exists()


def test_values_do_not_depend_on_the_order(problem, trajectories, tmp_path):
    assert_same(generate(problem, tmp_path / "x.h5", **DATA, engine=Backwards()), trajectories)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_of_a_worker_is_the_same_sentence(problem, tmp_path, engine):
    hard = refused(problem)
    with pytest.raises(InputError) as here:
        generate(hard, tmp_path / "here.h5", **DATA)
    with pytest.raises(InputError) as there:
        generate(hard, tmp_path / "there.h5", **DATA, engine=engine(tmp_path))
    assert str(there.value) == str(here.value)
    assert not (tmp_path / "there.h5").exists()


def test_shards_done_before_an_error_are_kept(problem, tmp_path, trajectories):
    hard = refused(problem)
    worst = int(problem.solve(problem.sample(range(10), 0)).error.argmax()) // 4 * 4
    with pytest.raises(InputError, match="solver error"):
        generate(hard, tmp_path / "x.h5", **DATA, engine=Backwards())
    kept = [p.name for p in (tmp_path / "x.parts").glob("0*.h5")]
    assert sorted(kept) == [f"{first:08d}.h5" for first in (0, 4, 8) if first > worst]


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        (Serial(), r"generating 10 samples of ns2d: 0\.0 MiB, about 1000 s"),
        # three shards on three jobs: the busiest solves one shard of 4
        (Backwards(), r"about 400 s in 3 jobs \(if each is as fast as one alone on this machine, and none waits in a"),
        (Backwards(jobs=2), r"about 800 s in 2 jobs"),
        (Backwards(jobs=50), r"about 400 s in 3 jobs"),
    ],
)
def test_the_estimate_is_that_of_the_busiest_job(problem, tmp_path, capsys, monkeypatch, engine, text):
    monkeypatch.setattr("pdeops.data.generate._duration", lambda seconds: f"{seconds:.0f} s")
    monkeypatch.setattr(NavierStokes2D, "cost", lambda _, a: 100.0 * len(a))
    generate(problem, tmp_path / "x.h5", **DATA, engine=engine)
    assert re.search(text, capsys.readouterr().out)


def test_the_pilot_has_the_threads_of_a_worker(problem, tmp_path, monkeypatch):
    torch.set_num_threads(2)
    seen = []
    monkeypatch.setattr(NavierStokes2D, "cost", lambda _, a: seen.append(torch.get_num_threads()) or 1.0)
    with pytest.raises(InputError):
        generate(problem, tmp_path / "x.h5", **DATA, engine=Backwards(keeps=False))
    assert seen == [1]
    with torch_threads(None):
        assert torch.get_num_threads() == 2


def test_a_device_that_only_workers_have(problem, tmp_path, capsys):
    nowhere = {**DATA, "device": "hip"}
    with pytest.raises(InputError, match=r"data\.device=hip"):
        generate(problem, tmp_path / "x.h5", **nowhere)
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match=r"data\.device=hip"):  # here from the worker
        generate(problem, tmp_path / "x.h5", **nowhere, engine=Backwards())
    assert "in an unknown time in 3 jobs: this machine has no hip to try it on" in capsys.readouterr().out


def test_workers_that_see_another_folder_are_noticed(problem, tmp_path):
    with pytest.raises(InputError, match=r"00000000\.h5 is not there: they must see the same folder data\.dir"):
        generate(problem, tmp_path / "x.h5", **DATA, engine=Backwards(keeps=False))


def test_mistakes_are_refused(tmp_path, problem, monkeypatch):
    for build in (lambda: Processes(jobs=0), lambda: Dask(threads=0), lambda: Slurm(time=0)):
        with pytest.raises(InputError, match=r"engine\.\w+=0: wanted at least 1"):
            build()
    with pytest.raises(InputError, match="give one of the two"):
        Dask(address="tcp://host:8786", jobs=2)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"engine=slurm: there is no Slurm on this machine .* use engine=processes"):
        generate(problem, tmp_path / "x.h5", **DATA, engine=Slurm(folder=str(tmp_path)))


@pytest.mark.parametrize(
    ("engine", "package", "extra"), [(Dask(), "distributed", "dask"), (Slurm(), "submitit", "slurm")]
)
def test_a_missing_package_is_named(problem, tmp_path, monkeypatch, engine, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"needs the package {package}: pip install 'pdeops\[{extra}\]'"):
        generate(problem, tmp_path / "x.h5", **DATA, engine=engine)


@pytest.mark.slow
def test_a_running_dask_cluster(problem, trajectories, tmp_path):
    import distributed

    own = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(**own) as cluster:
        engine = Dask(address=cluster.scheduler_address)
        assert engine.width() == 2
        assert_same(generate(problem, tmp_path / "x.h5", **DATA, engine=engine), trajectories)
    with pytest.raises(InputError, match="there is no Dask scheduler"):
        generate(problem, tmp_path / "y.h5", **DATA, engine=engine)


FAKE_SLURM = {
    "sbatch": """
for i in $(seq 0 $(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' $1)); do
  export SLURM_JOB_ID=$((70 + i)) SLURM_ARRAY_JOB_ID=70 SLURM_ARRAY_TASK_ID=$i SLURM_NTASKS=1 SLURM_PROCID=0
  SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_LOCALID=0 bash $1 >/dev/null 2>&1 &
done
echo Submitted batch job 70""",
    "srun": 'shift; while [ "${1#--}" != "$1" ]; do shift 2; done; eval "$@"',
    "sacct": "echo 'JobID|State|NodeList'",
    "scancel": "echo $@ >> $(dirname $0)/cancelled",
}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Slurm's commands, as far as submitit uses them; every element of an array runs at once on this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in FAKE_SLURM.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return Slurm(jobs=2, partition="short", time=5, memory=3, folder=str(tmp_path / "logs"))


@pytest.mark.slow
def test_a_slurm_array(problem, trajectories, tmp_path, slurm):
    assert_same(generate(problem, tmp_path / "x.h5", **DATA, engine=slurm), trajectories)
    script = next((tmp_path / "logs").glob("*.sh")).read_text()
    for wish in ("array=0-2%2", "partition=short", "time=5", "mem=3GB", "cpus-per-task=1"):
        assert f"#SBATCH --{wish}\n" in script
    assert "gpu" not in script


@pytest.mark.slow
def test_an_error_ends_a_slurm_array(problem, tmp_path, slurm):
    with pytest.raises(InputError, match="solver error"):
        generate(refused(problem), tmp_path / "x.h5", **DATA, engine=slurm)


def test_what_sbatch_refuses(problem, tmp_path, slurm):
    (tmp_path / "bin" / "sbatch").write_text(
        "#!/bin/bash\necho 'sbatch: error: invalid partition: short' >&2; exit 1\n"
    )
    with pytest.raises(InputError, match=r"sbatch refused the job array: .*invalid partition: short"):
        generate(problem, tmp_path / "x.h5", **DATA, engine=slurm)
