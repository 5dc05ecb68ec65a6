"""Muon and AdamW as one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import AdamW, Muon, Optimizer

from pdeops.errors import InputError


class MuonAdamW(Optimizer):
    """torch's Muon on parameters that are matrices, its AdamW on all others, with one learning rate: Muon's steps are
    scaled to the root mean square of AdamW's (`match_rms_adamw`).

    Raises InputError where parameters are in shards (trainer=fsdp): a matrix is made orthogonal as a whole.
    Source: Jordan et al., Muon (2024); the scale: Liu et al., Muon is Scalable for LLM Training (2025), equation 4.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, weight_decay: float = 1e-4, momentum: float = 0.95
    ) -> None:
        given = list(params)
        if any(isinstance(p, DTensor) for p in given):
            raise InputError(
                "optimizer=muon takes whole matrices; with trainer=fsdp they are in shards: optimizer=adamw"
            )
        parts: list[Optimizer] = []
        if matrices := [p for p in given if p.ndim == 2]:
            scale = {"momentum": momentum, "adjust_lr_fn": "match_rms_adamw"}
            parts.append(Muon(matrices, lr=lr, weight_decay=weight_decay, **scale))  # type: ignore[arg-type]
        if others := [p for p in given if p.ndim != 2]:
            parts.append(AdamW(others, lr=lr, weight_decay=weight_decay))
        groups = [{"params": group["params"]} for part in parts for group in part.param_groups]
        super().__init__(groups, {"lr": lr, "betas": (0.9, 0.999)})  # AdamW's, which a one-cycle schedule moves
        self.parts = parts
        self._share()

    def _share(self) -> None:
        """Let the parts have the groups and the state of the whole, which schedules and checkpoints know."""
        for part, group in zip(self.parts, self.param_groups, strict=True):
            for key, value in part.param_groups[0].items():
                group.setdefault(key, value)
            part.param_groups, part.state = [group], self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss
