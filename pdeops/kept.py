"""Functions that numba compiles, kept from one process to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any


def kept(compiler: Callable[..., Any], *signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba's `compiler(*signature, cache=True, **options)`: `cfunc` or `njit`.

    numba takes what it has kept for current as long as the function's own file is. Here it is made again when any file
    of its folder changes, as functions of other files are inlined: their hash is part of its name. Where nothing can
    be written, neither beside the sources nor in a home folder, each process compiles for itself.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ += f"-{_sources(Path(function.__code__.co_filename).parent)}"
        try:
            return compiler(*signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            return compiler(*signature, **options)(function)

    return decorate


@cache
def _sources(folder: Path) -> str:
    digest = sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
