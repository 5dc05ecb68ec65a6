"""Snapshots against Duhamel's formula: how far a trajectory is from one of u' = L u + N(u), in units of u."""

from __future__ import annotations

from math import factorial

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.phi import phi


class Duhamel:
    """The mild form of u' = L u + N(u) on equally spaced snapshots, L diagonal:

        d_n = u_n - exp(dt L) u_{n-1} - int_0^dt exp((dt - s) L) N(u(t_{n-1} + s)) ds,    e_n = exp(dt L) e_{n-1} + d_n.

    N along the trajectory is the polynomial through the `nodes` snapshots around an interval (fewer where there are
    fewer; one-sided at the ends), and its integral against the exponential is exact: nothing is asked of L, however
    stiff, and the error is O(dt^nodes) in the smoothness of N(u(t)) alone. No derivative in time is formed.

    linear: the symbol of L; dt: between snapshots; snapshots: all of them, of which the first `known` are exact.
    Source: Hochbruck and Ostermann, Exponential integrators, Acta Numerica 19 (2010), equations 1.5 and 2.5.
    Raises InputError without a known snapshot, or with none to judge.
    """

    def __init__(self, linear: Tensor, dt: float, snapshots: int, known: int = 1, nodes: int = 8) -> None:
        if not 1 <= known < snapshots:
            raise InputError(f"{snapshots} snapshots, {known} of them known: wanted at least one known and one more")
        self.known, self.nodes = known, min(nodes, snapshots)
        self._decay = (dt * linear).exp()
        last = snapshots - self.nodes
        offsets = {i: min(max(i - (self.nodes - 2) // 2, 0), last) - i for i in range(known - 1, snapshots - 1)}
        # intervals that see the same stencil are one pass over all of them
        self._passes = [
            (min(intervals), max(intervals) + 1, offset, _weights(linear, dt, offset, self.nodes))
            for offset in sorted(set(offsets.values()), reverse=True)
            if (intervals := [i for i, o in offsets.items() if o == offset])
        ]

    def __call__(self, u: Tensor, tendencies: Tensor) -> Tensor:
        """e_n of the snapshots that are not known, from u and N(u), both (T, ...) -> (T - known, ...)."""
        return self.accumulate(self.defects(u, tendencies))

    def defects(self, u: Tensor, tendencies: Tensor) -> Tensor:
        """d_n of the snapshots that are not known, from u and N(u), both (T, ...) -> (T - known, ...). Linear in
        both."""
        decay = self._decay.to(u.dtype)
        defects = u[self.known :] - decay * u[self.known - 1 : -1]
        parts = []
        for first, end, offset, weights in self._passes:
            part = defects[first - self.known + 1 : end - self.known + 1]
            for j, weight in enumerate(weights.to(u.dtype)):
                start = first + offset + j
                part = torch.addcmul(part, weight, tendencies[start : start + end - first], value=-1)
            parts.append(part)
        return torch.cat(parts)

    def accumulate(self, defects: Tensor) -> Tensor:
        """e_n: what the defects have grown to, N left aside. To first order in them, and while N has not acted on
        them, the error of the trajectory."""
        decay = self._decay.to(defects.dtype)
        errors = [defects[0]]
        for defect in defects[1:]:
            errors.append(torch.addcmul(defect, decay, errors[-1]))
        return torch.stack(errors)


def _weights(linear: Tensor, dt: float, offset: int, nodes: int) -> Tensor:
    """(nodes, *linear): the integrals over an interval of exp((dt - s) L) against the Lagrange polynomials of the
    snapshots at (offset + j) dt, by their monomials: int_0^dt exp((dt - s) L) (s / dt)^q ds = q! dt phi_{q+1}(dt L)."""
    points = offset + np.arange(nodes)
    others = [np.delete(points, j) for j in range(nodes)]
    # whole numbers, and so exact, where an inverse of the powers of 12 one-sided nodes has lost half of the digits
    monomials = np.stack(
        [np.atleast_1d(np.poly(o))[::-1] / np.prod(p - o) for p, o in zip(points, others, strict=True)]
    )
    moments = torch.stack([factorial(q) * dt * phi(q + 1, dt * linear) for q in range(nodes)])
    return torch.tensordot(torch.from_numpy(monomials).to(moments), moments, dims=1)
