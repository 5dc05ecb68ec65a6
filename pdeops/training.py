"""One run of a configuration: build the objects, train, test, leave the results."""

from __future__ import annotations

import functools
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import hydra
import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig

from pdeops.compilers import check_compiler
from pdeops.config import from_config, to_config
from pdeops.data.file import DataFile
from pdeops.environment import environment
from pdeops.errors import InputError, Preempted, first_line
from pdeops.memory import keep_freed
from pdeops.nn.normalizer import Normalizer
from pdeops.report.evaluation import evaluate
from pdeops.report.figures import save_sample, save_training
from pdeops.report.report import write_report
from pdeops.report.runs import behind, parameters
from pdeops.report.subjects import Subject
from pdeops.report.tables import metric_table
from pdeops.resuming import check_resumable, checkpoint_of, command
from pdeops.saved import read_checkpoint
from pdeops.sources.load import load
from pdeops.surrogate import LatticeWarning, Surrogate
from pdeops.tasks.clock import Clock
from pdeops.tasks.compiled import Compile
from pdeops.tasks.loggers import Tolerant
from pdeops.tasks.preemption import Preemption
from pdeops.tasks.recomputed import Recompute
from pdeops.tasks.sharding import load_whole, whole
from pdeops.tasks.unrolled import longest
from pdeops.window import Batch, Window


def generate(config: dict[str, Any]) -> Path:
    """Make the data file of a configuration; print where it is."""
    path = data_module(config).prepare()
    DataFile(path)  # one that is there already may be broken, or a virtual one without its shards
    print(path)
    return path


def train(config: dict[str, Any]) -> float | None:
    """Train, test, and leave a surrogate, figures and metrics in the run's directory; the validation error."""
    quiet()
    keep_freed()
    out = Path(HydraConfig.get().runtime.output_dir)
    if config["ckpt_path"] not in (None, "auto") and config["init_from"]:
        raise InputError("ckpt_path resumes a run and init_from starts a new one from its weights: give one of them")
    config = config | {"ckpt_path": checkpoint_of(config, out)}
    trainer = build(
        "trainer",
        config["trainer"],
        callbacks=[Clock(), *(build("callbacks", node) for node in (config["callbacks"] or {}).values() if node)]
        + [Recompute()] * config["recompute"]
        + [Compile()] * config["compile"]
        + [Preemption()],
        logger=[Tolerant(build("logger", node)) for node in (config["logger"] or {}).values() if node] or False,
        default_root_dir=str(out),
    )
    data = data_module(config)
    saved = _start(config)
    _rehearse(config, data.bind(), saved)
    data.open()
    L.seed_everything(config["seed"], verbose=False)
    task = make_task(config, data, saved)
    if trainer.is_global_zero:
        (out / "config.json").write_text(json.dumps(config, indent=2))
        (out / "environment.json").write_text(
            json.dumps(environment() | {"data": str(data.file_path.resolve())}, indent=2)
        )
        for logger in trainer.loggers:
            logger.describe(config)
        model = task.surrogate.model
        print(
            f"{type(model).__name__} with {parameters(model):,} parameters on {data.file_path}; run in {out}",
            flush=True,
        )
        if (told := getattr(model, "told", lambda n: None)(data.window.grid_in.shape)) is not None:
            warnings.warn(told, LatticeWarning, stacklevel=2)
    if not config["ckpt_path"] and trainer.is_global_zero:
        (out / "csv" / "metrics.csv").unlink(missing_ok=True)  # of another run in this folder
    if config["train"]:
        _fit(trainer, task, data, config, out)
    elif config["ckpt_path"]:
        task.load_state_dict(read_checkpoint(config["ckpt_path"])["state_dict"])
    best_error = trainer.callback_metrics.get("val/relative_l2")
    if config["test"] and len(data.open().split["test"]):
        trainer.test(task, data, verbose=False)
    surrogate = whole(task.surrogate, task.description)
    if trainer.is_global_zero:
        _leave_results(out, surrogate, task.results, data, config["report"], trainer.strategy.root_device)
        for logger in trainer.loggers:
            logger.end(out / "figures")
    return None if best_error is None else float(best_error)


def _fit(trainer: Any, task: Any, data: Any, config: dict[str, Any], out: Path) -> None:
    """Train; then the model is that of the best epoch."""
    checkpoints = trainer.checkpoint_callback
    try:
        trainer.fit(task, data, ckpt_path=config["ckpt_path"], weights_only=True)
    except (SystemExit, Preempted) as stopped:  # the former is how Lightning ends an interrupted run
        if isinstance(stopped, Preempted) and not trainer.is_global_zero:
            raise SystemExit(0) from stopped  # one status for the run: any other ends its main process
        last = getattr(checkpoints, "last_model_path", "")
        where = f"in epoch {trainer.current_epoch + 1}, after {trainer.global_step} steps"
        advice = f"; go on with:\n{command(config, out)}" if last else " before its first checkpoint"
        if isinstance(stopped, Preempted):
            raise Preempted(f"stopped by {stopped} {where}{advice}") from stopped
        raise KeyboardInterrupt(f"interrupted {where}{advice}") from stopped
    best = getattr(checkpoints, "best_model_path", "")
    if best:
        load_whole(task, read_checkpoint(best)["state_dict"])


def build(group: str, node: dict[str, Any] | None, *objects: Any, **named: Any) -> Any:
    """What a node's `_target_` makes of its own keys and the given objects; None for no node.

    Raises InputError for what another library refuses.
    """
    if node is None:
        return None
    # as a partial, so that Hydra does not turn the objects into configurations
    partial = hydra.utils.instantiate({**node, "_partial_": True}, _convert_="all")
    if node["_target_"].startswith("pdeops."):
        return partial(*objects, **named)
    try:
        return partial(*objects, **named)
    except Exception as error:
        raise InputError(f"{group}: {first_line(error)}") from error


def data_module(config: dict[str, Any]) -> Any:
    """The data of a configuration, with the problem it names."""
    ahead = longest(config["task"].get("rollout", 1))
    return build("data", config["data"], problem=build("problem", config["problem"]), ahead=ahead)


def _start(config: dict[str, Any]) -> Surrogate | None:
    """The saved surrogate to start from, if there is one. Refuses to test without weights."""
    if not (config["train"] or config["ckpt_path"] or config["init_from"]):
        raise InputError("train=false, and no weights: say which with ckpt_path=... or init_from=...")
    return load(config["init_from"]) if config["init_from"] else None


def _rehearse(config: dict[str, Any], window: Window | None, saved: Surrogate | None) -> None:
    """What can be refused before data are generated: compiler, sizes, optimiser, loss, another model's checkpoint."""
    if config["compile"]:
        check_compiler("compile=true", "train with compile=false")
    model = saved.model if saved else None if window is None else _model(config, window)
    if config["ckpt_path"]:
        check_resumable(config, None if saved else model)  # a fine-tuned one has the grids of its data
    if model is not None:
        build("optimizer", config["optimizer"], model.parameters())
    if window is not None:
        loss = _loss(config, window, model)
        if config["data"].get("queries") is not None:
            _rehearse_points(config, window, model, loss)
        if config["data"].get("fresh") is not None:
            _rehearse_fresh(config, window, loss)
    if set(config["data"].get("strides") or [1]) != {1} and getattr(model, "resolution", "native") == "resample":
        warnings.warn(
            "model.resolution=resample takes every lattice of data.strides to the finest one: with "
            "model.resolution=native the model is trained on each",
            stacklevel=2,
        )


def _rehearse_points(config: dict[str, Any], window: Window, model: Any, loss: Any) -> None:
    """A sample of zeros at points: InputError of a model that does not answer there, or a loss that takes no points."""
    points = window.grid_out.points().flatten(0, -2)[:2].float()
    a = torch.zeros(1, window.in_channels, *window.grid_in.shape)
    out = points if config["data"]["query_draws"] == "batch" else points.unsqueeze(0)
    if not getattr(model, "learnt", True):  # any functions do: this model is for the rehearsal
        model.learn_basis(torch.randn(model.features + 1, window.out_channels, *window.grid_out.shape))
    training = model.training
    try:
        with torch.no_grad():
            u = model.eval()(a, out)
            loss(u, Batch(a, torch.zeros_like(u), out))
    except InputError as error:
        told = f"data.queries={config['data']['queries']} trains at points: {error}; data.queries=null takes all nodes"
        raise InputError(told) from error
    finally:
        model.train(training)


def _rehearse_fresh(config: dict[str, Any], window: Window, loss: Any) -> None:
    """InputError of a loss that needs solutions, where there are none."""
    a = torch.zeros(1, window.in_channels, *window.grid_in.shape)
    out = getattr(loss, "collocation", None)
    u = torch.zeros(1, window.out_channels, *(window.grid_out if out is None else out).shape)
    try:
        loss(u, Batch(a, out=out))
    except InputError as error:
        raise InputError(f"data.fresh={config['data']['fresh']} trains without solutions: {error}") from error


def _loss(config: dict[str, Any], window: Window, model: Any, deviations: list[float] | None = None) -> Any:
    """The loss; one that is given no ansatz in time, or no lattice, has that of the model, one without a scale has the
    deviations."""
    node = config["loss"]
    known = {"scale": deviations} | {name: getattr(model, name, None) for name in ("ansatz", "collocation")}
    return build("loss", node, window, **{k: v for k, v in known.items() if k in node and node[k] is None})


def _model(config: dict[str, Any], window: Window) -> Any:
    sizes = (window.in_channels, window.out_channels, window.grid_in, window.grid_out)
    return build("model", config["model"], *sizes)


def make_task(config: dict[str, Any], data: Any, saved: Surrogate | None) -> Any:
    """The Lightning module of a configuration: a new surrogate, or a saved one put onto this data."""
    surrogate = surrogate_on(config, data, saved)
    return build(
        "task",
        config["task"],
        surrogate,
        _loss(config, data.window, surrogate.model, surrogate.normalize_out.std.tolist()),
        optimizer=functools.partial(build, "optimizer", config["optimizer"]),
        scheduler=hydra.utils.instantiate(config["scheduler"]),
        seed=config["seed"],
        settings=config,
    )


def surrogate_on(config: dict[str, Any], data: Any, saved: Surrogate | None) -> Surrogate:
    """A new surrogate of the configured model, or a saved one (`init_from`) put onto this data."""
    window = data.window
    if saved is None:
        mean_in, std_in, mean_out, std_out = data.channel_stats()
        model = _model(config, window)
        if std_out.isnan().any():  # of fresh inputs no solution is known
            scale = _loss(config, window, model).scale(data.drawn(window).inputs(range(256)))
            std_out = std_out.where(~std_out.isnan(), scale)
        if getattr(model, "divergence_free", False):  # it would have one if each component had a scale of its own
            common = std_out.square().mean().sqrt()
            velocity = torch.tensor([name in window.out_names for name in window.in_names])
            std_in, std_out = torch.where(velocity, common, std_in), common.expand_as(std_out)
        if getattr(model, "walls", False):  # zero there is zero in physical units, too
            mean_out = torch.zeros_like(mean_out)
        normalize_in, normalize_out = Normalizer(mean_in, std_in), Normalizer(mean_out, std_out)
        if hasattr(model, "learn_basis"):
            model.learn_basis(normalize_out(data.training_outputs()))
        return Surrogate(model, window, normalize_in, normalize_out, window.posed(data.problem))
    if len(saved.members) > 1:
        raise InputError(
            f"init_from={config['init_from']}: an ensemble of {len(saved.members)}; give one of its members"
        )
    theirs, ours = (saved.window.in_names, saved.window.out_names), (window.in_names, window.out_names)
    if theirs != ours:
        raise InputError(
            f"init_from={config['init_from']}: that surrogate maps {list(theirs[0])} to {list(theirs[1])}; "
            f"this data has {list(ours[0])} to {list(ours[1])}"
        )
    grids = {"grid_in": to_config(window.grid_in), "grid_out": to_config(window.grid_out)}
    model = from_config(to_config(saved.model) | grids)
    try:
        model.load_state_dict(saved.model.state_dict(), assign=True)
    except RuntimeError as error:
        raise InputError(
            f"init_from={config['init_from']}: the weights of that {type(model).__name__} depend on its nodes, "
            f"{saved.window.grid_in.shape} in and {saved.window.grid_out.shape} out; this data has "
            f"{window.grid_in.shape} and {window.grid_out.shape}. Train a new one there, or give data on those nodes"
        ) from error
    return Surrogate(model, window, saved.normalize_in, saved.normalize_out, window.posed(data.problem)).train()


def _leave_results(
    out: Path, surrogate: Surrogate, results: dict[str, float], data: Any, report: bool, device: torch.device
) -> None:
    """Save the surrogate; print the table and write metrics, figures and the report, as far as they were made."""
    surrogate.save(out / "surrogate")
    if results:
        (out / "metrics.json").write_text(json.dumps(results, indent=2))
        print(metric_table(results, f"test: {len(data.open().split['test'])} samples"))
        settings = {"windows": data.windows, "batch_size": data.batch_size}
        with torch.compiler.set_stance("force_eager"):  # a sample alone would be compiled for
            found = evaluate(surrogate.to(device), data.open(), samples=None if report else 1, **settings)
        surrogate.cpu()
        save_sample(found, out / "figures" / "test.png")
    run = behind(out)
    assert run is not None
    save_training(run, out / "figures" / "training.png")
    if results and report:
        print(f"report: {write_report(Subject(run.experiment, surrogate, run), found, out / 'report.html')}")
    print(f"surrogate, metrics and figures: {out}\nload it with: pdeops.load({str(out / 'surrogate')!r})")


def quiet() -> None:
    """Lightning's advertisements and its advice about loader workers (the data is in memory) say nothing here."""
    for name in ("utilities.rank_zero", "accelerators.cuda", "trainer.connectors.checkpoint_connector", "tuner"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for text in (
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        ".*The number of training batches.*",
        ".*Checkpoint directory.*",
        ".*`srun` command is available.*",  # on a login node a run of one process is meant
        ".*WeightAveraging callback with a model that overrides.*",  # which does so for trainer=fsdp alone
    ):
        warnings.filterwarnings("ignore", text)
