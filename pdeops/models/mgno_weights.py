"""Weights of the official MgNO for Darcy flow (xlliu2017/MgNO, `MgNO_DC` and `MgNO_DC_smooth`), renamed for ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from pdeops.errors import InputError

if TYPE_CHECKING:
    from pdeops.models.mgno import MgNO

KERNELS = {"operator": "A", "smoother": "S", "solution": "Pi", "source": "R"}


def load_official(model: MgNO, state: Mapping[str, Tensor]) -> None:
    """Give `model` the weights of an official network (its `state_dict()`) of the same sizes: the same function.

    Its [nu, mu] per level are our `pre` and `post`, its use_res our `residual`, its kernels of transposed convolutions
    our `prolongation`. On periodic and reflected axes ours prolongates by the boundary, theirs by zeros. Its normaliser
    is no part of its weights: what it decodes in the model is up to a `Surrogate`. Raises InputError where names or
    sizes differ.
    """
    own = {name: _theirs(name) for name in model.state_dict()}
    missing = sorted(set(own.values()) - set(state))
    if missing:
        raise InputError(
            f"these weights have no {missing[0]!r}: wanted an official MgNO for Darcy flow with {model.depth} layers "
            f"and the sweeps {list(zip(model.pre, model.post, strict=True))}, residual={model.residual}"
        )
    foreign = sorted(set(state) - set(own.values()))
    if foreign:
        raise InputError(f"parts that this MgNO has not: {foreign}")
    taken = {}
    for name, value in model.state_dict().items():
        theirs = state[own[name]]
        if [k for k in theirs.shape if k > 1] != [k for k in value.shape if k > 1]:
            raise InputError(f"{own[name]} has the shape {tuple(theirs.shape)}; this MgNO wants {tuple(value.shape)}")
        taken[name] = theirs.reshape(value.shape)
    model.load_state_dict(taken)


def _theirs(name: str) -> str:
    """The official name of one of our weights; of parts that they have not, one that is nowhere."""
    if name == "projection.weight":
        return "linear.weight"
    _, layer, part, *rest = name.split(".")
    if part != "cycle":
        return f"linear_list.{layer}.{'bias' if part == 'bias' else 'weight'}" if part != "norm" else name
    _, level, what, *rest = rest
    l, conv = int(level), f"conv_list.{layer}"
    match what, *rest:
        case "start", _:
            return f"{conv}.layer0.0.S.weight"
        case "pre", j, kernel, _:
            return f"{conv}.layer{l}.{int(j) + 1}.{KERNELS[kernel]}.weight"  # after the start or the restriction
        case "post", j, kernel, _:
            return f"{conv}.post_smooth_layer{l}.{j}.{KERNELS[kernel]}.weight"
        case "down", kernel, _:
            return f"{conv}.layer{l + 1}.0.{KERNELS[kernel]}.weight"
    return f"{conv}.RTlayers.{l}.weight"
