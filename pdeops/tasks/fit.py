"""Training a surrogate, on data or on the residual of its PDE."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable
from hashlib import blake2b
from math import isfinite
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pdeops.errors import InputError
from pdeops.metrics.scores import Scores, counted
from pdeops.surrogate import Surrogate
from pdeops.tasks.sharding import shard
from pdeops.tasks.unrolled import Rollout, check, longest, steps_in, unrolled_loss
from pdeops.window import Batch

Loss = Callable[[Tensor, Batch], Tensor]


class Fit(L.LightningModule):
    """Minimise `loss(surrogate(a), batch)`; validate on the relative L2 error, test on the whole panel.

    optimizer: parameters -> optimiser. scheduler: optimiser -> schedule, or None; one that takes
    `total_steps` or `T_max` is given the number of steps of the run and advanced every step, any other every
    epoch. rollout: train over so many outputs in a row, or by epoch, {first epoch: outputs}, of data that hold as many
    (`DataModule.ahead`); pushforward: see `unrolled_loss`. seed: each batch draws its randomness from (seed, batches
    before it, rank) alone, so that a resumed run is the unbroken one. settings: the resolved configuration, kept in
    checkpoints as a plain dictionary.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        loss: Loss,
        *,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler] | None = None,
        rollout: Rollout = 1,
        pushforward: bool = False,
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.surrogate, self.loss = surrogate, loss
        self.optimizer, self.scheduler = optimizer, scheduler
        check(rollout)
        if pushforward and longest(rollout) == 1:
            raise InputError("task.pushforward=true goes with several steps: set task.rollout=2, say")
        self.rollout, self.pushforward = rollout, pushforward
        self.seed, self.settings = seed, settings
        self.description: dict[str, Any] = {}  # of a surrogate that is sharded, which has other classes
        self.rate: float | None = None  # instead of the optimiser's own (`FindRate`)
        self.scores = Scores(surrogate.window, surrogate.problem)
        self.results: dict[str, float] = {}
        self._sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(2, dtype=torch.float64))
        self._losses, self._samples = torch.zeros((), dtype=torch.float64), 0  # of this epoch, summed

    def configure_model(self) -> None:
        if self.device_mesh is not None:  # trainer=fsdp
            self.description = self.description or self.surrogate.describe()
            shard(self.surrogate.model, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Any:
        found = {} if self.rate is None else {"lr": self.rate}
        optimizer = self.optimizer(self.surrogate.parameters(), **found)
        if self.scheduler is None:
            return optimizer
        given = getattr(self.scheduler, "keywords", {})
        takes = inspect.signature(self.scheduler).parameters
        length = {name for name in ("total_steps", "T_max") if name in takes and given.get(name) is None}
        steps = self.trainer.estimated_stepping_batches
        if length and not isfinite(steps):
            raise InputError("this schedule needs the length of the run: set trainer.max_epochs, or scheduler=null")
        lengths: dict[str, Any] = {name: int(steps) for name in length}
        if self.rate is not None and "max_lr" in takes:
            lengths["max_lr"] = self.rate
        try:
            _try_out(self.scheduler(self.optimizer([torch.nn.Parameter(torch.zeros(1))]), **lengths))
            schedule = self.scheduler(optimizer, **lengths)
        except (ValueError, ArithmeticError) as error:
            raise InputError(f"scheduler: {given} make no schedule: {error}") from error
        interval = "step" if length else "epoch"
        settings = {"scheduler": schedule, "interval": interval, "monitor": "val/relative_l2"}
        return {"optimizer": optimizer, "lr_scheduler": settings}

    def on_train_start(self) -> None:
        # the length of the schedule makes Lightning set up loaders before it knows where a resumed run stands
        self.trainer.fit_loop._load_combined_loader_states()

    def on_train_epoch_start(self) -> None:
        self._losses, self._samples = torch.zeros_like(self._losses), 0

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        place = f"{self.seed} {self.trainer.fit_loop.total_batch_idx} {self.global_rank}"
        seed = int.from_bytes(blake2b(place.encode(), digest_size=8).digest())
        torch.default_generator.manual_seed(seed)
        if batch.a.is_cuda:
            torch.cuda.default_generators[batch.a.get_device()].manual_seed(seed)

    def _asked(self, batch: Batch) -> Batch:
        """The batch with the lattice on which the loss wants the prediction."""
        lattice = getattr(self.loss, "collocation", None)
        return batch if lattice is None else batch._replace(out=lattice)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        batch = self._asked(batch)
        loss = self._training_loss(batch)
        if self._losses.device != loss.device:
            exact = torch.float32 if loss.device.type == "mps" else torch.float64  # which Apple's GPUs do not have
            self._losses = self._losses.to(loss.device, exact)
        self._losses.add_(loss.detach(), alpha=len(batch.a))
        self._samples += len(batch.a)
        if self.trainer.is_last_batch:  # a call of `log` in every step would cost more than all else here
            total, samples = self._so_far().tolist()
            self.log(
                "train/loss", total / samples, on_step=False, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True
            )
        return loss

    def _training_loss(self, batch: Batch) -> Tensor:
        if self.rollout == 1:
            return self.loss(self.surrogate(batch.a, batch.out), batch)
        steps = steps_in(self.current_epoch, self.rollout)
        return unrolled_loss(self.surrogate, self.loss, batch, steps, self.pushforward)

    def _so_far(self) -> Tensor:
        """The sum of this epoch's losses over samples, and how many, of all processes."""
        sums = torch.stack([self._losses, self._losses.new_tensor(self._samples)]).to(self.device)
        return self.trainer.strategy.reduce(sums, reduce_op="sum") if self.trainer.world_size > 1 else sums

    def on_train_epoch_end(self) -> None:
        loss = self.trainer.callback_metrics.get("train/loss")
        if loss is not None and not torch.isfinite(loss):
            raise InputError(
                f"the training loss became {float(loss)} in epoch {self.current_epoch + 1}. Lower optimizer.lr, set "
                "trainer.gradient_clip_val=1, or look for bad values with: pdeops data check FILE"
            )
        self.log("train/rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau):
            error = self.trainer.callback_metrics.get("val/relative_l2")
            if error is None:
                raise InputError("scheduler=plateau goes by val/relative_l2, and this run has none: take another")
            schedule.step(error)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):  # which is stepped before the epoch's checkpoint, not after it
            scheduler.step()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        u = self.surrogate(batch.a, batch.out)
        asked = self._asked(batch)
        loss = self.loss(u if asked is batch else self.surrogate(batch.a, asked.out), asked)
        self._add("val/loss", loss.expand(len(u)))
        if batch.u is not None:
            frames, truth = self.surrogate.window.unstack(u), self.surrogate.window.unstack(batch.u)
            self._add("val/relative_l2", self.scores.panel.only("relative_l2", frames, truth))

    def on_validation_epoch_end(self) -> None:
        for name, value in self._means().items():
            self.log(name, value, prog_bar=True)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Loader 0: windows or segments. Loader 1: whole trajectories, rolled out from their first history or state."""
        assert batch.u is not None
        if dataloader_idx == 0:
            found = self.scores.outputs(batch.a, self.surrogate(batch.a, batch.out), batch.u)
        else:
            found = self.scores.trajectories(batch.a, self.surrogate.along(batch), batch.u)
        for name, value in found.items():
            self._add(f"test/{name}", value)

    def on_test_epoch_end(self) -> None:
        self.results = self._means()
        self.log_dict(self.results)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["surrogate"] = self.description or self.surrogate.describe()
        checkpoint["settings"] = self.settings
        checkpoint["epoch_so_far"] = self._so_far().cpu()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "epoch_so_far" in checkpoint and self.global_rank == 0:
            self._losses, samples = checkpoint["epoch_so_far"]
            self._samples = int(samples)

    def _add(self, name: str, value: Tensor) -> None:
        """Collect one value per sample (and channel)."""
        value = counted(name, value.detach().double().cpu())
        self._sums[name] += torch.stack([value.sum(), torch.tensor(float(value.numel()), dtype=torch.float64)])

    def _means(self) -> dict[str, float]:
        """The mean over the samples of all processes, and a fresh start. A process without samples joins in."""
        names = sorted(self._sums, key=_in_order)
        if self.trainer.world_size > 1:
            gathered: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, {k: v.tolist() for k, v in self._sums.items()})
            names = sorted(set().union(*gathered), key=_in_order)
            totals = {
                k: torch.tensor([part.get(k, [0, 0]) for part in gathered], dtype=torch.float64).sum(0) for k in names
            }
        else:
            totals = dict(self._sums)
        self._sums.clear()
        return {name: float(totals[name][0] / totals[name][1]) for name in names if totals[name][1] > 0}


def _try_out(schedule: LRScheduler) -> None:
    """Its first step, which may find out what its constructor did not look at."""
    schedule.optimizer.step()
    if not isinstance(schedule, ReduceLROnPlateau):  # which wants what was reached
        schedule.step()


def _in_order(name: str) -> list[str | int]:
    """Of names that end in numbers, [2] before [10]."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
