"""pdeops: neural-operator surrogates for PDEs. The public names are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Axis": "pdeops.grid",
    "Grid": "pdeops.grid",
    "InputError": "pdeops.errors",
    "Points": "pdeops.points",
    "Surrogate": "pdeops.surrogate",
    "Window": "pdeops.window",
    "load": "pdeops.sources.load",
}
__all__ = ["Axis", "Grid", "InputError", "Points", "Surrogate", "Window", "__version__", "load"]

if TYPE_CHECKING:
    from pdeops.errors import InputError
    from pdeops.grid import Axis, Grid
    from pdeops.points import Points
    from pdeops.sources.load import load
    from pdeops.surrogate import Surrogate
    from pdeops.window import Window


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'pdeops' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
