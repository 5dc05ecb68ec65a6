"""Work in chunks that the threads of torch's own pool take in turns.

A job is an array of int64: NEXT, the first item that nobody has taken yet, then sizes and addresses as its body wants
them. A body is a compiled function of the job's address; every thread of a team runs it, and it takes chunks until none
are left. Who took a chunk is seen nowhere in the result.

torch's threads spin for a while after each of its loops, and a second pool would compete with them for the cores. So
the team is one of the OpenMP runtime that torch calls, entered as compiled code enters it: by GOMP_parallel, which the
runtimes of LLVM and Intel have, too, on Linux. Where there is none, a body runs in its caller's thread alone.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic
from torch import Tensor

from pdeops.kept import kept

NEXT = 0

# fused multiply-add; nothing that takes NaN and infinity for absent; a division is no branch to an exception
CONTRACT = {"fastmath": {"contract"}, "error_model": "numpy"}
body = kept(cfunc, types.void(types.CPointer(types.int64)), **CONTRACT)


@intrinsic
def take(typingctx, job, item, count):
    """job[item], and job[item] += count, in one step among threads."""

    def code(context, builder, signature, arguments):
        job, item, count = arguments
        return builder.atomic_rmw("add", builder.gep(job, [item]), count, "monotonic")

    return types.int64(types.CPointer(types.int64), types.int64, types.int64), code


@intrinsic
def floats(typingctx, address):
    """The float32 numbers at an address."""

    def code(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.FloatType().as_pointer())

    return types.CPointer(types.float32)(types.int64), code


ALONE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Team = Callable[[int, int, int, int], None]


def run(function: Any, threads: int, *values: int | Tensor) -> None:
    """Do a job of these sizes and tensors (contiguous, for which their addresses stand)."""
    job = np.array([0, *(v.data_ptr() if isinstance(v, Tensor) else v for v in values)], dtype=np.int64)
    team = _team() if threads > 1 else None
    if team is None:
        ALONE(function.address)(job.ctypes.data)
    else:
        team(function.address, job.ctypes.data, threads, 0)


@cache
def _team() -> Team | None:
    """GOMP_parallel(body, job, threads, flags) where torch finds it: among global symbols, else in what it is linked
    with."""
    if not torch.backends.openmp.is_available() or not hasattr(os, "RTLD_NOLOAD"):
        return None
    for library in (None, str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")):
        try:
            team = ctypes.CDLL(library, mode=os.RTLD_NOLOAD).GOMP_parallel
        except (OSError, AttributeError):  # no such library, no such symbol
            continue
        team.argtypes, team.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
        return team
    return None
