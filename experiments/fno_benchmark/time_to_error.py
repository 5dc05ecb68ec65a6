"""Time to the test error of neuraloperator's own training, end to end:
python experiments/fno_benchmark/time_to_error.py darcy --source FOLDER [--seeds 0 1 2] [--workers 0]
python experiments/fno_benchmark/time_to_error.py ns2d [--seeds 0 1 2]

Theirs: the recipe of its gallery (FNO, 15 epochs of AdamW at 1e-2 with cosine decay, H1 loss), its data processor and
trainer. Ours: the same network (`OURS`), until the error on the test samples, taken after every epoch, is at or below
theirs. Both errors are the same figure: the mean over the test samples of |u - v| / |v|, plain sums over the nodes.
Imports, figures and the last test are left out of both clocks.
darcy: its small public files (16 x 16), its loader; both clocks run from the published files to the trained model.
ns2d: the windows of `experiment=ns2d_small` (64 x 64, ten frames in, one out); both clocks run from the data file,
which is generated before.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from typing import Any

import lightning as L
import torch
from neuralop import H1Loss, LpLoss, Trainer
from neuralop.data.datasets.darcy import load_darcy_pt
from neuralop.data.transforms.data_processors import DefaultDataProcessor
from neuralop.data.transforms.normalizers import UnitGaussianNormalizer
from neuralop.models import FNO
from neuralop.training import AdamW
from setting import configuration, prepared, trainer
from torch import Tensor
from torch.utils.data import DataLoader

from pdeops.training import quiet

# one cycle of AdamW on the relative L2 error; for Darcy with samples transposed at random, chosen by validation error
OURS = {
    "darcy": (
        "experiment=darcy_small",
        "model.width=24",
        "model.mlp_ratio=0.5",
        "model.padding=0.0",
        "data.batch_size=16",
        "optimizer.lr=1e-2",
    ),
    "ns2d": ("experiment=ns2d_small",),
}
EPOCHS = {"darcy": 5, "ns2d": 15}


class Reached(L.Callback):
    """Stops as soon as the test error is at most `target`."""

    error, epochs = float("nan"), 0

    def __init__(self, data: Any, target: float) -> None:
        self.data, self.target = data, target

    def on_train_epoch_end(self, trainer: L.Trainer, task: Any) -> None:
        errors = [relative_l2(task.surrogate.predict(b.a), b.u) for b in self.data.test_dataloader()[0]]
        self.error, self.epochs = float(torch.cat(errors).mean()), trainer.current_epoch + 1
        trainer.should_stop = self.error <= self.target


def relative_l2(u: Tensor, v: Tensor) -> Tensor:
    return (u - v).flatten(1).norm(dim=1) / v.flatten(1).norm(dim=1)


def theirs(problem: str, source: str, seed: int, workers: int) -> tuple[float, float]:
    """Seconds and test error of the gallery's training."""
    torch.manual_seed(seed)
    start = time.perf_counter()
    if problem == "darcy":
        loader, tests, processor = load_darcy_pt(
            n_train=1000,
            batch_size=64,
            n_tests=[50],
            test_resolutions=[16],
            test_batch_sizes=[32],
            data_root=source,
            num_workers=workers,
        )
        model = FNO(n_modes=(8, 8), in_channels=1, out_channels=1, hidden_channels=24, projection_channel_ratio=2)
    else:
        loader, tests, processor = windows(workers)
        model = FNO(n_modes=(12, 12), in_channels=10, out_channels=1, hidden_channels=24)
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    h1, l2 = H1Loss(d=2), LpLoss(d=2, p=2)
    own = Trainer(model=model, n_epochs=15, data_processor=processor, eval_interval=5)
    own.train(loader, tests, optimizer, scheduler, training_loss=h1, eval_losses={"h1": h1, "l2": l2})
    seconds = time.perf_counter() - start
    (test,) = tests.values()
    return seconds, float(own.evaluate({"l2": l2}, test)["_l2"])


def windows(workers: int) -> tuple[DataLoader, dict[int, DataLoader], DefaultDataProcessor]:
    """All windows of our data module as the library wants them, in batches of ours."""
    _, data = prepared(configuration(*OURS["ns2d"]))
    loaders = []
    for batches in (data.train_dataloader(), data.test_dataloader()[0]):
        pairs = [{"x": x, "y": y} for batch in batches for x, y in zip(batch.a, batch.u, strict=True)]
        loaders.append(DataLoader(pairs, data.batch_size, shuffle=not loaders, num_workers=workers))
    fields = [torch.stack([pair[key] for pair in loaders[0].dataset]) for key in ("x", "y")]
    normalizers = [UnitGaussianNormalizer(dim=[0, 2, 3]) for _ in fields]
    for normalizer, field in zip(normalizers, fields, strict=True):
        normalizer.fit(field)
    return loaders[0], {64: loaders[1]}, DefaultDataProcessor(*normalizers)


def ours(problem: str, source: str, seed: int, target: float) -> tuple[float, float, int]:
    """Seconds, test error and epochs when the error first is at most `target`, or at the end."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        places = (f"data.source={source}", f"data.dir={folder}") if problem == "darcy" else ()
        task, data = prepared(configuration(*OURS[problem], *places, f"seed={seed}"))
        reached = Reached(data, target)
        trainer(EPOCHS[problem], reached).fit(task, data)
        return time.perf_counter() - start, reached.error, reached.epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=[*OURS])
    parser.add_argument("--source", help="the folder of darcy_train_16.pt and darcy_test_16.pt")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=0, help="of their loader: 1 in the gallery, 0 is quicker")
    options = parser.parse_args()
    if options.problem == "darcy" and options.source is None:
        parser.error("darcy needs --source FOLDER, where darcy_train_16.pt and darcy_test_16.pt are")
    quiet()
    if options.problem == "ns2d":
        prepared(configuration(*OURS["ns2d"]))  # generated where it is not there
    warnings.filterwarnings("ignore", module="neuralop|torch")  # theirs, on keys that its losses leave unused
    ratios = []
    for seed in options.seeds:
        t, error = theirs(options.problem, options.source, seed, options.workers)
        s, reached, epochs = ours(options.problem, options.source, seed, error)
        ratio = f"{t / s:.2f} times as fast" if reached <= error else "not reached"
        ratios += [t / s] if reached <= error else []
        print(f"seed {seed}: neuraloperator {t:.1f} s, {error:.4f}", end="; ")
        print(f"pdeops {s:.1f} s, {reached:.4f} in {epochs} epochs: {ratio}", flush=True)
    if len(ratios) == len(options.seeds):
        print(f"median ratio {statistics.median(ratios):.2f} ({torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main()
