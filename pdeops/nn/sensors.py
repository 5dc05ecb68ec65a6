"""What a branch reads: an input at the nodes it was built for, or on its own ones."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.branch import Branch
from pdeops.nn.resample import INWARD, resampled

Resolution = Literal["sensors", "native"]
WAYS = {"sensors": "interpolated to the {there} nodes of the sensors", "native": "read by the branch as they are"}


class Sensing(Protocol):
    """A model that reads its inputs by a branch."""

    grid_in: Grid
    resolution: Resolution


def sensed(model: Sensing, a: Tensor) -> Tensor:
    """(B, C, *n) -> (B, C, *grid_in), or a itself where the branch takes other nodes than those."""
    if model.resolution == "native":
        return a
    return resampled(a.movedim(1, -1), model.grid_in, model.grid_in.shape, INWARD).movedim(-1, 1)


def check_resolution(resolution: Resolution, branch: Branch) -> None:
    """Raise InputError on another name, and on native nodes for a branch that reads those of its grid alone."""
    if resolution not in get_args(Resolution):
        raise InputError(f"model.resolution={resolution!r}; wanted one of {get_args(Resolution)}")
    if resolution == "native" and not branch.any_lattice:
        raise InputError(
            f"model.resolution=native: a {type(branch).__name__} branch reads the nodes it was built for alone. Take "
            "model.resolution=sensors, or a spectral branch"
        )
