"""What a script needs to train as `python train.py` does: the composed configuration, the data and the task."""

from __future__ import annotations

from typing import Any

import lightning as L
from hydra import compose, initialize_config_dir

from pdeops import training
from pdeops.overrides import checked, shipped
from pdeops.tasks.fit import Fit


def configuration(*overrides: str) -> dict[str, Any]:
    """The configuration of `python train.py OVERRIDES`, without what concerns the run's folder."""
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return checked(compose("train", overrides=["~callbacks", "~logger", *overrides]))


def prepared(config: dict[str, Any]) -> tuple[Fit, Any]:
    """A new task and its data, generated where they are not there."""
    data = training.data_module(config)
    data.open()
    L.seed_everything(config["seed"], verbose=False)
    return training.make_task(config, data, None), data


def trainer(epochs: int, *callbacks: L.Callback, **more: Any) -> L.Trainer:
    """Lightning's, as the runs have it, without files, on a CPU unless said."""
    return L.Trainer(
        max_epochs=epochs,
        callbacks=[*callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **{"accelerator": "cpu"} | more,
    )
