"""`pdeops train` and `pdeops generate` from end to end, on the smallest problem."""

import json
import shlex
import shutil
import time
import warnings
from importlib import import_module
from pathlib import Path

import h5py
import lightning as L
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing import event_accumulator

import pdeops
from pdeops.bases.fourier import derivative
from pdeops.surrogate import LatticeWarning


def only(pattern):
    (found,) = Path.cwd().glob(pattern)
    return found


def test_train_generates_trains_tests_and_saves(run, tiny):
    status, out, _ = run("train", *tiny, "name=tiny")
    assert status == 0
    assert "test/rollout/relative_l2" in out
    assert "epoch 2/2" in out
    folder = only("runs/tiny/*")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 0 < metrics["test/relative_l2"] < 2
    assert (folder / "figures" / "test.png").stat().st_size > 10_000
    assert (folder / "figures" / "training.png").exists()
    assert (folder / ".hydra" / "config.yaml").exists()

    # the saved surrogate is the model that was tested
    surrogate = pdeops.load(folder)
    with h5py.File(only("data/ns2d-*.h5")) as f:
        w = torch.from_numpy(f["t0_fields/vorticity"][8:])
    errors = []
    for s in range(4):
        u = surrogate.predict(w[:, s : s + 2])[:, 0]
        errors.append(((u - w[:, s + 2]).flatten(1).norm(dim=1) / w[:, s + 2].flatten(1).norm(dim=1)).mean())
    assert float(torch.stack(errors).mean()) == pytest.approx(metrics["test/relative_l2"], rel=1e-4)
    # so is the one in the checkpoint
    best = pdeops.load(folder / "checkpoints" / "best.ckpt")
    assert torch.equal(best.predict(w[:, :2]), surrogate.predict(w[:, :2]))


def test_a_second_run_uses_the_same_file(run, tiny):
    run("generate", *tiny)
    made = only("data/ns2d-*.h5").stat().st_mtime_ns
    assert run("train", *tiny, "trainer.max_epochs=1")[0] == 0
    assert only("data/ns2d-*.h5").stat().st_mtime_ns == made
    run("generate", *tiny, "problem.viscosity=2e-3")
    assert len(list(Path("data").glob("ns2d-*.h5"))) == 2


def curve(folder):
    rows = np.genfromtxt(folder / "csv" / "metrics.csv", delimiter=",", names=True)
    return {int(r["epoch"]): r["trainloss"] for r in rows if np.isfinite(r["trainloss"])}


class StopAfterTwo(L.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == 1


def test_resuming_equals_never_stopping(run, mine):
    """All runs are of four epochs, with random augmentation and strides; one is stopped after two and then resumed."""
    options = [*mine, "trainer.max_epochs=4", "data.augment_transpose=true", "data.strides=[1,3]"]
    assert run("train", *options, "hydra.run.dir=whole")[0] == 0
    stop = "+callbacks.stop._target_=tests.test_app.StopAfterTwo"
    assert run("train", *options, "hydra.run.dir=half", stop)[0] == 0
    assert sorted(curve(Path("half"))) == [0, 1]
    assert run("train", *options, "hydra.run.dir=rest", "ckpt_path=half/checkpoints/last.ckpt")[0] == 0
    assert curve(Path("half")) | curve(Path("rest")) == curve(Path("whole"))
    for name in ("last", "best"):
        a, b = (pdeops.load(f"{n}/checkpoints/{name}.ckpt").state_dict() for n in ("whole", "rest"))
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_resumed_run_keeps_the_best_epoch_before_it(run, mine):
    """With a rate that only spoils the weights, the first epoch stays the best, also after a resumption."""
    options = [*mine, "scheduler=null", "optimizer.lr=1e-3"]
    assert run("train", *options, "trainer.max_epochs=2", "hydra.run.dir=half")[0] == 0
    spoil = [*options, "optimizer.lr=0.5", "trainer.max_epochs=3", "ckpt_path=half/checkpoints/last.ckpt"]
    checkpoint = torch.load("half/checkpoints/last.ckpt")
    checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] = checkpoint["settings"]["optimizer"]["lr"] = 0.5
    torch.save(checkpoint, "half/checkpoints/last.ckpt")
    assert run("train", *spoil, "hydra.run.dir=rest")[0] == 0
    a, b = (pdeops.load(f"{n}/surrogate").state_dict() for n in ("half", "rest"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert (Path("rest/checkpoints/best.ckpt")).exists()
    assert torch.load("rest/checkpoints/last.ckpt")["epoch"] == 2  # to resume from, though none of them was better


def test_a_run_goes_on_with_its_own_settings(run, mine):
    """A checkpoint holds the optimiser's rate: another one would not be taken."""
    assert run("train", *mine, "trainer.max_epochs=1", "hydra.run.dir=out", "test=false")[0] == 0
    more = [*mine, "hydra.run.dir=out", "ckpt_path=auto"]
    status, _, err = run("train", *more, "trainer.max_epochs=1", "optimizer.lr=0.5")
    assert status == 2
    assert "its optimizer.lr is 0.001, not 0.5. Resume with that, or start anew from its weights with init_from" in err
    status, _, err = run("train", *more, "trainer.max_epochs=1", "scheduler=step")
    assert status == 2
    assert "its scheduler is torch.optim.lr_scheduler.OneCycleLR, not torch.optim.lr_scheduler.StepLR" in err


def test_lightning_loads_a_checkpoint_with_its_defaults(run, tiny):
    run("train", *tiny, "name=x", "test=false")
    checkpoint = torch.load(only("runs/x/*/checkpoints/last.ckpt"))  # weights_only by default
    assert checkpoint["settings"]["model"]["width"] == 8
    assert checkpoint["surrogate"]["model"]["_target_"] == "pdeops.models.fno.FNO"


def test_testing_a_checkpoint_alone(run, tiny):
    run("train", *tiny, "name=a")
    first = json.loads(only("runs/a/*/metrics.json").read_text())
    best = only("runs/a/*/checkpoints/best.ckpt")
    assert run("train", *tiny, "name=b", "train=false", f"ckpt_path={best}")[0] == 0
    assert json.loads(only("runs/b/*/metrics.json").read_text()) == pytest.approx(first)


def test_fine_tuning_a_saved_surrogate_on_other_data(run, tiny):
    run("train", *tiny, "name=a", "test=false")
    saved = only("runs/a/*/surrogate")
    options = [*tiny, "problem.n=12", "problem.viscosity=2e-3", f"init_from={saved}"]
    still = ["optimizer.lr=0", "optimizer.weight_decay=0"]
    assert run("train", *options, "name=b", *still)[0] == 0
    # a fine-tuning that is started again in its folder goes on with itself
    folder = f"hydra.run.dir={only('runs/b/*')}"
    assert run("train", *options, "name=b", folder, "ckpt_path=auto", "test=false", *still)[0] == 0
    before, after = pdeops.load(saved), pdeops.load(only("runs/b/*/surrogate"))
    assert after.window.grid_in.shape == (12, 12)
    assert after.problem.viscosity == 2e-3
    assert all(torch.equal(v, after.state_dict()[k]) for k, v in before.state_dict().items())


def test_residual_training_needs_no_targets(run, tiny):
    status, out, _ = run("train", *tiny, "name=r", "loss=residual", "data.window.n_out=2")
    assert status == 0
    losses = [float(line.split("train/loss ")[1].split()[0]) for line in out.splitlines() if "train/loss" in line]
    assert losses[-1] < losses[0]


def test_velocities_without_divergence(run, tiny):
    """Not only in the model's own units, in which components may be stretched differently."""
    sizes = ["model=sfno", "model.modes=4", "model.latent_steps=3", "model.time_modes=3", "data.window.n_out=3"]
    options = ["data=ns2d_velocity", "problem.n=9", *sizes, "model.divergence_free=true", "name=v"]
    assert run("train", *(o for o in tiny if o not in ("data=ns2d", "problem.n=8")), *options)[0] == 0
    surrogate = pdeops.load(only("runs/v/*/surrogate"))
    u = surrogate.predict(torch.randn(1, 2, 2, 9, 9))
    grid = surrogate.window.bound.space
    slopes = [derivative(u[:, i], axis, i - 2) for i, axis in enumerate(grid)]
    assert float(sum(slopes).norm()) < 1e-4 * float(slopes[0].norm())


def test_the_residual_of_a_series_in_time_is_taken_of_the_series(run, tiny):
    """As its model says: a period of 1.5 times three frames of 0.2, three terms."""
    sizes = ["model=sfno", "model.modes=4", "model.latent_steps=3", "model.time_modes=3", "data.window.n_out=3"]
    losses = []
    for i, ansatz in enumerate(["null", "[0.9,3,0.0]", "[1.8,3,0.0]"]):
        options = [*tiny, *sizes, "loss=residual", f"loss.ansatz={ansatz}", f"hydra.run.dir=r{i}"]
        status, out, _ = run("train", *options)
        assert status == 0
        losses.append([line.split("train/loss ")[1].split()[0] for line in out.splitlines() if "train/loss" in line])
    assert losses[0] == losses[1] != losses[2]


def test_a_space_time_model(run, tiny):
    options = ["data.window.history=time", "data.window.n_out=3", "model.modes=[4,4,4]", "name=st"]
    assert run("train", *tiny, *options)[0] == 0
    u = pdeops.load(only("runs/st/*/surrogate")).predict(torch.randn(1, 1, 2, 8, 8))
    assert u.shape == (1, 1, 3, 8, 8)


def test_arrays_of_ones_own_train(run, mine):
    """`problem=null`: NumPy arrays, a file, a training run; also without logs and schedule, and in bf16."""
    assert (
        run("train", *mine, "problem=null", "trainer.max_epochs=1", "scheduler=null", "logger=null", "name=mine")[0]
        == 0
    )
    assert run("train", *mine, "trainer.max_epochs=1", "trainer.precision=bf16-true", "name=half")[0] == 0
    half = pdeops.load(only("runs/half/*/surrogate"))
    assert next(half.parameters()).dtype == torch.bfloat16
    surrogate = pdeops.load(only("runs/mine/*/surrogate"))
    assert surrogate.problem is None
    assert surrogate.predict(np.zeros((2, 1, 8, 8))).shape == (2, 1, 8, 8)


def test_a_sweep_by_hydra_goes_on_after_a_refused_run(run, tiny):
    words = ["model.width=8,0,4", "trainer.max_epochs=1", "test=false", "hydra/launcher=basic"]
    status, _, err = run("train", "-m", *tiny, *words)
    assert status == 2
    assert "run 1 of the sweep: model.width=0" in err
    assert len(list(Path("runs/multirun").glob("*/*/surrogate"))) == 2


def test_a_test_split_is_not_needed(run, tiny):
    assert run("train", *tiny, "data.split=[0.8,0.2,0.0]")[0] == 0


def test_a_sweep_by_hydra(run, tiny):
    words = ["seed=0,1", "trainer.max_epochs=1", "test=false", "hydra/launcher=basic"]
    status, _, _ = run("train", "-m", *tiny, *words)
    assert status == 0
    a, b = (pdeops.load(p).state_dict() for p in sorted(Path("runs/multirun").glob("*/[01]/surrogate")))
    assert not torch.equal(a["model.blocks.0.skip.weight"], b["model.blocks.0.skip.weight"])


@pytest.mark.parametrize("logger", ["tensorboard", "wandb", "many", "mlflow"])
def test_loggers_have_settings_metrics_and_figures(run, tiny, logger, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    if logger == "mlflow":
        pytest.importorskip("mlflow")
    offline = ["logger.wandb.offline=true"] if logger == "wandb" else []
    status, _, err = run("train", *tiny, f"logger={logger}", *offline, "hydra.run.dir=log")
    assert status == 0
    assert "the run goes on without it" not in err
    assert Path("log/csv/metrics.csv").exists()
    if logger in ("tensorboard", "many"):
        events = event_accumulator.EventAccumulator("log/tensorboard", size_guidance={"images": 0, "scalars": 0})
        events.Reload()
        assert {"figures/test", "figures/training"} <= set(events.Tags()["images"])
        assert {"train/loss", "val/relative_l2", "test/relative_l2"} <= set(events.Tags()["scalars"])
        assert "model.width: 8" in Path("log/tensorboard/hparams.yaml").read_text()
    if logger in ("wandb", "many"):
        (offline_run,) = Path("log/wandb").glob("offline-run-*")
        assert {p.name[:4] for p in (offline_run / "files/media/images/figures").iterdir()} == {"test", "trai"}
        record, end = next(offline_run.glob("*.wandb")), time.monotonic() + 30
        while record.stat().st_size < 1000 and time.monotonic() < end:  # another process writes it
            time.sleep(0.1)
        said = record.read_bytes()
        assert b"model.width" in said
        assert b"test/relative_l2" in said
    if logger == "mlflow":
        client = import_module("mlflow").MlflowClient(f"sqlite:///{Path('log/mlflow.db').resolve()}")
        (found,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
        assert found.data.params["model.width"] == "8"
        assert "test/relative_l2" in found.data.metrics
        assert {p.name for p in Path("log/mlflow").rglob("*.png")} == {"test.png", "training.png"}


def test_a_run_tells_where_and_how_it_was_made(run, tiny):
    assert run("train", *tiny, "test=false", "data.split=[0.5,0.3,0.2]", "hydra.run.dir=a")[0] == 0
    made = json.loads(Path("a/environment.json").read_text())
    assert made["packages"]["torch"] == torch.__version__
    assert set(made["git"]) == {"commit", "dirty"}
    assert len(made["git"]["commit"]) == 40
    folder, _, again = made["reproduce"].partition(" && ")
    assert shlex.split(folder) == ["cd", str(Path.cwd())]
    script, *words = shlex.split(again)[1:]
    assert Path(script).name == "train.py"
    assert words == [*tiny, "test=false", "data.split=[0.5,0.3,0.2]"]
    assert run("train", *words, "hydra.run.dir=b")[0] == 0  # what is told gives the same again
    a, b = (pdeops.load(name).state_dict() for name in "ab")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_lines_of_epochs_tell_the_pace_and_what_is_left(run, tiny):
    _, out, _ = run("train", *tiny, "test=false")
    first, last = (line for line in out.splitlines() if line.startswith("epoch "))
    for text in ("s left", "samples/s ", "step ", " ms", "data "):
        assert text in first
    assert "left" not in last


@pytest.mark.parametrize("debug", ["fast", "overfit", "limit", "profiler"])
def test_debug_modes(run, tiny, debug):
    assert run("train", *[o for o in tiny if "max_epochs" not in o], f"debug={debug}")[0] == 0


def test_early_stopping(run, tiny):
    options = [
        "callbacks=early_stopping",
        "callbacks.early_stopping.patience=1",
        "optimizer.lr=0",
        "trainer.max_epochs=9",
    ]
    _, out, _ = run("train", *tiny, *options, "test=false")
    assert "epoch 2/9" in out
    assert "epoch 3/9" not in out


def solver_of(pattern):
    with h5py.File(only(pattern)) as f:
        return json.loads(f["pdeops"].attrs["provenance"])["recipe"]["problem"]["solver"]


def test_solver_is_short_for_the_solver_of_the_problem(run, tiny):
    assert run("generate", *tiny, "solver=cn_rk4", "problem.solver.tolerance=1e-3")[0] == 0
    assert solver_of("data/ns2d-*.h5") | {"dt": 0} == {
        "_target_": "pdeops.solvers.steppers.Stepper",
        "scheme": "cn_rk4",
        "dt": 0,
        "tolerance": 1e-3,
    }
    steady = ["data=darcy", "problem.n=9", "problem.resolution=null", "data.n=4"]
    for short in ("solver", "solver@problem.solver"):
        assert run("generate", *steady, f"{short}=gcrodr", "problem.solver.k=7")[0] == 0
    solver = solver_of("data/darcy-*.h5")  # one file: both say the same
    assert (solver["_target_"], solver["k"]) == ("pdeops.solvers.sequences.GCRODR", 7)
    ilu = "problem.solver.preconditioner={_target_:pdeops.solvers.preconditioners.ILU}"
    assert run("generate", *steady, "solver=gmres", ilu, "data.dir=other")[0] == 0
    assert solver_of("other/darcy-*.h5")["preconditioner"]["_target_"] == "pdeops.solvers.preconditioners.ILU"


def test_training_on_a_steady_problem(run):
    small = ["model=fno", "data=darcy", "problem.n=9", "problem.resolution=null", "data.n=20", "trainer=cpu"]
    tiny = ["model.width=4", "model.modes=4", "model.depth=2", "trainer.max_epochs=1", "name=steady"]
    for loss in (["loss=l2"], ["loss=residual", "loss.s=0"]):
        status, out, _ = run("train", *small, *tiny, *loss)
        assert status == 0
        assert "test/relative_l2" in out


ODE = ["data=pendulum", "problem.n=21", "data.n=30", "data.shard=10", "data.batch_size=8", "trainer=cpu"]
AT_POINTS = ["model=point_lsm", "model.width=4", "model.latent=8", "model.modes=4", "model.levels=2", "model.heads=2"]


def resumed(run, *options):
    """Whether a run of four epochs that stops after two and goes on is the unbroken one, bit for bit."""
    options = [*options, "trainer.max_epochs=4", "test=false"]
    assert run("train", *options, "hydra.run.dir=whole")[0] == 0
    stop = "+callbacks.stop._target_=tests.test_app.StopAfterTwo"
    assert run("train", *options, "hydra.run.dir=half", stop)[0] == 0
    assert run("train", *options, "hydra.run.dir=rest", "ckpt_path=half/checkpoints/last.ckpt")[0] == 0
    a, b = (pdeops.load(f"{n}/checkpoints/last.ckpt").state_dict() for n in ("whole", "rest"))
    same = all(torch.equal(a[k], b[k]) for k in a)
    return same and curve(Path("half")) | curve(Path("rest")) == curve(Path("whole"))


@pytest.mark.parametrize("draws", ["batch", "sample", "fixed"])
def test_training_at_points_is_resumed_exactly(run, draws):
    assert resumed(run, *ODE, *AT_POINTS, "data.queries=5", f"data.query_draws={draws}", "loss=mse")


def test_what_cannot_train_at_points_is_refused_before_there_are_data(run):
    queries = "data.queries=5"
    for options, message in (
        (["model=fno"], "data.queries=5 trains at points: FNO evaluates on grids"),
        ([*AT_POINTS, "loss=h1"], "data.queries=5 trains at points: this loss takes slopes or spectra"),
        ([*AT_POINTS, "loss=residual"], "data.queries=5 trains at points: this loss takes slopes or spectra"),
        ([*AT_POINTS, "data.queries=22"], "data.queries=22: wanted 1 to 21 nodes"),
    ):
        status, _, err = run("train", *ODE, queries, *options)
        assert status == 2
        assert message in err
    assert not list(Path("data").glob("*.h5"))


def test_a_lattice_that_patches_do_not_divide_is_told_once_before_training(run, monkeypatch):
    monkeypatch.setattr(L.Trainer, "fit", lambda *args, **kwargs: warnings.warn("training", stacklevel=2))
    options = ["model=fano", "model.patches=3", "model.modes=3", "model.depth=1", "trainer.max_epochs=1"]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert run("train", *ODE, "problem.n=24", *options)[0] == 0
    told = [str(w.message) for w in found if w.category is LatticeWarning or str(w.message) == "training"]
    assert told == ["FANO has 3 patches, and 24 nodes are interpolated to 25 and back", "training"]


SEGMENTS = [*ODE, "data.window.segment=11", "data.windows=4", "model=fno", "model.width=4", "model.modes=4"]


def test_segments_with_noisy_starts_are_resumed_exactly(run):
    assert resumed(run, *SEGMENTS, "data.noise=0.1")


def test_segments_stand_in_their_order(run):
    options = [*SEGMENTS, "problem.n=61", "data.window.segment=7", "trainer.max_epochs=1", "hydra.run.dir=out"]
    assert run("train", *options)[0] == 0
    found = [name for name in json.loads(Path("out/metrics.json").read_text()) if "relative_l2[" in name]
    assert found == [f"test/rollout/relative_l2[{i}]" for i in range(1, 11)]


def test_a_run_on_segments_follows_whole_trajectories(run):
    status, out, _ = run("train", *SEGMENTS, "trainer.max_epochs=1", "hydra.run.dir=out", "loss=residual")
    assert status == 0
    found = json.loads(Path("out/metrics.json").read_text())
    assert {"test/relative_l2", "test/rollout/relative_l2[1]", "test/rollout/relative_l2[2]"} <= set(found)
    assert "test/rollout/relative_l2[3]" not in found
    assert "test/rollout/relative_l2[2]" in out
    assert Path("out/figures/test.png").stat().st_size > 0
    surrogate = pdeops.load("out")
    controls = surrogate.problem.of.sample([0, 1], 0)
    assert surrogate.drive(controls, torch.zeros(2, 2)).shape == (2, 2, 21)


SMALL_POD = [
    "model=pod_deeponet",
    "branch=dense",
    "model.branch.widths=[8]",
    "model.features=4",
    "data=antiderivative",
    "problem.n=20",
    "data.n=20",
    "trainer=cpu",
    "trainer.max_epochs=1",
]


def test_a_basis_is_learnt_from_training_samples_alone_and_kept(run):
    def functions(name, *more):
        assert run("train", *SMALL_POD, f"name={name}", *more)[0] == 0
        return pdeops.load(only(f"runs/{name}/*")).model.functions

    def changed(rows):
        path = shutil.copy(file, f"{rows.start}.h5")
        with h5py.File(path, "r+") as f:
            f["t0_fields/s"][rows] = 7 - 3 * f["t0_fields/s"][rows]
        return f"data.file={path}"

    first = functions("first")
    assert torch.equal(pdeops.load(only("runs/first/*/checkpoints/last.ckpt")).model.functions, first)
    file = only("data/antiderivative-*.h5")
    assert torch.equal(functions("others", changed(slice(16, 20))), first)  # validation and tests
    training = changed(slice(0, 16))
    assert not torch.equal(functions("training", training), first)
    tuned = f"init_from={only('runs/first/*/surrogate')}"
    assert torch.equal(functions("tuned", training, tuned), first)
    status, _, said = run("train", *SMALL_POD, tuned, "problem.n=24")
    assert status == 2
    assert "the weights of that PODDeepONet depend on its nodes" in said


def test_a_basis_is_trained_at_points(run):
    assert run("train", *SMALL_POD, "data.queries=5", "hydra.run.dir=x")[0] == 0


@pytest.mark.parametrize("branch", ["dense", "convolutional", "spectral"])
def test_branches_of_a_deeponet(run, branch):
    sizes = {"dense": "widths=[8]", "convolutional": "channels=[4]", "spectral": "modes=4"}
    small = ["model=deeponet", f"branch={branch}", f"model.branch.{sizes[branch]}", "model.features=4", *SMALL_POD[4:]]
    assert run("train", *small, "name=x")[0] == 0
    model = pdeops.load(only("runs/x/*")).model
    assert type(model.branch).__name__ == branch.capitalize()
