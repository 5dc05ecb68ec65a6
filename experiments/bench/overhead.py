"""What `Fit` costs a training step beside its arithmetic, above Lightning's own loop and above a bare one.

python experiments/bench/overhead.py --steps 400

Medians over steps of the processor's time from one batch to the next, one thread, so that other jobs do not count. A
model of one number: loop and hooks are all of its step. An FNO: what is left of them in a step of a usual size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from pdeops.data.module import DataModule
from pdeops.data.schema import write_arrays
from pdeops.grid import Axis, Grid
from pdeops.losses.supervised import RelativeLp
from pdeops.memory import keep_freed
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.tasks.checkpoint import BestAndLast
from pdeops.tasks.clock import Clock
from pdeops.tasks.fit import Fit
from pdeops.tasks.loggers import Csv, Tolerant
from pdeops.tasks.preemption import Preemption
from pdeops.tasks.progress import Progress
from pdeops.training import quiet

OPTIMIZER, SCHEDULER = partial(torch.optim.AdamW, lr=1e-4), partial(OneCycleLR, max_lr=1e-4)


class Gain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(()))

    def forward(self, a: Tensor, out: object = None) -> Tensor:
        return self.g * a


class Empty(L.LightningModule):
    """One number, and nothing to do with batches."""

    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(()))

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        return self.g * 1

    def configure_optimizers(self) -> object:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Times(L.Callback):
    def __init__(self) -> None:
        self.at: list[float] = []

    def on_train_batch_start(self, *_: object) -> None:
        self.at.append(time.process_time())


def milliseconds(at: list[float]) -> float:
    """The median from one to the next, the first tenth left out."""
    return 1000 * statistics.median(np.diff(at[len(at) // 10 :]))


def by_lightning(task: L.LightningModule, data: object, steps: int, **options: object) -> float:
    times = Times()
    callbacks = [*options.pop("callbacks", []), times]  # type: ignore[misc]
    quietly = {"enable_model_summary": False, "num_sanity_val_steps": 0, "limit_val_batches": 0, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=1, limit_train_batches=steps, callbacks=callbacks, **quietly, **options)  # type: ignore[arg-type]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        trainer.fit(task, data)  # type: ignore[arg-type]
    return milliseconds(times.at)


def bare(task: Fit, batches: Iterable[object], steps: int) -> float:
    optimizer = OPTIMIZER(task.surrogate.parameters())
    schedule, at = SCHEDULER(optimizer, total_steps=steps + 1), []
    for batch, _ in zip(batches, range(steps), strict=False):
        at.append(time.process_time())
        optimizer.zero_grad()
        task.loss(task.surrogate(batch.a), batch).backward()  # type: ignore[attr-defined]
        optimizer.step()
        schedule.step()
    return milliseconds(at)


def empty_bare(steps: int) -> float:
    g, at = nn.Parameter(torch.ones(())), []
    optimizer = torch.optim.SGD([g], lr=0.0)
    for _ in range(steps):
        at.append(time.process_time())
        optimizer.zero_grad()
        (g * 1).backward()
        optimizer.step()
    return milliseconds(at)


def task_of(data: DataModule, model: nn.Module | None = None) -> Fit:
    data.open()
    window, one = data.window, Normalizer(torch.zeros(1), torch.ones(1))
    surrogate = Surrogate(model or Gain(), window, one, one)
    task = Fit(surrogate, RelativeLp(window), optimizer=OPTIMIZER, scheduler=SCHEDULER)
    task.description = {"model": "for times alone"}  # checkpoints describe models of pdeops
    return task


def in_full(task: Fit, data: DataModule, steps: int, folder: str) -> float:
    """With the callbacks and the logger of `train.py`."""
    callbacks = [Clock(), BestAndLast(f"{folder}/checkpoints"), Progress(), Preemption()]
    return by_lightning(task, data, steps, callbacks=callbacks, logger=Tolerant(Csv(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--width", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed()
    quiet()
    warnings.simplefilter("ignore")
    steps = options.steps
    nothing = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    with tempfile.TemporaryDirectory() as folder:

        def data(n: int, batch_size: int, samples: int) -> DataModule:
            grid = Grid((Axis("x", n), Axis("y", n)))
            path = Path(folder) / f"{n}.h5"
            if not path.exists():
                a = np.random.default_rng(0).standard_normal((samples, n, n))
                write_arrays(path, grid, inputs={"a": a}, targets={"u": a})
            module = DataModule(file=path, batch_size=batch_size)
            module.open()
            return module

        small = data(16, 2, 2 * steps * 5 // 4 + 20)
        rows = []
        for _ in range(options.repeats):
            loader = torch.utils.data.DataLoader(torch.zeros(steps), batch_size=None)
            rows.append(
                (
                    empty_bare(steps),
                    by_lightning(Empty(), loader, steps, **nothing),
                    by_lightning(Empty(), loader, steps, default_root_dir=folder),
                    bare(task_of(small), small.train_dataloader(), steps),
                    in_full(task_of(small), data(16, 2, 0), steps, folder),
                )
            )
        nil, empty, usual, loop, fit = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"Lightning's empty loop: {empty:.3f} ms alone, {usual:.3f} ms as it comes, {nil:.3f} ms of it a bare one's"
        )
        print(f"one number: bare {loop:.3f} ms, Fit {fit:.3f} ms")
        more = [fit - loop - (lightning - nil) for lightning in (empty, usual)]
        print(f"Fit above Lightning's own loop: {more[0]:.3f} ms a step, {more[1]:.3f} ms of one as it comes")

        large, steps = data(64, 16, 320), 16
        grid, rows = large.window.grid_in, []
        for _ in range(options.repeats):
            torch.manual_seed(0)
            task = task_of(large, FNO(1, 1, grid, grid, width=options.width, modes=16))
            rows.append((bare(task, large.train_dataloader(), steps), in_full(task, data(64, 16, 0), steps, folder)))
        loop, fit = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"an FNO: bare {loop:.1f} ms, Fit {fit:.1f} ms: {100 * (fit / loop - 1):.1f} % more")


if __name__ == "__main__":
    main()
