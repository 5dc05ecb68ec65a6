"""Writing files so that nothing is ever half there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pdeops.errors import InputError


@contextmanager
def atomically(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary sibling of `path`, renamed to it on success and removed on failure.

    Raises InputError, before anything is written, if `path` is there and may not be overwritten, or is not
    a regular file.
    """
    if path.exists() and not (overwrite and path.is_file()):
        raise InputError(f"{path} is already there and would be overwritten; choose another name, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
