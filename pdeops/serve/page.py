"""The page: files of this package, served as they are."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.responses import Response

from pdeops.serve.refusals import Refusal

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@cache
def _contents() -> dict[str, bytes]:
    folder = files("pdeops.serve") / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in TYPES}


def file(name: str) -> Response:
    """Raises a 404."""
    if name not in _contents():
        raise Refusal(404, "not_found", "there is no such page")
    kind = TYPES[name.rpartition(".")[2]]
    return Response(_contents()[name], media_type=kind, headers={"cache-control": "no-cache"})
