"""Whether somebody must see what is done to tensors."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def watched() -> bool:
    """While compiling, exporting, transforming a function or taking derivatives forwards: values are then not at hand,
    and operators of one's own are in the way."""
    transforming = torch._C._are_functorch_transforms_active()
    return torch.compiler.is_compiling() or forward_ad._current_level >= 0 or transforming
