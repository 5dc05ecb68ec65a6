"""Engines: where the shards of a data set are solved, and how many at once. Values never depend on them."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

import joblib
import torch
from joblib.externals.loky import get_reusable_executor

from pdeops.clusters import dask_client, package, slurm_executor
from pdeops.errors import InputError, check_positive, first_line

Solve = Callable[..., range]  # of a shard's indices, and perhaps of a callback that is told the fraction done
Progress = Callable[[range, float], None]
Shards = Generator[range, None, None]

RESUME = "Whole shards are kept: the same command goes on from them."
ARRAY = 1000  # elements of a job array that any cluster takes; Slurm's own default limit is 1001


class Engine(ABC):
    """Runs a picklable function on shards.

    here: whether the shards are solved on this machine, with its devices.
    threads: of torch while a shard is solved; None: as many as there are.
    """

    here: ClassVar[bool] = True
    threads: int | None = None

    @abstractmethod
    def width(self) -> int:
        """How many shards are solved at once."""

    @abstractmethod
    def run(self, solve: Solve, shards: Sequence[range], progress: Progress) -> Shards:
        """Yield each shard as it is done, in any order. Closing the iterator stops the workers.

        progress: told the shard and the fraction of it that is done, by an engine that can see it.
        Raises what `solve` raises, and InputError if a worker is lost or there is none.
        """


@dataclass(frozen=True)
class Serial(Engine):
    """One shard after the other in this process."""

    def width(self) -> int:
        return 1

    def run(self, solve: Solve, shards: Sequence[range], progress: Progress) -> Shards:
        for shard in shards:
            yield solve(shard, functools.partial(progress, shard))


@dataclass(frozen=True)
class Processes(Engine):
    """Several processes of this machine (joblib's loky). jobs: how many; None: one per core."""

    jobs: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        check_positive("engine", jobs=self.jobs, threads=self.threads)

    def width(self) -> int:
        return self.jobs or _cores(self.threads)

    def run(self, solve: Solve, shards: Sequence[range], progress: Progress) -> Shards:
        try:
            idle = {"idle_worker_timeout": 30}  # seconds until they end, should this process be killed
            # threads go into the environment of the workers, before they import torch
            with joblib.parallel_config("loky", n_jobs=self.width(), inner_max_num_threads=self.threads, **idle):
                yield from _joblib(functools.partial(_call, self.threads, solve), shards)
        except BrokenProcessPool as error:
            raise InputError(
                f"engine=processes: a process was killed, perhaps for want of memory. {RESUME} "
                "Fewer engine.jobs, or a smaller data.shard, take less memory."
            ) from error
        finally:
            get_reusable_executor().shutdown(kill_workers=True)  # they would idle on, beside the training


@dataclass(frozen=True)
class Dask(Engine):
    """The workers of a Dask cluster (joblib's dask).

    address: of a scheduler whose workers have pdeops and see the data's folder; None: a cluster of `jobs`
    processes (None: one per core) on this machine, for this run.
    """

    address: str | None = None
    jobs: int | None = None
    threads: int = 1
    here: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("engine", jobs=self.jobs, threads=self.threads)
        if self.address and self.jobs:
            raise InputError(
                f"engine.address={self.address} and engine.jobs={self.jobs}: a running cluster has the workers it has; "
                "give one of the two"
            )

    def width(self) -> int:
        if self.address is None:
            return self.jobs or _cores(self.threads)
        with self._client() as client:
            return max(1, sum(client.nthreads().values()))

    def run(self, solve: Solve, shards: Sequence[range], progress: Progress) -> Shards:
        distributed = package("distributed", "dask", "engine=dask")
        try:
            with self._client() as client, joblib.parallel_config("dask", client=client):
                yield from _joblib(functools.partial(_call, self.threads, solve), shards)
        except distributed.KilledWorker as error:
            raise InputError(
                f"engine=dask: workers were lost while they solved a shard, perhaps for want of memory. {RESUME}"
            ) from error

    def _client(self) -> AbstractContextManager[Any]:
        return dask_client(self.address, self.jobs or _cores(self.threads), "engine")


@dataclass(frozen=True)
class Slurm(Engine):
    """A Slurm job array (submitit), one element per shard, or several shards each where arrays are too short.

    jobs: elements that run at once; partition: None is the cluster's default; time: minutes of an element;
    threads: its cores, and torch's threads on them; memory: its GB (None: the cluster's default); gpus: how many
    it has; folder: of logs, on a file system that every node sees; cluster: "local" runs the array as processes
    of this machine. What else sbatch takes it reads from its environment variables.
    """

    jobs: int = 16
    partition: str | None = None
    time: int = 60
    threads: int = 1
    memory: int | None = None
    gpus: int = 0
    folder: str = "runs/slurm"
    cluster: Literal["slurm", "local"] = "slurm"
    here: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("engine", jobs=self.jobs, time=self.time, threads=self.threads, memory=self.memory)

    def width(self) -> int:
        return self.jobs

    def run(self, solve: Solve, shards: Sequence[range], progress: Progress) -> Shards:
        # processes of this machine all start at once, so there are only `jobs` of them
        count = math.ceil(len(shards) / (self.jobs if self.cluster == "local" else ARRAY))
        groups = [shards[i : i + count] for i in range(0, len(shards), count)]
        executor = self._executor()
        helpers = import_module("submitit.helpers")
        try:
            array = executor.map_array(functools.partial(_call_each, self.threads, solve), groups)
        except RuntimeError as error:
            raise InputError(f"engine=slurm: sbatch refused the job array: {first_line(error)}") from error
        seconds = 0.2 if self.cluster == "local" else 5.0
        try:
            for job in helpers.as_completed(array, poll_frequency=seconds):
                if job.exception() is not None:
                    raise InputError(
                        f"engine=slurm: job {job.job_id} did not finish; its log is {job.paths.stderr}. {RESUME} "
                        "If it ran out of time or memory, raise engine.time or engine.memory, or lower data.shard."
                    )
                for outcome in job.result():
                    if isinstance(outcome, InputError):
                        raise outcome
                    yield outcome
        finally:
            for job in array:
                if not job.done():
                    job.cancel(check=False)

    def _executor(self) -> Any:
        return slurm_executor(
            self.folder,
            self.cluster,
            "engine",
            "engine=processes",
            timeout_min=self.time,
            cpus_per_task=self.threads,
            slurm_array_parallelism=self.jobs,
            slurm_partition=self.partition,
            mem_gb=self.memory,
            gpus_per_node=self.gpus or None,
        )


@contextmanager
def torch_threads(n: int | None) -> Iterator[None]:
    """Torch with n threads; None: as it is."""
    before = torch.get_num_threads()
    if n is not None:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        if n is not None:
            torch.set_num_threads(before)


def _joblib(call: Callable[[range], range], shards: Sequence[range]) -> Shards:
    """On the workers of the current `joblib.parallel_config`; a shard a task, so that each is known when done."""
    parallel = joblib.Parallel(batch_size=1, return_as="generator_unordered")
    yield from parallel(joblib.delayed(call)(shard) for shard in shards)


def _call(threads: int, solve: Solve, shard: range) -> range:
    with torch_threads(threads):
        return solve(shard)


def _call_each(threads: int, solve: Solve, shards: Sequence[range]) -> list[range | InputError]:
    """The shards that were solved and, last, the error that ended it: a job array brings texts home, not exceptions."""
    outcomes: list[range | InputError] = []
    try:
        for shard in shards:
            outcomes.append(_call(threads, solve, shard))
    except InputError as error:
        outcomes.append(error)
    return outcomes


def _cores(threads: int) -> int:
    return max(1, joblib.cpu_count() // threads)
