"""`train` and `generate`: a configuration composed by Hydra, built, and run."""

from __future__ import annotations

import functools
import json
import logging
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdeops.errors import InputError
from pdeops.overrides import checked, explain, shipped

Job = Callable[[dict[str, Any]], Any]
OmegaConf.register_new_resolver("uid", lambda: secrets.token_hex(2), use_cache=True)


SCRIPTS = {"train": "train.py", "generate": "data/generate.py"}


def main(job: str, arguments: Sequence[str]) -> int:
    """Run `train` or `generate` with Hydra's command line; the exit status."""
    arguments = [_without_group(text) for text in arguments]
    arguments.sort(key=lambda text: text not in ("-m", "--multirun"))  # Hydra wants this flag first
    # Lightning starts further processes by running argv[0] with the same arguments
    sys.argv = [str(shipped(SCRIPTS[job])), *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through: they are reported here
    run: Job = {"train": train, "generate": generate}[job]
    entry = hydra.main(config_path=str(shipped("conf")), config_name="train", version_base="1.3")
    return reported(lambda: entry(functools.partial(_job, run))(), arguments)


def _without_group(argument: str) -> str:
    """`scheduler=null` as Hydra spells it, `~scheduler`."""
    group, _, value = argument.partition("=")
    return f"~{group}" if value in ("null", "none") and shipped("conf").joinpath(group).is_dir() else argument


def reported(call: Callable[[], Any], arguments: Sequence[str] = ()) -> int:
    """Call; a user's error becomes one message on standard error and status 2, without a traceback."""
    try:
        call()
    except (InputError, _Refused) as error:
        return _complain(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        if isinstance(error, InstantiationException):
            raise
        return _complain(explain(error, arguments))
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    return 0


def _complain(message: str, status: int = 2) -> int:
    print(f"pdeops: {message}", file=sys.stderr)
    return status


def _job(run: Job, config: DictConfig) -> Any:
    try:
        plain = checked(config)
        _refuse_multirun_on_devices(plain)
        return run(plain)
    except Exception as error:
        cause = (error.__cause__ or error) if isinstance(error, InstantiationException) else error
        if isinstance(cause, InputError):
            raise _Refused(str(cause)) from error
        if type(cause).__name__ == "MisconfigurationException":  # Lightning's, which may not be imported yet
            raise _Refused(f"trainer: {cause}") from error
        raise


class _Refused(BaseException):
    """Carries the message of a user's error past Hydra, which would announce it as a failed job."""


def _refuse_multirun_on_devices(config: dict[str, Any]) -> None:
    devices = config["trainer"].get("devices", 1)
    if HydraConfig.get().mode == RunMode.MULTIRUN and devices not in (1, "auto", [0]):
        raise InputError(
            f"-m with trainer.devices={devices}: several runs, each on several devices, do not fit into one process "
            "tree. Start one run per command, or use one device per run."
        )


def generate(config: dict[str, Any]) -> Path:
    """Make the data file of a configuration; print where it is."""
    path = _build(config["data"], problem=_build(config["problem"])).prepare()
    print(path)
    return path


def train(config: dict[str, Any]) -> float | None:
    """Train, test, and leave a surrogate, figures and metrics in the run's directory; the validation error."""
    import lightning as L
    import torch

    _quiet()
    out = Path(HydraConfig.get().runtime.output_dir)
    L.seed_everything(config["seed"], verbose=False)
    data = _build(config["data"], problem=_build(config["problem"]))
    data.open()
    surrogate = _surrogate(config, data)
    task = _build(
        config["task"],
        surrogate,
        _build(config["loss"], data.window),
        optimizer=hydra.utils.instantiate(config["optimizer"]),
        scheduler=hydra.utils.instantiate(config["scheduler"]),
        seed=config["seed"],
        settings=config,
    )
    trainer = _build(
        config["trainer"],
        callbacks=_values(config["callbacks"]),
        logger=_values(config["logger"]) or False,
        default_root_dir=str(out),
    )
    say = print if trainer.is_global_zero else lambda *_: None
    parameters = sum(p.numel() * (2 if p.is_complex() else 1) for p in surrogate.parameters())
    say(f"{type(surrogate.model).__name__} with {parameters:,} parameters on {data.file_path}; run in {out}")

    if config["train"]:
        if config["ckpt_path"]:
            _check_resumable(config["ckpt_path"], surrogate)
        trainer.fit(task, data, ckpt_path=config["ckpt_path"], weights_only=True)
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if best:
            task.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])
    elif config["ckpt_path"]:
        _check_resumable(config["ckpt_path"], surrogate)
        task.load_state_dict(torch.load(config["ckpt_path"], map_location="cpu", weights_only=True)["state_dict"])
    best_error = trainer.callback_metrics.get("val/relative_l2")
    if config["test"]:
        trainer.test(task, data, verbose=False)
    if trainer.is_global_zero:
        _leave_results(out, task, data)
    return None if best_error is None else float(best_error)


def _build(node: dict[str, Any] | None, *objects: Any, **named: Any) -> Any:
    """What a node's `_target_` makes of its own keys and the given objects; None for no node."""
    if node is None:
        return None
    # as a partial, so that Hydra does not turn the objects into configurations
    return hydra.utils.instantiate({**node, "_partial_": True}, _convert_="all")(*objects, **named)


def _surrogate(config: dict[str, Any], data: Any) -> Any:
    """A new surrogate of the configured model, or a saved one (`init_from`) put onto this data."""
    from pdeops.nn.normalizer import Normalizer
    from pdeops.surrogate import Surrogate, load

    window = data.window
    sizes = (window.in_channels, window.out_channels, window.grid_in, window.grid_out)
    if config["init_from"] is None:
        mean_in, std_in, mean_out, std_out = data.channel_stats()
        model = _build(config["model"], *sizes)
        return Surrogate(model, window, Normalizer(mean_in, std_in), Normalizer(mean_out, std_out), data.problem)
    saved = load(config["init_from"])
    theirs, ours = (saved.window.in_names, saved.window.out_names), (window.in_names, window.out_names)
    if theirs != ours:
        raise InputError(
            f"init_from={config['init_from']}: that surrogate maps {list(theirs[0])} to {list(theirs[1])}; "
            f"this data has {list(ours[0])} to {list(ours[1])}"
        )
    from pdeops.config import from_config, to_config

    description = to_config(saved.model) | {"grid_in": to_config(sizes[2]), "grid_out": to_config(sizes[3])}
    model = from_config(description)
    model.load_state_dict(saved.model.state_dict())
    return Surrogate(model, window, saved.normalize_in, saved.normalize_out, data.problem).train()


def _check_resumable(path: str, surrogate: Any) -> None:
    """The checkpoint must be one of ours, of the same model."""
    from pdeops.config import differences
    from pdeops.surrogate import read_checkpoint

    changed = differences(surrogate.describe()["model"], read_checkpoint(path)["surrogate"]["model"])
    if changed:
        key, mine, theirs = changed[0]
        raise InputError(f"ckpt_path={path} is of another model: {key} is {theirs!r} there and {mine!r} here")


def _leave_results(out: Path, task: Any, data: Any) -> None:
    """Save the surrogate; print the table and write metrics and figures, as far as they were made."""
    from pdeops.report.figures import training_curve
    from pdeops.report.tables import metric_table

    task.surrogate.save(out / "surrogate")
    if task.results:
        (out / "metrics.json").write_text(json.dumps(task.results, indent=2))
        print(metric_table(task.results, f"test: {len(data.open().split['test'])} samples"))
        _draw(out, task.surrogate, data)
    log = out / "csv" / "metrics.csv"
    if log.exists():
        training_curve(log, out / "figures" / "training.png")
    print(f"surrogate, metrics and figures: {out}\nload it with: pdeops.load({str(out / 'surrogate')!r})")


def _draw(out: Path, surrogate: Any, data: Any) -> None:
    """Truth, prediction and error of test samples: frames of the first one's rollout, or the first four's fields."""
    import torch

    from pdeops.report.figures import compare

    batch = next(iter(data.test_dataloader()[-1]))
    surrogate = surrogate.cpu()
    window = surrogate.window
    if not window.evolves:
        u, v = surrogate.predict(batch.a[:4].cpu())[:, 0], batch.u[:4, 0].cpu()
        columns = [f"{window.targets[0]}, sample {i}" for i in range(len(u))]
        title = "test samples"
    else:
        a, v = batch.a[:1].cpu(), batch.u[:1].cpu()
        u = surrogate.rollout(a, v.shape[2])
        picks = sorted({int(i) for i in torch.linspace(0, v.shape[2] - 1, 4)})
        columns = [f"{window.targets[0]}, t = {window.time_step * (i + 1):g}" for i in picks]
        u, v = u[0, 0, picks], v[0, 0, picks]
        title = "first test sample"
    compare(v, u, window.bound.space, out / "figures" / "test.png", columns=columns, title=title)


def _values(node: dict[str, Any] | None) -> list[Any]:
    return [_build(v) for v in (node or {}).values() if v is not None]


def _quiet() -> None:
    """Lightning's advertisements and its advice about loader workers (the data is in memory) say nothing here."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        ".*The number of training batches.*",
        ".*Checkpoint directory.*",
    ):
        warnings.filterwarnings("ignore", text)
