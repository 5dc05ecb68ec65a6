"""The weights of thuml's LSM in ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.models.lsm import LSM
from pdeops.models.unet import Resolution


def from_lsm(state: Mapping[str, Tensor], grid: Grid, *, resolution: Resolution = "resample") -> LSM:
    """The network of an LSM's `state_dict()` of thuml's Latent-Spectral-Models, in two or three dimensions.

    The same function where theirs pads to multiples of 16 and has 16 patches along each axis, which no weight tells.
    Sizes are read from the weights. What no output depends on is left out: the bias of keys, which their softmax
    forgets, and the weights of sin(0). Two linear maps in a row, after the U-Net, become one.
    Raises InputError for what is no such state, and for axes without nodes at both ends, where theirs puts coordinates.
    """
    for axis in grid:
        if axis.nodes != "uniform":
            raise InputError(f"axis {axis.name!r} has {axis.nodes} nodes: thuml's coordinates are of uniform ones")
    try:
        width, features = state["fc0.weight"].shape
        heads, tokens, _ = state["process1.latent"].shape
        model = LSM(
            *(features - grid.ndim, len(state["fc2.weight"]), grid, grid),
            width=width,
            heads=heads,
            tokens=tokens,
            basis=state["process1.weights"].shape[1] // 2,
            projection=len(state["fc1.weight"]),
            norm="batch" if "inc.double_conv.1.running_mean" in state else "instance",
            resolution=resolution,
        )
        model.to(state["fc0.weight"]).load_state_dict(_converted(state, model.levels))
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"these are no weights of thuml's LSM on {grid.ndim} axes: {error}") from error
    return model


def _converted(state: Mapping[str, Tensor], levels: int) -> dict[str, Tensor]:
    state = dict(state)
    trunk = {"inc.double_conv": "down.0"}
    for l in range(1, levels):
        trunk |= {f"down{l}.maxpool_conv.1.double_conv": f"down.{l}", f"up{l}.conv.double_conv": f"up.{levels - 1 - l}"}
    own = {"lifting.weight": state.pop("fc0.weight"), "lifting.bias": state.pop("fc0.bias")}
    for l in range(levels):
        parts = {k: state.pop(f"process{l + 1}.{k}") for k in ("latent", "weights")}
        for attention in ("encoder_attn", "decoder_attn"):
            weight, bias = (state.pop(f"process{l + 1}.{attention}.{k}") for k in ("weight", "bias"))
            parts |= {f"{attention}.weight": weight.flatten(1), f"{attention}.bias": bias}
        own |= {f"trunk.across.{l}.{k}": v for k, v in _block(parts).items()}
    out = state.pop("outc.conv.weight").flatten(1), state.pop("outc.conv.bias")
    first = state.pop("fc1.weight"), state.pop("fc1.bias")
    own |= {"head.0.weight": first[0] @ out[0], "head.0.bias": first[1] + first[0] @ out[1]}
    own |= {f"head.2.{k}": state.pop(f"fc2.{k}") for k in ("weight", "bias")}
    for name, value in state.items():
        theirs = next((part for part in trunk if name.startswith(f"{part}.")), None)
        if theirs is None:
            raise KeyError(f"{name} is no part of it")
        own[f"trunk.{trunk[theirs]}{name.removeprefix(theirs)}"] = value
    return own


def _block(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys and values are interleaved among the channels of one map, head by head; sines come before cosines."""
    channels, columns = parts["weights"].shape
    key, value = parts["encoder_attn.weight"].view(channels, 2, channels).unbind(1)
    series = parts["weights"].t()
    return {
        "tokens": parts["latent"],
        "series": torch.cat([series[1 : columns // 2], series[columns // 2 :]]),
        "key.weight": key,
        "value.weight": value,
        "value.bias": parts["encoder_attn.bias"].view(channels, 2)[:, 1],
        "query.weight": parts["decoder_attn.weight"],
        "query.bias": parts["decoder_attn.bias"],
    }
