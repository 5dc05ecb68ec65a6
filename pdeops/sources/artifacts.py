"""Surrogates as W&B artifacts: `wandb:entity/project/name:version`, version v0, v1 ... or an alias such as latest."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pdeops.errors import InputError, first_line
from pdeops.surrogate import CONFIG, WEIGHTS

PLACE = re.compile(r"(\w[\w.-]*)/(\w[\w.-]*)/(\w[\w.-]*)(?::(\w[\w.-]*))?", re.ASCII)


def fetch(place: str) -> Path:
    """The folder of `entity/project/name:version` on this machine.

    A version, v3 say, that was downloaded before is not asked for again; an alias, or latest where nothing is given, is
    looked up, and told by its version on standard error. Raises InputError if there is no such artifact, or W&B is out
    of reach.
    """
    entity, project, name, version = parsed(place)
    kept = _cache() / entity / project / name
    if version is not None and re.fullmatch(r"v\d+", version) and (kept / version).is_dir():
        return kept / version
    with _reported(place):
        import wandb

        artifact = wandb.Api(timeout=20).artifact(f"{entity}/{project}/{name}:{version or 'latest'}")
        found = str(artifact.version)
        if found != version:
            same = f"wandb:{entity}/{project}/{name}:{found}"
            print(f"pdeops: wandb:{place} is version {found}; to have it again: {same}", file=sys.stderr)
        if not (kept / found).is_dir():
            _download(artifact, kept / found)
    return kept / found


def _download(artifact: Any, folder: Path) -> None:
    """All or nothing."""
    half = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    half.mkdir(parents=True)
    try:
        artifact.download(root=str(half))
        missing = [name for name in (CONFIG, WEIGHTS) if not (half / name).is_file()]
        if missing:
            raise InputError(f"this artifact holds no surrogate: no {', '.join(missing)}")
        if not folder.is_dir():  # another process may have been quicker
            os.replace(half, folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def push(folder: Path, place: str) -> str:
    """Log a surrogate's folder with its card as a new version of `entity/project/name`; the source that loads this very
    version. Raises InputError without a login or a connection."""
    entity, project, name, alias = parsed(place)
    import wandb

    with _reported(place), wandb.init(entity=entity, project=project, job_type="pdeops push") as run:
        artifact = wandb.Artifact(name, type="model")
        artifact.add_dir(str(folder))
        logged = run.log_artifact(artifact, aliases=[alias] if alias else None)
        logged.wait()
        return f"wandb:{entity}/{project}/{name}:{logged.version}"


def parsed(place: str) -> tuple[str, str, str, str | None]:
    """Entity, project, name and version or alias. Raises InputError if a place is none."""
    match = PLACE.fullmatch(place)
    if match is None:
        raise InputError(f"wandb:{place}: wanted wandb:entity/project/name or wandb:entity/project/name:version")
    entity, project, name, version = match.groups()
    return entity, project, name, version


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pdeops" / "wandb"


@contextmanager
def _reported(place: str) -> Iterator[None]:
    """W&B's errors in words."""
    try:
        yield
    except InputError as error:
        raise InputError(f"wandb:{place}: {error}") from error
    except Exception as error:  # its own, its transport's, and plain ValueErrors
        raise InputError(f"wandb:{place}: {first_line(error)}; a login is made by: wandb login") from error
