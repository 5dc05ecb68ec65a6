"""Writing files so that nothing is ever half there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pdeops.errors import InputError


def check_free(path: Path, force: bool, other: str = "choose another name with -o") -> None:
    """Raise InputError, before anything is computed, if a command's output is there and may not be replaced."""
    if path.exists() and not force:
        raise InputError(f"{path} is already there; replace it with --force, or {other}")


@contextmanager
def atomically(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary sibling of `path`, renamed to it on success and removed on failure.

    Raises InputError, before anything is written, if `path` is there and may not be overwritten, or is not
    a regular file.
    """
    if path.exists() and not (overwrite and path.is_file()):
        raise InputError(f"{path} is already there and would be overwritten; choose another name, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # process numbers repeat across machines
    try:
        yield temporary
        with temporary.open("rb+") as f:
            os.fsync(f.fileno())  # after a power cut, the new name must not stand for an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
