"""Logs that outlive their run's interruptions, and runs that outlive their loggers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_warn
from matplotlib import image

from pdeops.errors import first_line
from pdeops.files import atomically


class Csv(CSVLogger):
    """`metrics.csv`; a run that is resumed in its folder goes on with it, from the step it is resumed at.

    Lightning's own deletes the rows that are there, and holds new ones back for a hundred steps.
    """

    def __init__(self, save_dir: str, name: str = "csv") -> None:
        super().__init__(save_dir=save_dir, name=name, version="", flush_logs_every_n_steps=1)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = Rows(self.log_dir)
        return self._experiment


class Rows(ExperimentWriter):
    """The rows of a file, kept up to the first step that is logged anew."""

    def _check_log_dir_exists(self) -> None:
        self._before = Path(self.metrics_file_path).is_file()

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        if self._before:
            self._before = False
            self._keep(step or 0)
        super().log_metrics(metrics_dict, step)

    def _keep(self, step: int) -> None:
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            whole = [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]
        rows = [row for row in whole if int(row["step"]) < step]
        if not rows:
            path.unlink()
            return
        self.metrics_keys = sorted(key for key in rows[0] if key)
        with atomically(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


class Tolerant(Logger):
    """Another logger; when it fails (a service out of reach, a full disk), a warning says so and the run goes on
    without it."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger: Any = logger
        self._failed = False

    def _try(self, call: Callable[[], Any]) -> Any:
        if self._failed:
            return None
        try:
            return call()
        except Exception as error:
            self._failed = True
            told = f"{type(self._logger).__name__} failed, and the run goes on without it: {first_line(error)}"
            rank_zero_warn(told)
            return None

    @property
    def experiment(self) -> Any:
        return self._try(lambda: self._logger.experiment)

    @property
    def name(self) -> str | None:
        return self._try(lambda: self._logger.name)

    @property
    def version(self) -> int | str | None:
        return self._try(lambda: self._logger.version)

    @property
    def save_dir(self) -> str | None:
        return self._try(lambda: self._logger.save_dir)

    @property
    def log_dir(self) -> str | None:
        return self._try(lambda: self._logger.log_dir)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._try(lambda: self._logger.log_metrics(metrics, step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._try(lambda: self._logger.log_hyperparams(params, *args, **kwargs))

    def describe(self, settings: Mapping[str, Any]) -> None:
        """Log a configuration by its dotted keys, as they are swept; a csv log has it beside it."""
        if not isinstance(self._logger, CSVLogger):
            self.log_hyperparams(_by_dotted_keys(settings))

    def end(self, figures: Path) -> None:
        """Log the figures of a folder, `.png`, last of all: the next run of this process is not to be added to this."""
        for path in sorted(figures.glob("*.png")):
            self._try(lambda path=path: _show(self._logger, path))  # type: ignore[misc]
        if isinstance(self._logger, WandbLogger):
            self._try(lambda: self._logger.experiment.finish())

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        self._try(lambda: self._logger.after_save_checkpoint(checkpoint_callback))

    def save(self) -> None:
        self._try(lambda: self._logger.save())

    def finalize(self, status: str) -> None:
        self._try(lambda: self._logger.finalize(status))


def _show(logger: Any, path: Path) -> None:
    """Hand a figure to a logger, as far as it takes any."""
    if isinstance(logger, WandbLogger):
        logger.log_image(f"figures/{path.stem}", [str(path)])
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(f"figures/{path.stem}", image.imread(path)[..., :3], dataformats="HWC")
        logger.experiment.flush()
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(path), "figures")


def _by_dotted_keys(settings: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        place = f"{where}.{key}" if where else str(key)
        found |= _by_dotted_keys(value, place) if isinstance(value, Mapping) else {place: value}
    return found
