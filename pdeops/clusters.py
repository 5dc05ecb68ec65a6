"""Clusters that run functions: a Dask client, Slurm's job arrays by submitit."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pdeops.errors import InputError, first_line


def package(name: str, extra: str, where: str) -> Any:
    """An optional package; InputError if it is not there. where: the choice that needs it, such as `engine=dask`."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{where} needs the package {name.split('.')[0]}: pip install 'pdeops[{extra}]'") from error


@contextmanager
def dask_client(address: str | None, workers: int, group: str) -> Iterator[Any]:
    """A client of the scheduler at an address, or of a cluster of so many workers on this machine, for as long.

    group: whose address it is, `engine` or `launcher`. Raises InputError if there is no scheduler, or no Dask.
    """
    distributed = package("distributed", "dask", f"{group}=dask")
    logging.getLogger("distributed").setLevel(logging.WARNING)  # it announces every connection
    if address is None:
        own = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": None, "dashboard_address": None}
        with distributed.LocalCluster(**own) as cluster, distributed.Client(cluster, set_as_default=False) as client:
            yield client
        return
    try:
        client = distributed.Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{group}.address={address}: there is no Dask scheduler ({first_line(error)}). Start one with: "
            "dask scheduler"
        ) from error
    with client:
        yield client


def slurm_executor(
    folder: str, cluster: str, group: str, instead: str, *, requeues: int | None = None, **wishes: Any
) -> Any:
    """submitit's executor, told what is wished; a wish that is None is left to the cluster.

    cluster: slurm, or local, processes of this machine. Raises InputError without submitit, and without Slurm where
    it is wanted; `instead` is then what works here.
    """
    submitit = package("submitit", "slurm", f"{group}=slurm")
    if cluster == "slurm" and not shutil.which("sbatch"):
        raise InputError(
            f"{group}=slurm: there is no Slurm on this machine (no command sbatch). Run this on a cluster's login "
            f"node, or use {instead}."
        )
    limits = {} if requeues is None else {f"{cluster}_max_num_timeout": requeues}
    executor = submitit.AutoExecutor(folder, cluster=cluster, **limits)
    executor.update_parameters(name="pdeops", **{name: value for name, value in wishes.items() if value is not None})
    return executor
