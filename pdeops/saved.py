"""Saved surrogates, read back: directories, runs and training checkpoints."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from pdeops import __version__
from pdeops.config import from_config
from pdeops.errors import InputError, first_line
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.base import Problem
from pdeops.surrogate import CONFIG, FORMAT, WEIGHTS, Surrogate
from pdeops.uncertainty.bands import Bands
from pdeops.window import Window


def from_description(description: dict[str, Any]) -> Surrogate:
    """The surrogate that `Surrogate.describe` wrote down, with untrained weights.

    Raises InputError if the description is not one, is of a newer format, or names foreign classes.
    """
    wanted = {"format", "model", "window", "problem"}
    if not isinstance(description, dict) or not wanted <= set(description):
        raise InputError(f"this is not the description of a surrogate: it lacks one of {sorted(wanted)}")
    if description["format"] != FORMAT:
        raise InputError(
            f"this surrogate is of format {description['format']!r}, and pdeops {__version__} reads format {FORMAT}: "
            "update pdeops"
        )
    model, window, problem = (from_config(description[key]) for key in ("model", "window", "problem"))
    if not (isinstance(model, nn.Module) and isinstance(window, Window) and isinstance(problem, Problem | None)):
        raise InputError("this description does not hold a model, a window and a problem where they belong")
    bands = [from_config(description.get(key)) for key in ("bands", "rollout_bands")]
    if not all(isinstance(one, Bands | None) for one in bands):
        raise InputError("this description does not hold bands where they belong")
    n_in, n_out = window.in_channels, window.out_channels
    return Surrogate(model, window, Normalizer.identity(n_in), Normalizer.identity(n_out), problem, *bands)


def load(path: str | Path) -> Surrogate:
    """The surrogate in a directory that `Surrogate.save` wrote, in a run's directory, or in a training checkpoint.

    Only tensors and plain values are read, and only pdeops classes are built: opening a file runs no code of
    its own. Raises InputError, saying what is wrong, for anything missing, damaged or foreign.
    """
    path = Path(path)
    if path.is_file():
        description, tensors = _read_checkpoint(path)
    else:
        if not (path / CONFIG).exists() and (path / "surrogate" / CONFIG).exists():
            path = path / "surrogate"
        description, tensors = _read_directory(path)
    surrogate = from_description(description)
    try:
        surrogate.load_state_dict(tensors, assign=True)  # in the precision that was saved
    except RuntimeError as error:
        raise InputError(f"{path}: the weights do not fit the description. {error}") from error
    return surrogate.eval()


def _read_directory(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for name in (CONFIG, WEIGHTS):
        if not (path / name).exists():
            raise InputError(f"there is no surrogate in {path}: no {name}")
    try:
        description = json.loads((path / CONFIG).read_text())
    except ValueError as error:
        raise InputError(f"{path / CONFIG} is not valid JSON: {error}") from error
    try:
        return description, load_tensors((path / WEIGHTS).read_bytes())
    except SafetensorError as error:
        raise InputError(f"{path / WEIGHTS} is damaged or not a safetensors file: {error}") from error


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    checkpoint = read_checkpoint(path)
    prefix = "surrogate."
    tensors = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    return checkpoint["surrogate"], tensors


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A training checkpoint's tensors and plain values.

    Raises InputError if it is missing, damaged, or was not written by pdeops.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no checkpoint {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
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
