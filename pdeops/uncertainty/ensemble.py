"""Several trained models as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.normalizer import Normalizer


class Part(NamedTuple):
    """A trained model between its normalisers."""

    model: nn.Module
    normalize_in: Normalizer
    normalize_out: Normalizer


class Ensemble(nn.Module):
    """u = (1/K) sum_k N_k^-1(model_k(M_k(a))), M_k and N_k the normalisers of the K members: fields in physical units.

    A model like others, `model(a, out=None)`, so that a surrogate of it is saved, exported and served as any is. Its
    members run one after the other. They may differ in everything but their grids, channels and way to other lattices.
    Source: Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017, without adversarial training: members differ in their
    initial weights and the order of samples. Raises InputError on fewer than two members, and where they do not fit.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if len(members) < 2:
            raise InputError(f"an ensemble of {len(members)}: wanted two members or more")
        first: Any = members[0]
        for name in ("in_channels", "out_channels", "grid_in", "grid_out", "resolution", "period"):
            given = [getattr(member, name, None) for member in members]
            if any(value != given[0] for value in given):
                raise InputError(f"members of an ensemble differ in their {name}: {', '.join(map(str, given))}")
            if given[0] is not None:
                setattr(self, name, given[0])
        self.models = nn.ModuleList(members)
        self.normalize_in = nn.ModuleList(Normalizer.identity(first.in_channels) for _ in members)
        self.normalize_out = nn.ModuleList(Normalizer.identity(first.out_channels) for _ in members)

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Self:
        """The ensemble of trained models, which it shares."""
        ensemble = cls([part.model for part in parts])
        ensemble.normalize_in = nn.ModuleList(part.normalize_in for part in parts)
        ensemble.normalize_out = nn.ModuleList(part.normalize_out for part in parts)
        return ensemble

    @property
    def members(self) -> list[nn.Module]:
        return list(self.models)

    @property
    def parts(self) -> list[Part]:
        return [Part(*part) for part in zip(self.models, self.normalize_in, self.normalize_out, strict=True)]  # type: ignore[arg-type]

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, C_in, *grid_in) -> (B, C_out, *grid_out or *out): the mean."""
        each = [part.normalize_out.inverse(part.model(part.normalize_in(a), out)) for part in self.parts]
        return mean_and_deviation(each)[0]

    def told(self, n: Sequence[int]) -> str | None:
        """What a user should know of inputs of n nodes: what the first member says, whose way is that of all."""
        told = getattr(self.models[0], "told", None)
        return None if told is None else told(n)


def mean_and_deviation(fields: Iterable[Tensor]) -> tuple[Tensor, Tensor | None]:
    """The mean of K fields, and their sample deviation (sum_k (u_k - mean)^2 / (K - 1))^(1/2); None of one field."""
    each = list(fields)
    if len(each) == 1:
        return each[0], None
    stacked = torch.stack(each)
    return stacked.mean(0), stacked.std(0)
