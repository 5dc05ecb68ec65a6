"""What people mistype: one message, the nearest names, status 2, no traceback, nothing written."""

from pathlib import Path

import numpy as np
import pytest

from pdeops.data.schema import write_arrays
from pdeops.grid import Axis, Grid

GOLDEN = [
    # a group's option
    (["model=fnoo"], "model=fnoo: there is no such model. Did you mean 'fno'"),
    (["data=nsd2"], "data=nsd2: there is no such data. Did you mean 'ns2d'"),
    (["experiment=darcy_smal"], "Did you mean 'darcy_small'"),
    (["experiment=zoo/darcy-fnoo"], "there is no such experiment. Did you mean 'zoo/darcy-fno'"),
    (["experiment=zoo/darcy-fno", "modle=fno"], "unknown key 'modle' in 'modle=fno'. Did you mean 'model'?"),
    (["model=darcy_small/fnn"], "there is no such model. Did you mean 'darcy_small/fno'"),
    (["trainer=tpu"], "there is no such trainer"),
    (["engine=process"], "engine=process: there is no such engine. Did you mean 'processes'"),
    # a group or a key
    (["modle=fno"], "unknown key 'modle' in 'modle=fno'. Did you mean 'model'?"),
    (["data.nn=3"], "unknown key 'data.nn' in 'data.nn=3'. Did you mean 'data.n'"),
    (["data.bach_size=3"], "Did you mean 'data.batch_size'?"),
    (["model.bottleneck=3"], "Known here:"),
    (["problem.viscosty=1e-3"], "Did you mean 'problem.viscosity'?"),
    # appending a typo must not silence it
    (["+data.nn=3"], "unknown key data.nn. Did you mean 'n'"),
    (["+model.witdh=3"], "unknown key model.witdh. Did you mean 'width'"),
    (["+sede=3"], "unknown key 'sede'. Did you mean 'seed'"),
    (["+trainer.max_epoch=3"], "unknown key trainer.max_epoch. Did you mean 'max_epochs'"),
    # a value
    (["trainer.max_epochs=abc"], "trainer.max_epochs='abc': wanted an integer or null, got str"),
    (["model.width=3.5"], "model.width=3.5: wanted an integer, got float"),
    (["model.coordinates=1"], "model.coordinates=1: wanted true or false, got int"),
    (["seed="], "seed='': wanted an integer, got str"),
    (["data.cache=disk"], "data.cache='disk': wanted one of 'auto', 'none', 'memory', 'device'"),
    (["data.window=3"], "data.window=3: wanted Window, got int"),
    (["problem.solver.scheme=rk4"], "problem.solver.scheme='rk4' is not known"),
    (["model.width=-4"], "model.width=-4, model.depth=2: both must be at least 1"),
    (["model.modes=[4]"], "model.modes=[4]; wanted one or 2, one for each of ('x', 'y')"),
    (["data.window.n_in=50"], "need trajectories of 51 frames; these have 6"),
    (["data.split=[0.5,0.1,0.1]"], "three fractions (train, validation, test), the first positive, that sum to 1"),
    (["optimizer.lr=fast"], "optimizer.lr='fast': wanted"),
    (["engine=processes", "engine.jobs=0"], "engine.jobs=0: wanted at least 1"),
    (["engine=processes", "engine.jobs=all"], "engine.jobs='all': wanted an integer or null, got str"),
    (["engine.jobs=2"], "It is a key of engine=dask, engine=processes, engine=slurm."),
    (["problem.initial=null"], "problem.initial=None: wanted Inputs"),
    (["problem.solver=null"], "problem.solver=None: wanted Stepper"),
    (["problem.solver.tolerance=1e-30"], "wanted at least 1e-13"),
    (["problem.solver.dt=fast"], "problem.solver.dt='fast': wanted a number or one of 'auto'"),
    (["solver=etdrk44"], "solver=etdrk44: there is no such solver. Did you mean 'etdrk4'"),
    (["problem.viscosity=[1,2,3]"], "problem.viscosity=[1, 2, 3]: wanted one number, or [low, high]"),
    (["problem.resolution=4"], "problem.resolution=4 is below problem.n=8"),
    (["engine=slurm"], "engine=slurm: there is no Slurm on this machine"),
    (["search=fno"], "search=fno: a single run looks for nothing. Write pdeops search"),
    # what cannot be read
    (["model.modes=[4,"], "cannot read the override 'model.modes=[4,'"),
    (["ckpt_path=nowhere.ckpt"], "there is no checkpoint nowhere.ckpt"),
    (["init_from=nowhere"], "nowhere: there is no such folder or file"),
    (["data.file=nowhere.h5"], "there is no data file nowhere.h5"),
    (["data=file"], "unknown key 'problem.n' in 'problem.n=8'."),
    # not the override that is right
    (["logger=wandb", "logger.wandb.offlin=true"], "Did you mean 'logger.wandb.offline'?"),
    (["callbacks=early_stopping", "callbacks.early_stopping.patience=3", "model.widht=1"], "unknown key 'model.widht'"),
    (
        ["hydra.run.dir=there", "model.widht=1"],
        "unknown key 'model.widht' in 'model.widht=1'. Did you mean 'model.width'",
    ),
    (["hydra.run.dri=there"], "hydra.run.dri"),
    (["hydra.run.dir=there", "model=fnoo"], "model=fnoo: there is no such model"),
    # a part that is chosen by a group of its own
    (["problem.solver=etdrk2"], "problem.solver='etdrk2': wanted Stepper, chosen by solver=NAME of auto, bicgstab, "),
    (["task.rollout=0"], "task.rollout=0: wanted a number of steps, at least 1, or numbers by epoch"),
    (["task.rollout=9"], "task.rollout=9 outputs in a row: data.window: n_in=2 and n_out=9 frames"),
    (["task.rollout=2", "data.queries=4"], "task.rollout=2 outputs in a row are for frames on their grid"),
    (["task.pushforward=true"], "task.pushforward=true goes with several steps"),
    (["data.noise=-1"], "data.noise=-1: wanted 0 or more"),
    # what was taken away
    (["+callbacks.foo=3"], "callbacks.foo=3: wanted a _target_"),
    (["engine=null"], "there is no engine: choose one with engine=..."),
    (["loss=null"], "there is no loss: choose one with loss=..."),
    (["~optimizer", "scheduler=null"], "there is no optimizer"),
    # what other libraries refuse, before data are generated
    (["optimizer.lr=-1"], "optimizer: Invalid learning rate: -1"),
    (["trainer.accelerator=gpuu"], "trainer: "),
    (["seed=-1"], "seed=-1: wanted 0 to"),
    (["data.device=foo"], "data.device=foo: "),
    (["data.seed=-3"], "data.seed=-3: wanted 0 or more"),
    (["train=false"], "train=false, and no weights"),
    (["ckpt_path=a", "init_from=b"], "give one of them"),
    (["data.augment_transpose=true"], "ns2d is not symmetric under x <-> y"),
    (["data.split=[0.8,0.0,0.2]"], "no validation samples"),
    (["data.dir=/proc/nowhere"], "/proc/nowhere: "),
    # what does not go together
    (["trainer=gpu"], "trainer: "),
    (
        ["-m", "seed=0,1", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra/launcher=basic"],
        "do not fit into one process tree. Leave hydra/launcher out",
    ),
    (["-m", "model=fno,unet", "model.modes=4"], "'model.modes' is no key of model=unet (1 of the 2 points)"),
]


@pytest.mark.parametrize(("overrides", "message"), GOLDEN, ids=[" ".join(o) for o, _ in GOLDEN])
def test_golden(run, tiny, overrides, message):
    status, _, err = run("train", *tiny, "test=false", *overrides)
    assert message in err
    assert status == 2
    assert "Traceback" not in err
    assert "append" not in err
    assert len(err.strip().splitlines()[-1]) < 400
    assert "Error executing job" not in err
    assert not list(Path.cwd().glob("runs/**/surrogate"))


def test_darcy_without_its_files(run, monkeypatch):
    monkeypatch.delenv("PDEOPS_DATA", raising=False)
    status, _, err = run("train", "experiment=darcy_small")
    assert status == 2
    assert "data=darcy_small needs the published files ['darcy_train_16.pt', 'darcy_test_16.pt']" in err
    assert "data.source=/path/to/folder, or set the variable PDEOPS_DATA" in err
    status, _, err = run("train", "experiment=darcy_small", "data.source=here")
    assert "there is no darcy_train_16.pt in here (data.source or PDEOPS_DATA)" in err


DARCY = ["data=darcy", "problem.n=9", "problem.resolution=null", "data.n=4"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["solver=etdrk4"], "problem.solver=Stepper: darcy is steady, and wants a solver of linear systems"),
        (["solver=gcrodrr"], "solver=gcrodrr: there is no such solver. Did you mean 'gcrodr'"),
        (["solver=gcrodr", "problem.solver.kk=3"], "Did you mean 'problem.solver.k'?"),
        (["solver=gcrodr", "problem.solver.k=50"], "problem.solver.m=40, problem.solver.k=50: wanted 0 <= k < m"),
        (["solver=transforms"], "transforms are for Poisson's equation with constant coefficients"),
        (["solver=null"], "problem.solver=None: wanted LinearSolver"),
        (["problem.solver.tolerance=0", "solver=cg"], "wanted 0 < tolerance < 1"),
        (["problem.resolution=10"], "problem.resolution=10: wanted m (9 - 1) + 1 with a whole number m"),
        (["problem.mean=geometric"], "problem.mean='geometric': wanted one of 'harmonic', 'arithmetic'"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_golden_of_steady_problems(run, overrides, message):
    status, _, err = run("generate", *DARCY, *overrides)
    assert message in err
    assert status == 2
    assert "Traceback" not in err
    assert len(err.strip().splitlines()[-1]) < 400


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.heads=3"], "model.heads=3 do not divide model.width=32: wanted one of its divisors"),
        (["model.tokens=0"], "model.heads=8, model.tokens=0, model.basis=12: wanted at least 1, 1 and 2"),
        (["model.levels=1"], "model.levels=1: wanted 2 to 5 on 9 x 9 nodes"),
        (["model.levels=6"], "model.levels=6: wanted 2 to 5 on 9 x 9 nodes"),
        (["model.width=-4"], "model.width=-4: wanted at least 1"),
        (["experiment=fno_darcy"], "If an experiment sets it for another model, leave it out: '~model.modes'"),
        (["+scheduler.pct_start=2"], "'pct_start': 2} make no schedule: Expected float between 0 and 1"),
        (["scheduler=step", "scheduler.step_size=0"], "'step_size': 0, 'gamma': 0.5} make no schedule: integer modulo"),
        (["model.norm=layer"], "model.norm='layer': wanted one of 'batch', 'instance', 'group'"),
        (["model.norm=instance"], "a field of 9 x 9 nodes is one node on the coarsest of 5 levels"),
        (["model.resolution=nearest"], "model.resolution='nearest': wanted one of 'native', 'resample'"),
        (["model.modes=4"], "unknown key 'model.modes'"),
    ],
)
def test_golden_of_the_lsm(run, overrides, message):
    status, _, err = run("train", *DARCY, "model=lsm", "trainer=cpu", *overrides)
    assert message in err
    assert (status, "Traceback" in err) == (2, False)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=ns2d"], "problem.solver=GCRODR: ns2d is an evolution, and wants a time stepper: etdrk4"),
        (["data=pendulum"], "problem.solver=GCRODR: pendulum is an evolution, and wants a time stepper: etdrk4"),
        (["data=darcy_small"], "solver=gcrodr: what is chosen here has no problem.solver"),
    ],
)
def test_a_linear_solver_where_there_is_no_system(run, overrides, message):
    status, _, err = run("generate", *overrides, "solver=gcrodr")
    assert message in err
    assert (status, "Traceback" in err) == (2, False)


@pytest.mark.parametrize(
    ("override", "got"), [("model.branch=spectral", "'spectral'"), ("branch=null", "None"), ("branch=none", "None")]
)
def test_golden_of_branches(run, override, got):
    status, _, err = run("train", *DARCY, "model=deeponet", override)
    assert (
        f"model.branch={got}: wanted Branch, chosen by branch=NAME of attention, convolutional, dense, spectral" in err
    )
    assert (status, "Traceback" in err) == (2, False)


def test_a_file_of_another_problem(run, tiny):
    _, out, _ = run("generate", *tiny)
    file = out.strip().splitlines()[-1]
    status, _, err = run("train", *tiny, f"data.file={file}", "problem.viscosity=0.5")
    assert status == 2
    assert "viscosity is 0.001 in the file and 0.5 in the configuration" in err


def test_truncated_and_corrupted_files(run, tiny):
    _, out, _ = run("generate", *tiny)
    file = Path(out.strip().splitlines()[-1])
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], b"\0" * 100):
        file.write_bytes(damaged)
        status, _, err = run("train", *tiny)
        assert status == 2
        assert "truncated, corrupted or of another format. If pdeops generated it, delete it" in err


def test_nan_in_data(run):
    import h5py

    u = np.random.default_rng(0).standard_normal((10, 8))
    path = write_arrays("x.h5", Grid((Axis("x", 8),)), inputs={"a": u}, targets={"u": u})
    with h5py.File(path, "r+") as f:
        f["t0_fields/u"][3, 2] = np.nan
    status, _, err = run("data", "check", str(path))
    assert (status, "sample 3 holds NaN" in err) == (2, True)
    status, _, err = run("train", "data=file", "data.file=x.h5", "model.modes=4", "trainer.max_epochs=1")
    assert status == 2
    assert "sample 3 holds NaN or infinite values; see: pdeops data check" in err
    options = ["data=file", "data.file=x.h5", "data.cache=none", "model.modes=4", "trainer.max_epochs=1"]
    status, _, err = run("train", *options)
    assert (status, "training loss became nan in epoch 1. Lower optimizer.lr" in err) == (2, True)


def test_a_checkpoint_of_another_model(run, tiny):
    run("train", *tiny, "hydra.run.dir=a", "test=false")
    status, _, err = run("train", *tiny, "ckpt_path=a/checkpoints/last.ckpt", "model.width=12")
    assert status == 2
    assert "is of another model: width is 8 there and 12 here" in err
    options = ["ckpt_path=a/checkpoints/last.ckpt", "trainer.max_epochs=5"]
    assert "its schedule was made for trainer.max_epochs=2, not 5" in run("train", *tiny, *options)[2]
    for other, what in (("optimizer=muon", "optimizer"), ("scheduler=step", "scheduler")):
        assert f"its {what} is" in run("train", *tiny, *options, other)[2]
    Path("bad.ckpt").write_bytes(Path("a/checkpoints/last.ckpt").read_bytes()[:1000])
    status, _, err = run("train", *tiny, "ckpt_path=bad.ckpt")
    assert (status, "bad.ckpt is not a checkpoint of pdeops, or is damaged" in err) == (2, True)


def test_fine_tuning_on_other_channels(run, tiny):
    run("train", *tiny, "hydra.run.dir=a", "test=false")
    status, _, err = run("train", *tiny, "init_from=a", "data.window.n_in=1")
    assert status == 2
    assert "that surrogate maps ['vorticity[-1]', 'vorticity[+0]'] to ['vorticity[+1]']" in err


def test_nothing_to_generate_from(run):
    assert "problem=null: there is nothing to generate data from" in run("generate", "problem=null")[2]


def test_a_file_must_be_named(run):
    assert "data.file: Missing mandatory value" in run("train", "data=file")[2]


def test_convert_and_check(run):
    assert "there is no file x.pt" in run("convert", "x.pt", "-o", "y.h5")[2]
    assert "there is no data file y.h5" in run("data", "check", "y.h5")[2]
