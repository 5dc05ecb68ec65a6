"""A prediction beside the truth: relative errors and spectra."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import torch

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.metrics.spectral import band_energy, nyquist, shell_edges
from pdeops.norms import Lp, relative_error


def comparison(pair: np.ndarray, space: Grid) -> dict[str, Any]:
    """Relative L2 errors (..., C) of a prediction beside the truth, pair (2, ..., C, *space); spectra (..., C, K) of
    both: energies of shells of width 2 pi / L, L the longest side, about `wavenumbers` (K), in radians per unit length.

    Raises InputError on other shapes, and on values that are not finite.
    """
    if pair.ndim < space.ndim + 2 or len(pair) != 2 or pair.shape[-space.ndim :] != space.shape:
        axes = ", ".join(f"{axis.name}: {axis.n}" for axis in space)
        raise InputError(f"a pair of shape {pair.shape}; wanted (2, ..., channel, {axes})")
    if not np.isfinite(pair).all():
        raise InputError("the pair holds values that are not finite")
    u, v = torch.from_numpy(np.array(pair, dtype=np.float64))
    shells = int(nyquist(space))  # those above hold only corners of the lattice's box of modes
    spectra = [band_energy(x, space, shell_edges(space))[..., 1 : shells + 1] / 2 for x in (u, v)]
    unit = 2 * pi / max(axis.length for axis in space)
    return {
        "relative_l2": relative_error(u, v, Lp(space)).tolist(),
        "wavenumbers": [k * unit for k in range(1, shells + 1)],
        "prediction": spectra[0].tolist(),
        "truth": spectra[1].tolist(),
    }
