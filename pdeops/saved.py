"""Saved surrogates, read back: directories, runs and training checkpoints."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from pdeops import __version__
from pdeops.allowance import Allowance
from pdeops.config import from_config
from pdeops.errors import InputError, first_line
from pdeops.nn.normalizer import Normalizer
from pdeops.plain_json import bounded, read
from pdeops.problems.base import Problem
from pdeops.surrogate import CONFIG, FORMAT, WEIGHTS, Surrogate
from pdeops.uncertainty.bands import Bands
from pdeops.window import Window

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # of a format, to the next one
MOST_NODES = 2**32
LONGEST = 800  # characters of what is told of a foreign description


def from_description(description: dict[str, Any], allowance: Allowance | None = None) -> Surrogate:
    """The surrogate that `Surrogate.describe` wrote down, with untrained weights, made within an allowance if given.

    Raises InputError if the description is not one, is of a newer format, names foreign classes, holds parts that do
    not fit each other, or takes more than it may.
    """
    wanted = {"format", "model", "window", "problem"}
    if not isinstance(description, dict) or not wanted <= set(description):
        raise InputError(f"this is not the description of a surrogate: it lacks one of {sorted(wanted)}")
    description = current(description)
    with allowance or nullcontext():
        model, window, problem = (from_config(description[key]) for key in ("model", "window", "problem"))
        if not (isinstance(model, nn.Module) and isinstance(window, Window) and isinstance(problem, Problem | None)):
            raise InputError("this description does not hold a model, a window and a problem where they belong")
        _check_fit(model, window)
        bands = [from_config(description.get(key)) for key in ("bands", "rollout_bands")]
        if not all(isinstance(one, Bands | None) for one in bands):
            raise InputError("this description does not hold bands where they belong")
        n_in, n_out = window.in_channels, window.out_channels
        return Surrogate(model, window, Normalizer.identity(n_in), Normalizer.identity(n_out), problem, *bands)


def current(description: dict[str, Any]) -> dict[str, Any]:
    """A description of this version's format, by way of every one between."""
    form = description["format"]
    while type(form) is int and form in MIGRATIONS:
        description, form = MIGRATIONS[form](description), form + 1
    if type(form) is not int or form != FORMAT:
        raise InputError(
            f"this surrogate is of format {form!r}, and pdeops {__version__} reads formats 1 to {FORMAT}: update pdeops"
        )
    return description


def _check_fit(model: Any, window: Window) -> None:
    """Raise InputError unless a model is one for this window."""
    if prod(window.bound.shape) > MOST_NODES:
        raise InputError(f"a grid of {prod(window.bound.shape):.1e} nodes is more than fits anywhere")
    for name in ("grid_in", "grid_out", "in_channels", "out_channels"):
        if getattr(model, name, None) != getattr(window, name):
            raise InputError(f"this description does not fit itself: the model's {name} is not that of the window")


def load(path: str | Path) -> Surrogate:
    """The surrogate in a directory that `Surrogate.save` wrote, in a run's directory, or in a training checkpoint.

    Only tensors and plain values are read, and only pdeops' own models, windows and problems are built, of no more
    memory than the weights account for: opening a file runs no code of its own. Raises InputError, saying what is
    wrong, for anything missing, damaged or foreign.
    """
    path = folder_of(path)
    description, tensors = _read_checkpoint(path) if path.is_file() else _read_directory(path)
    size = sum(x.untyped_storage().nbytes() for x in tensors.values())
    try:
        surrogate = from_description(description, Allowance(2**25 + 8 * size, 2000 + 30 * len(tensors)))
    except InputError as error:
        raise InputError(f"{path}: {str(error)[:LONGEST]}") from error
    _check_weights(path, surrogate, tensors)
    surrogate.load_state_dict(tensors, assign=True)  # in the precision that was saved
    return surrogate.eval()


def folder_of(path: str | Path) -> Path:
    """Where the surrogate of a run's directory is; anything else as it is."""
    path = Path(path)
    inside = path / "surrogate"
    return inside if not (path / CONFIG).exists() and (inside / CONFIG).exists() else path


def _check_weights(path: Path, surrogate: Surrogate, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError unless tensors are those of a surrogate by name, shape and kind, and finite."""
    wanted = surrogate.state_dict()
    if faults := sorted(wanted.keys() ^ tensors.keys()):
        raise InputError(
            f"{path}: the weights do not fit the description. One side alone has {', '.join(faults)[:200]}"
        )
    for name, own in wanted.items():
        given = tensors[name]
        if given.shape != own.shape or _kind(given) != _kind(own):
            told = f"{name} is {tuple(given.shape)} of {given.dtype}, wanted {tuple(own.shape)} of {own.dtype}"
            raise InputError(f"{path}: the weights do not fit the description. {told}")
        if not given.isfinite().all():
            raise InputError(f"{path}: the weights {name} hold NaN or infinite values")


def _kind(x: Tensor) -> tuple[bool, bool]:
    """Integers, reals or complex numbers, of whatever precision."""
    return x.is_floating_point(), x.is_complex()


def _read_directory(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise InputError(f"there is no surrogate in {path}: no {name}")
    description = read(path / CONFIG)
    try:
        return description, load_tensors((path / WEIGHTS).read_bytes())
    except SafetensorError as error:
        raise InputError(f"{path / WEIGHTS} is damaged or not a safetensors file: {error}") from error


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    checkpoint = read_checkpoint(path)
    prefix, state = "surrogate.", checkpoint["state_dict"]
    try:
        bounded(checkpoint["surrogate"])
        tensors = {
            k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix) and isinstance(v, Tensor)
        }
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path} does not hold a surrogate: {first_line(error)}") from error
    return checkpoint["surrogate"], tensors


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A training checkpoint's tensors and plain values.

    Raises InputError if it is missing, damaged, or was not written by pdeops.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no checkpoint {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's words advise to load it all the same
        raise InputError(
            f"{path} is not a checkpoint of pdeops, or is damaged: it holds something else than tensors and plain "
            "values, which is not read, as it could run code"
        ) from error
    except Exception as error:  # of a damaged file anything may come
        raise InputError(f"{path} is not a checkpoint of pdeops, or is damaged: {first_line(error)}") from error
    if not isinstance(checkpoint, dict) or not all(
        isinstance(checkpoint.get(k), dict) for k in ("surrogate", "state_dict")
    ):
        raise InputError(f"{path} is not a checkpoint of pdeops: it holds no surrogate")
    return checkpoint


def check_vacant(directory: str | Path, force: bool) -> None:
    """Raise InputError if a surrogate is there that would be overwritten, unless that is meant."""
    if (Path(directory) / CONFIG).exists() and not force:
        raise InputError(f"there is a surrogate in {directory}; replace it with --force, or choose another folder")
