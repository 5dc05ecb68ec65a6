"""Tensors that follow from sizes alone: built once, and part of a graph only where they must be."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any

import torch
import torch.utils._python_dispatch
from torch import Tensor

Build = Callable[[Any, Any, torch.dtype, torch.device], Tensor]


def constant(build: Build) -> Build:
    """Keep what `build(what, sizes, dtype, device)` makes; `what` hashable, `sizes` a tuple of whole numbers.

    A compiled graph of fixed sizes reads it as a constant if an eager call has built it before, an exported program
    always; where sizes are symbols, building it is part of the graph. What is kept is never an inference tensor, which
    could not serve a later training step, nor one of a tracer's.
    """
    kept: dict[Any, Tensor] = {}

    def read(what: Hashable, sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        tracing = torch.compiler.is_compiling()  # in exports as well
        if _symbolic(sizes) if tracing else _faking():
            return build(what, sizes, dtype, device)
        key = (what, *map(int, sizes), dtype, device)
        if key not in kept:
            exporting = torch.compiler.is_exporting()
            if tracing and not exporting:  # a graph with side effects would be compiled again
                return build(what, sizes, dtype, device)
            with torch.inference_mode(False):
                made = (plain(build) if exporting else build)(what, sizes, dtype, device)
            wrapped = torch._is_functional_tensor(made) or torch._C._functorch.is_functorch_wrapped_tensor(made)
            if type(made) is not Tensor or wrapped:
                return made
            kept[key] = made
        return kept[key]

    return read


def plain(build: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let `build` make plain tensors, for NumPy and SciPy, also while a graph is traced or exported: that then holds
    what it made. For whole numbers alone: there is no table of a symbol's size."""

    @wraps(build)
    def made(*args: Any) -> Tensor:
        with torch.utils._python_dispatch._disable_current_modes():
            return build(*args)

    return made


def _faking() -> bool:
    """Whether tensors without values are being made."""
    return torch._C._len_torch_dispatch_stack() > 0 and torch._guards.detect_fake_mode() is not None


def _symbolic(sizes: tuple[int, ...]) -> bool:
    from torch.fx.experimental.symbolic_shapes import has_static_value  # loads sympy: only while tracing

    return not all(has_static_value(size) for size in sizes)
