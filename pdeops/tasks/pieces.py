"""The pieces of a model that come one after the other: what is sharded, and what is recomputed, at a time."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def pieces(model: nn.Module) -> Iterator[nn.Module]:
    """The outermost members of its lists of modules (`blocks`, say) that are called and have parameters."""
    for child in model.children():
        members = child if isinstance(child, nn.ModuleList) else None
        if members is None:
            yield from pieces(child)
        else:
            yield from (piece for member in members for piece in _called(member))


def _called(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        for member in module.children():
            yield from _called(member)
    elif any(True for _ in module.parameters()):
        yield module
