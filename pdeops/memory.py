"""The C library's habits with memory."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's names for what follows, in glibc's malloc.h
KEPT = 2**30  # bytes
LARGEST = 2**25  # bytes of an array that is kept: the most that every glibc takes for this threshold


def keep_freed() -> None:
    """Let this process keep up to a gigabyte that it has freed, of arrays up to 32 MiB, for its next ones, where the C
    library is glibc.

    By default arrays above 128 KiB go back to the system when they are freed, and every page of the next one is
    cleared at its first touch: for passes over batches of fields that takes several times as long as the arithmetic,
    and a tenth to a third of a training step.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST)
