"""Optuna's study of a search, in its folder: opened by the search, by other workers on it, and by every trial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from pdeops.clusters import package

FILE = "search.json"


def open_study(folder: Path, *, samples: bool) -> Any:
    """The study of a folder with `search.json`, made if there is none. samples: whether trials are asked of it here.

    Raises InputError without Optuna.
    """
    optuna = package("optuna", "search", "pdeops search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = json.loads((folder / FILE).read_text())["search"]
    if search["storage"] is None:
        journal = package("optuna.storages.journal", "search", "pdeops search")
        storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(folder / "study.log")))
    else:
        storage = search["storage"]
    return optuna.create_study(
        storage=storage,
        study_name=f"pdeops-{folder.resolve().name}",
        sampler=instantiate(search["sampler"]) if samples else optuna.samplers.RandomSampler(),
        pruner=instantiate(search["pruner"]) if search["pruner"] else optuna.pruners.NopPruner(),
        direction="minimize",
        load_if_exists=True,
    )
