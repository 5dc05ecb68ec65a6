"""Surrogates in repositories of the Hugging Face Hub: `hub:owner/name`, `hub:owner/name@revision`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from pdeops.clusters import package
from pdeops.errors import InputError, first_line
from pdeops.sources.zoo import CARD
from pdeops.surrogate import CONFIG, WEIGHTS

FILES = [CONFIG, WEIGHTS, CARD, "README.md"]
PLACE = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch(place: str) -> Path:
    """The folder of `owner/name` or `owner/name@revision` on this machine.

    A commit that is in the Hub's cache is not asked for again. A branch or a tag, or the newest commit where no
    revision is given, is looked up, and told on standard error by its commit, which is the same for ever; out of
    reach, what the cache last had of it is taken, and told. Raises InputError if there is no such
    repository or revision, or none within reach, and without huggingface_hub.
    """
    repo, revision = parsed(place)
    hub = package("huggingface_hub", "hub", f"hub:{place}")
    if revision is not None and COMMIT.fullmatch(revision):
        return _cached(hub, repo, revision) or _downloaded(hub, repo, revision)
    try:
        folder = _downloaded(hub, repo, revision)
    except _OutOfReach as error:
        kept = _cached(hub, repo, revision)
        if kept is None:
            raise
        folder = kept
        print(f"pdeops: {error.reason}; taking what is cached of hub:{place}", file=sys.stderr)
    print(f"pdeops: hub:{place} is at commit {folder.name}; for ever: hub:{repo}@{folder.name}", file=sys.stderr)
    return folder


def _cached(hub: Any, repo: str, revision: str | None) -> Path | None:
    """The folder in the Hub's cache, named by its commit; None if it is not there, or not whole."""
    try:
        found = hub.snapshot_download(repo, revision=revision, allow_patterns=FILES, local_files_only=True)
    except (hub.errors.LocalEntryNotFoundError, hub.errors.EntryNotFoundError):
        return None
    whole = all((Path(found) / name).is_file() for name in (CONFIG, WEIGHTS))
    return Path(found) if whole else None


def _downloaded(hub: Any, repo: str, revision: str | None) -> Path:
    """The folder in the Hub's cache, brought up to date."""
    with _reported(repo if revision is None else f"{repo}@{revision}"):
        hub.HfApi().model_info(repo, revision=revision, timeout=20)  # what follows takes an old one where this fails
        return Path(hub.snapshot_download(repo, revision=revision, allow_patterns=FILES))


def push(folder: Path, place: str) -> str:
    """Upload a surrogate's folder with its card to `owner/name`, made if it is not there; the source that loads this
    very commit. Raises InputError without a login, or without leave to write."""
    repo, revision = parsed(place)
    hub = package("huggingface_hub", "hub", f"hub:{place}")
    with _reported(place):
        api = hub.HfApi()
        api.create_repo(repo, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, revision=revision, allow_patterns=FILES, commit_message="A surrogate"
        )
    return f"hub:{repo}@{done.oid}"


def parsed(place: str) -> tuple[str, str | None]:
    """Repository and revision. Raises InputError if a place is none."""
    match = PLACE.fullmatch(place)
    if match is None:
        raise InputError(f"hub:{place}: wanted hub:owner/name or hub:owner/name@revision")
    return match["repo"], match["revision"]


class _OutOfReach(InputError):
    """There is no connection, or none is wanted."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"hub:{place}: {reason}, and the cache of this machine does not hold it")
        self.reason = reason


@contextmanager
def _reported(place: str) -> Iterator[None]:
    """The Hub's errors in words."""
    from huggingface_hub import errors

    # the root of its HTTP client's errors: clients change
    transport = cast("type[Exception]", errors.HfHubHTTPError.__bases__[0])

    try:
        yield
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"hub:{place}: the Hub shows no such repository; a private one needs a login (hf auth login)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"hub:{place}: the repository has no such revision") from error
    except errors.OfflineModeIsEnabled as error:
        raise _OutOfReach(place, "HF_HUB_OFFLINE is set") from error
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise InputError(f"hub:{place}: the Hub refuses; log in with leave to write: hf auth login") from error
        raise InputError(f"hub:{place}: {first_line(error)}") from error
    except (transport, OSError) as error:
        raise _OutOfReach(place, f"the Hub is out of reach ({first_line(error)})") from error
