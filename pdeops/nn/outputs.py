"""Several outputs of one operator by products of features and functions."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError

FEW = 64  # places of a sample's own, for which BLAS takes each product alone, eleven times as long as their sums
Outputs = Literal["independent", "split_both", "split_branch", "split_trunk"]


class Shares(NamedTuple):
    """members: networks of each kind; branch, trunk: into how many parts their values are split, each output having one
    of its own, or all the same one; terms: of an output's sum."""

    members: int
    branch: int
    trunk: int
    terms: int

    @property
    def features(self) -> int:
        """What a branch gives."""
        return self.branch * self.terms // self.members

    @property
    def functions(self) -> int:
        """What a trunk gives."""
        return self.trunk * self.terms // self.members


def shares(outputs: Outputs, features: int, n: int) -> Shares:
    """How n outputs share `features`.

    independent: networks of their own, with as many features each; split_both: of one branch and one trunk with as many
    features, each output has its part; split_branch: the functions are common, each output has as many features of one
    branch for itself; split_trunk: the features are common, each output has as many functions of one trunk for itself.
    Source: Lu et al., CMAME 393 (2022), section 3.1.6. Raises InputError on another name, on no features, and on
    features that n outputs cannot split.
    """
    if outputs not in get_args(Outputs):
        raise InputError(f"model.outputs={outputs!r}; wanted one of {get_args(Outputs)}")
    if features < 1:
        raise InputError(f"model.features={features}: wanted at least 1")
    match outputs:
        case "independent":
            return Shares(n, n, n, features)
        case "split_branch":
            return Shares(1, n, 1, features)
        case "split_trunk":
            return Shares(1, 1, n, features)
    if features % n:
        raise InputError(
            f"model.features={features} are not {n} outputs' parts (model.outputs=split_both): take a multiple of {n}"
        )
    return Shares(1, n, n, features // n)


def combined(b: Tensor, t: Tensor) -> Tensor:
    """u_o(y_n) = sum_k b_ok t_ok(y_n): b (B, o, k) and t (o, N, k), or (B, o, N, k) where each sample has places of its
    own, o being the number of outputs, or 1 on a side that is common to all -> (B, o, N)."""
    if len(t) == 1 and t.ndim == 3:  # the functions common to all: one product, without einsum's way to it
        return b @ t.squeeze(0).mT
    if t.ndim == 4 and t.shape[2] < FEW:
        return (b.unsqueeze(2) * t).sum(-1)
    return torch.einsum("bok,bonk->bon", b, t if t.ndim == 4 else t.unsqueeze(0))
