"""The weights of neuraloperator's FNO in ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import gelu

from pdeops.errors import InputError

if TYPE_CHECKING:
    from pdeops.models.fno import FNO

# arguments of their constructor, in its order, after those that the sizes of the weights tell; and what ours is
SIZES = 7
OPTIONS: dict[str, tuple[Any, ...] | None] = {
    "positional_embedding": None,  # ("grid",) or (None,), as ours has coordinates or not
    "non_linearity": (gelu,),
    "norm": (None,),
    "complex_data": (False,),
    "use_channel_mlp": (True,),  # without one, their blocks but the last apply gelu twice
    "channel_mlp_dropout": None,  # nothing where a model is evaluated
    "channel_mlp_expansion": None,  # a size
    "channel_mlp_skip": ("soft-gating",),
    "fno_skip": ("linear",),
    "resolution_scaling_factor": (None,),
    "domain_padding": (None, 0),
    "fno_block_precision": ("full",),
    "stabilizer": (None,),
    "max_n_modes": (None,),  # else fewer modes than weights are used
    "factorization": None,  # other names of weights
    "rank": None,
    "fixed_rank_modes": None,
    "implementation": None,
    "decomposition_kwargs": None,
    "separable": (False,),
    "preactivation": (False,),
    "conv_module": None,  # by its name
}


def load_neuralop(fno: FNO, state: Mapping[str, Any]) -> None:
    """Give `fno` the weights of a neuraloperator 2.0 FNO (its `state_dict()`) of the same sizes: the same function.

    `state["_metadata"]`, which holds all arguments of their constructor, is checked where it is present; without it,
    options that leave no trace among the weights (activation, order, padding) must be their defaults.
    Raises InputError for models, theirs or ours, that the other cannot be, and where sizes differ.
    """
    _check_ours(fno)
    if "_metadata" in state:
        _check_theirs(fno, state["_metadata"])
    theirs = {k: v for k, v in state.items() if k != "_metadata"}
    own: dict[str, Tensor] = {}

    def take(name: str) -> Tensor:
        if name not in theirs:
            raise InputError(
                f"this neuraloperator model has no {name!r}: wanted one with an MLP in every block, linear and "
                f"soft-gating skips, lifting and projection of two layers, and at least {fno.depth} blocks"
            )
        return theirs.pop(name)

    def take_mlp(mine: str, name: str) -> None:
        for j in (0, 1):
            own[f"{mine}.{2 * j}.weight"] = take(f"{name}.fcs.{j}.weight").flatten(1)  # a convolution of size 1
            own[f"{mine}.{2 * j}.bias"] = take(f"{name}.fcs.{j}.bias")

    for i in range(fno.depth):
        conv = f"fno_blocks.convs.{i}"
        weight = theirs.pop(f"{conv}.weight.tensor", theirs.pop(f"{conv}.weight", None))
        own[f"blocks.{i}.spectral.weight.tensor"] = _spectral(weight, fno.grid_in.ndim, i)
        own[f"blocks.{i}.skip.bias"] = take(f"{conv}.bias").flatten()
        own[f"blocks.{i}.skip.weight"] = take(f"fno_blocks.fno_skips.{i}.conv.weight").flatten(1)
        take_mlp(f"blocks.{i}.mlp", f"fno_blocks.channel_mlp.{i}")
        own[f"blocks.{i}.gate"] = take(f"fno_blocks.channel_mlp_skips.{i}.weight").flatten()
    for name in ("lifting", "projection"):
        take_mlp(name, name)
    if theirs:
        raise InputError(f"this neuraloperator model has parts that our FNO has not: {sorted(theirs)}")
    wrong = [
        f"{k}: {tuple(own[k].shape)}, not {tuple(v.shape)}"
        for k, v in fno.state_dict().items()
        if v.shape != own[k].shape
    ]
    if wrong:
        raise InputError(
            f"sizes differ in {'; '.join(wrong)}: give this FNO the width, modes, depth and ratios of the other"
        )
    fno.load_state_dict(own)


def _spectral(weight: Any, d: int, block: int) -> Tensor:
    """(C_in, C_out, *modes), complex -> (*modes, C_in, 2 C_out): the real parts of a mode, then the imaginary ones."""
    if weight is None:
        raise InputError(f"no dense spectral weight of block {block}: wanted a model without factorisation")
    if weight.ndim != d + 2 or not weight.is_complex():
        raise InputError(
            f"the spectral weight of block {block} is {weight.dtype} of shape {tuple(weight.shape)}; wanted a complex "
            f"one of {d + 2} axes, (channels, channels, modes of {d} axes): neither separable nor of another grid"
        )
    return torch.view_as_real(weight.detach()).permute(*range(2, d + 2), 0, d + 2, 1).flatten(-2)


def _check_ours(fno: FNO) -> None:
    if fno.norm != "none":
        raise InputError(f"model.norm={fno.norm}: neuraloperator's norms are others; wanted model.norm=none")
    if set(fno.basis) != {"fourier"}:
        raise InputError(f"model.basis={list(fno.basis)}: weights of neuraloperator want fourier on all axes")
    if fno.weights != "dense":
        raise InputError(f"model.weights={fno.weights}: neuraloperator's dense weights want model.weights=dense")
    if any(block.mlp is None for block in fno.blocks):
        raise InputError(
            f"model.mlp_ratio={fno.mlp_ratio:g} with model.width={fno.width} leaves no MLP in a block; wanted "
            "neuraloperator's channel_mlp_expansion"
        )
    if fno.padding > 0 and not all(axis.periodic for axis in fno.grid_in):
        raise InputError(f"model.padding={fno.padding:g}: wanted 0, as neuraloperator pads otherwise")
    if not fno.coordinates:
        return
    for axis in fno.grid_in:
        if axis.nodes not in ("periodic", "left"):
            raise InputError(
                f"axis {axis.name!r} has {axis.nodes} nodes, and neuraloperator's coordinates are 0, 1/n, .. 1 - 1/n: "
                "wanted periodic or left nodes, or models without coordinates (coordinates=false, "
                "positional_embedding=None)"
            )


def _check_theirs(fno: FNO, arguments: Mapping[str, Any]) -> None:
    given = {**arguments, **dict(zip(OPTIONS, arguments.get("args", ())[SIZES:], strict=False))}
    wanted = {name: values for name, values in OPTIONS.items() if values is not None}
    wanted["positional_embedding"] = ("grid",) if fno.coordinates else (None,)
    for name, values in wanted.items():
        if name in given and not any(given[name] is v or given[name] == v for v in values):
            raise InputError(f"this neuraloperator model has {name}={given[name]!r}; our FNO is that of {values[0]!r}")
    conv = given.get("conv_module")
    if conv is not None and getattr(conv, "__name__", "") != "SpectralConv":
        raise InputError(f"this neuraloperator model has conv_module={conv!r}; our FNO is that of SpectralConv")
