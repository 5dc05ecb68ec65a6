"""Fields as people give and get them: NumPy arrays or tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError


def real(name: str, a: Tensor | np.ndarray) -> Tensor:
    """A tensor of what users give. Raises InputError unless it is a tensor or an array of real numbers."""
    if isinstance(a, np.ndarray) and a.dtype.kind in "biuf":
        a = torch.from_numpy(np.array(a, dtype=np.float64 if a.dtype.kind == "f" else np.float32))
    if not isinstance(a, Tensor) or a.is_complex():
        kind = getattr(a, "dtype", type(a).__name__)
        raise InputError(f"got {name} of {kind}; wanted a tensor or an array of real numbers")
    return a


def like(a: Tensor | np.ndarray, u: Any) -> Any:
    """Tensors, those in a tuple too, as arrays if `a` is one."""
    if isinstance(u, tuple):
        values = [like(a, x) for x in u]
        return type(u)(*values) if hasattr(u, "_fields") else tuple(values)
    return u.cpu().numpy() if isinstance(u, Tensor) and isinstance(a, np.ndarray) else u
