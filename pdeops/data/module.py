"""Data modules: a file, found, generated or converted, as the loaders that Lightning asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pdeops.data.augment import check_symmetry, transposed
from pdeops.data.dataset import Fields, Part, Trajectories, Windows, as_is
from pdeops.data.engine import Engine, Serial
from pdeops.data.file import DataFile
from pdeops.data.fresh import Fresh, Onwards
from pdeops.data.generate import check_problem, file_name, generate, spec_of
from pdeops.data.loader import Loader
from pdeops.data.queries import Draws, Fixed, Queries
from pdeops.data.sampler import Drawn, Ordered, spread
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.base import Problem
from pdeops.problems.inputs import apart
from pdeops.window import Batch, Window

Cache = Literal["auto", "none", "memory", "device"]
MEMORY_LIMIT = 4 * 2**30  # bytes that cache=auto holds in memory


@dataclass(kw_only=True, eq=False)
class DataModule(L.LightningDataModule):
    """The samples of one data file through a window.

    file: the path; problem: the PDE that made it, or None to train on its fields alone.
    cache: "memory" and "device" hold every sample there, "none" reads the file, "auto" takes the device if
    it is an accelerator with room, else memory up to 4 GiB, else the file.
    workers: processes that read ahead (only without a cache).
    shuffle_seed: of the order of training samples.
    fresh: train on the problem's inputs alone, so many steps of an epoch, none of them twice (`Fresh`), by a loss that
    needs no solution; None: on the file's samples. They depend on shuffle_seed and their number alone. Validation and
    tests have the file's samples; what channels are normalised by is that of inputs.
    windows: of each trajectory, where it is longer than the window: in an epoch of training so many, drawn anew each
    epoch, in validation and tests so many, evenly spaced; None: all.
    augment_transpose: also train on every sample with its two space axes swapped, drawn at random; right
    only where the PDE and the grid have that symmetry.
    strides: train on several resolutions: a batch holds every s-th node along each axis in space, s drawn for it from
    `strides` by (shuffle_seed, batches before it) alone, the same on all processes. Validation and tests see all nodes.
    queries: train at so many nodes of the output grid (`Queries`); None: at all. Validation and tests see all nodes.
    query_draws: "batch": the nodes are drawn for each batch, by (shuffle_seed, batches before it) alone; "sample": for
    each sample of it, so too; "fixed": for each sample once, the same in all epochs.
    noise: in training, of the states that go in (`Window.states`), normal, in units of their channels' deviations, at
    each node and frame of a history and at the start of a segment: rolled out, a surrogate starts from states that err.
    What is asked stays the true trajectory.
    ahead: outputs in a row that a training batch holds (`task.rollout`).
    Raises InputError if the file is missing, of another problem, or too short for the window, on strides whose nodes
    are not a lattice of the same kind, and on more queries than nodes.
    """

    window: Window = field(default_factory=Window)
    problem: Problem | None = None
    file: str | Path | None = None
    batch_size: int = 16
    workers: int = 0
    cache: Cache = "auto"
    windows: int | None = None
    augment_transpose: bool = False
    strides: Sequence[int] = (1,)
    queries: int | None = None
    query_draws: Draws = "batch"
    noise: float = 0.0
    ahead: int = 1
    fresh: int | None = None
    shuffle_seed: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        if self.batch_size < 1 or self.workers < 0:
            raise InputError(f"data.batch_size={self.batch_size}, data.workers={self.workers}; wanted >= 1 and >= 0")
        if self.windows is not None and self.windows < 1:
            raise InputError(f"data.windows={self.windows}: wanted at least 1 of each trajectory, or null for all")
        listed = isinstance(self.strides, Sequence) and len(self.strides) > 0
        if not listed or not all(type(s) is int and s >= 1 for s in self.strides):
            raise InputError(f"data.strides={self.strides}: wanted a list of whole numbers >= 1, such as [1, 2]")
        if self.query_draws not in get_args(Draws):
            raise InputError(f"data.query_draws={self.query_draws!r}; wanted one of {get_args(Draws)}")
        if self.queries is not None and set(self.strides) != {1}:
            raise InputError(f"data.queries={self.queries} are nodes of the whole lattice: set data.strides=[1]")
        if self.queries is not None and self.query_draws == "fixed" and self.augment_transpose:
            raise InputError(
                "data.augment_transpose turns whole fields: with data.queries, query_draws=batch or sample"
            )
        if not 0 <= self.noise < inf:
            raise InputError(f"data.noise={self.noise}: wanted 0 or more, in deviations of the states")
        self._queries: Queries | None = None
        self._source: DataFile | None = None
        self._drawn_stats: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        self._fields: dict[str, Fields] = {}

    def prepare(self) -> Path:
        """Make sure that the file is there; returns its path."""
        if self.file is None:
            raise InputError("no data file: set data.file=/path/to/file.h5")
        if not Path(self.file).is_file():
            raise InputError(f"there is no data file {self.file}")
        return Path(self.file)

    def bind(self) -> Window | None:
        """The window on the problem's grid, before there is a file; None without a problem."""
        if self.problem is None:
            return None
        spec = spec_of(self.problem)
        return self._bound(spec.grid, spec.names("target"), spec.names("input", "static"))

    def _bound(self, grid: Grid, targets: Sequence[str], inputs: Sequence[str]) -> Window:
        window = self.window.on(grid, targets, inputs)
        window.posed(self.problem)  # which refuses what cannot be cut into segments
        if self.noise and not (window.evolves or window.segment):
            raise InputError(f"data.noise={self.noise} is for states that go in, and this data has none: data.noise=0")
        if self.ahead > 1:
            self._check_ahead(window)
        for stride in self.strides:
            try:
                window.grid_out.space.every(stride)
            except InputError as error:
                raise InputError(f"data.strides={list(self.strides)}: {error}") from error
        self._queries = None if self.queries is None else Queries(window.grid_out, self.queries)
        if self.fresh is not None:
            self.drawn(window)  # which refuses what inputs alone cannot train
        return window

    def _check_ahead(self, window: Window) -> None:
        told = f"task.rollout={self.ahead} outputs in a row"
        if not window.evolves or self.queries is not None or self.fresh is not None:
            raise InputError(f"{told} are for frames on their grid, which go in again: set task.rollout=1")
        try:
            self._with_ahead(window).on(window.bound, window.targets, window.inputs)
        except InputError as error:
            raise InputError(f"{told}: {error}") from error

    def _with_ahead(self, window: Window) -> Window:
        return replace(window, n_out=window.n_out * self.ahead)

    def drawn(self, window: Window) -> Fresh:
        """The inputs of `fresh`."""
        return Fresh(self.problem, window, self.fresh or 0, apart(self.shuffle_seed, "fresh"))

    def open(self) -> DataFile:
        """The file, opened once, checked against the problem; the window is bound to it."""
        if self._source is None:
            source = DataFile(self.prepare())
            if self.problem is not None:
                check_problem(source, self.problem)
            if not source.targets:
                raise InputError(f"{source.path} has no target field: {[f.name for f in source.spec.fields]}")
            self.window = self._bound(source.spec.grid, source.targets, source.inputs)
            for split in ("train", "validation"):
                if not len(source.split[split]):
                    raise InputError(f"{source.path} has no {split} samples; both train and validation need some")
            if not self.window.in_channels:
                raise InputError(f"{source.path} has no input field: {[f.name for f in source.spec.fields]}")
            if self.augment_transpose:
                check_symmetry(source, self.problem)
            self._source = source
        return self._source

    @property
    def file_path(self) -> Path:
        return self.open().path

    def channel_stats(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and deviation of each input channel, then of each output channel, over the training split; with fresh
        inputs, of which no solution is known, over some of them: an output that is no input then has 0 and NaN."""
        if self.fresh is not None:
            if self._drawn_stats is None:  # asked for each batch with `noise`
                self._drawn_stats = self.drawn(self.window).stats()
            return self._drawn_stats
        stats = self.open().stats

        def of(names: Sequence[str], key: str) -> Tensor:
            return torch.tensor([stats[name.split("[")[0]][key] for name in names], dtype=torch.float64)

        window = self.window
        return (of(window.in_names, "mean"), of(window.in_names, "std")) + (
            of(window.out_names, "mean"),
            of(window.out_names, "std"),
        )

    def training_outputs(self) -> Tensor:
        """The targets (N, C_out, *grid_out) of all training windows, or of the `windows` evenly spaced ones."""
        source = self.open()
        windows = Windows(Fields(source, source.split["train"]), self.window)
        chosen = range(len(windows)) if self.windows is None else spread(windows, self.windows)
        outputs = windows.__getitems__(chosen).u
        assert outputs is not None
        return outputs

    def fields(self, split: str) -> Fields:
        """The samples of a split, held where `cache` says."""
        if split not in self._fields:
            source = self.open()
            held = Fields(source, source.split[split])
            where = self._cache_device(held)
            self._fields[split] = held if where is None else held.hold(where)
        return self._fields[split]

    def _cache_device(self, fields: Fields) -> torch.device | None:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self.cache == "auto":
            if device.type == "cuda" and fields.nbytes < torch.cuda.mem_get_info(device)[0] // 4:
                return device
            return torch.device("cpu") if fields.nbytes < MEMORY_LIMIT else None
        return {"none": None, "memory": torch.device("cpu"), "device": device}[self.cache]

    def train_dataloader(self) -> DataLoader[Batch]:
        rank, world = self._rank()
        if self.batch_size % world:
            raise InputError(f"data.batch_size={self.batch_size} is shared by {world} processes: make it a multiple")
        if self.fresh is not None:
            self.open()
            onwards = Onwards(self.fresh * self.batch_size, world, rank)
            return self._loader(self.drawn(self.window), self.batch_size // world, onwards)
        dataset = Windows(self.fields("train"), self._with_ahead(self.window))
        # also on one process: the order of the samples then does not depend on the number of processes
        sampler = (
            Ordered(range(len(dataset)), world, rank, shuffle=True, seed=self.shuffle_seed)  # type: ignore[arg-type]
            if self.windows is None
            else Drawn(dataset, self.windows, num_replicas=world, rank=rank, seed=self.shuffle_seed)
        )
        seen: Dataset[Batch] = dataset
        if self._queries is not None and self.query_draws == "fixed":
            seen = Fixed(dataset, self._queries, apart(self.shuffle_seed, "queries"))
        return self._loader(seen, self.batch_size // world, sampler)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self._eval_loaders("validation")[:1]

    def test_dataloader(self) -> list[DataLoader[Batch]]:
        return self._eval_loaders("test")

    def _eval_loaders(self, split: str) -> list[DataLoader[Batch]]:
        """Windows and, where the model steps, whole trajectories; each process takes every world-th sample."""
        if not len(self.open().split[split]):
            return []
        fields, (rank, world) = self.fields(split), self._rank()
        windows = Windows(fields, self.window)
        chosen = None if self.windows is None else spread(windows, self.windows)
        datasets: list[Dataset[Batch]] = [windows if chosen is None else Part(windows, chosen)]
        if self.window.fed_back:
            datasets.append(Trajectories(fields, self.window))
        if len(fields.samples) < world:
            raise InputError(
                f"the {split} split has {len(fields.samples)} samples, fewer than the {world} processes that share it; "
                "change data.split, or set trainer.devices=1"
            )
        if world > 1:
            datasets = [Part(d, range(rank, len(d), world)) for d in datasets]  # type: ignore[arg-type]
        return [self._loader(d, self.batch_size) for d in datasets]

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(
        self,
        dataset: Dataset[Batch],
        batch_size: int,
        sampler: Ordered | None = None,
    ) -> DataLoader[Batch]:
        held = all(fields.held for fields in self._fields.values())
        workers = 0 if held and not isinstance(dataset, Fresh) else self.workers
        return Loader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=as_is,  # type: ignore[arg-type]
            generator=torch.Generator(),  # so that starting an epoch draws nothing from the global one
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        if not (self.trainer and self.trainer.training):
            return batch
        if self.augment_transpose:
            batch = self._transposed(batch)
        if set(self.strides) != {1}:
            batch = self._thinned(batch)
        if self.noise:
            batch = batch._replace(a=self._noisy(batch))
        return batch if self._queries is None else self._queried(batch, self._queries)

    def _transposed(self, batch: Batch) -> Batch:
        device = batch.a.device
        drawn = torch.rand(self.batch_size, generator=self._generator("transpose", device), device=device)
        return transposed(batch, self._share(drawn, batch) < 0.5)

    def _thinned(self, batch: Batch) -> Batch:
        """Every so many nodes in space."""
        drawn = np.random.default_rng([self.shuffle_seed, self._batches_before]).integers(len(self.strides))
        nodes = self.window.grid_out.space.every(self.strides[int(drawn)])
        u = None if batch.u is None else batch.u[nodes].contiguous()
        return batch._replace(a=batch.a[nodes].contiguous(), u=u)

    def _noisy(self, batch: Batch) -> Tensor:
        """The inputs with other states; at the start of a segment, the same on all of it."""
        a, states = batch.a.clone(), self.window.states
        one = a[0, states] if self.window.segment is None else a[0, states, :1]
        generator = self._generator("noise", a.device)
        drawn = torch.randn(self.batch_size, *one.shape, generator=generator, dtype=a.dtype, device=a.device)
        deviations = self.channel_stats()[1][states].to(a).view(-1, *(1,) * (a.ndim - 2))
        a[:, states] += self.noise * deviations * self._share(drawn, batch)
        return a

    def _queried(self, batch: Batch, queries: Queries) -> Batch:
        """At nodes drawn for it, or for each of its samples, or at those that came with it."""
        if isinstance(batch.out, Tensor):
            return queries.at(batch, batch.out)
        size = (queries.n,) if self.query_draws == "batch" else (self.batch_size, queries.n)
        device = batch.a.device
        uniform = torch.rand(size, generator=self._generator("queries", device), dtype=torch.float64, device=device)
        return queries.at(batch, queries.nodes(uniform if uniform.ndim == 1 else self._share(uniform, batch)))

    def _share(self, drawn: Tensor, batch: Batch) -> Tensor:
        """This process' rows of what was drawn for the samples of all, in the sampler's order."""
        rank, world = self._rank()
        return drawn[rank::world][: len(batch.a)]

    def _generator(self, purpose: str, device: torch.device) -> torch.Generator:
        """Randomness for a purpose, by (shuffle_seed, batches before this one) alone: alike on all processes."""
        seed = np.random.SeedSequence([apart(self.shuffle_seed, purpose), self._batches_before])
        return torch.Generator(device).manual_seed(int(seed.generate_state(1, np.uint64)[0]))

    @property
    def _batches_before(self) -> int:
        """Batches of training before this one, also those before a resumption."""
        assert self.trainer is not None
        return self.trainer.fit_loop.total_batch_idx + 1


@dataclass(kw_only=True, eq=False)
class Generated(DataModule):
    """Data that the problem generates: the file is made when it is not there.

    n: samples; seed: of the samples; split: fractions of train, validation and test, in sample order;
    dir: where files are kept; shard: samples solved and written at once; device: where they are solved;
    engine: what runs the shards; virtual: whether the file refers to the shards instead of holding their values.
    Device, engine and virtual change no value, and a file that is there is taken however it was made.
    """

    n: int
    seed: int = 0
    split: Sequence[float] = (0.8, 0.1, 0.1)
    dir: str = "data"
    shard: int = 16
    device: str = "cpu"
    engine: Engine = field(default_factory=Serial)
    virtual: bool = False

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        return Path(self.dir) / file_name(self._equation(), **self._recipe())

    def prepare(self) -> Path:
        if self.file is not None:
            return super().prepare()
        how: dict[str, Any] = {"device": self.device, "engine": self.engine, "virtual": self.virtual}
        return generate(self._equation(), self.path, **self._recipe(), **how)

    def _equation(self) -> Problem:
        if self.problem is None:
            raise InputError("problem=null: there is nothing to generate data from. Use data=file data.file=PATH.")
        return self.problem

    def _recipe(self) -> dict[str, Any]:
        if self.seed < 0:
            raise InputError(f"data.seed={self.seed}: wanted 0 or more")
        return {"n": self.n, "seed": self.seed, "split": self.split, "shard": self.shard}
