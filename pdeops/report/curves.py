"""Curves of evaluations: errors over samples and time, spectra, training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import pi, sqrt
from typing import Any

import numpy as np
import torch

from pdeops.grid import Grid
from pdeops.metrics.spectral import default_edges, nyquist
from pdeops.report.canvas import literal
from pdeops.report.embedded import ERROR, INK, PREDICTION, SERIES, TRUTH
from pdeops.report.evaluation import Evaluation

VALID = 0.1  # the error that ends the valid time
FLOOR = 1e-16  # of a spectrum, relative to its largest shell: below is round-off
BANDS = ("low", "mid", "high")
Curve = Mapping[int, float]


def draw_errors(plt: Any, found: Evaluation) -> Any:
    """How the headline's error is spread over the samples: a histogram, and the share of samples below an error."""
    errors = found.per_sample(found.headline).numpy()
    errors = np.sort(errors[np.isfinite(errors)])
    figure, (counts, shares) = plt.subplots(1, 2, figsize=(9.5, 2.9), layout="constrained")
    wide = len(errors) > 1 and errors[0] > 0 and errors[-1] > 100 * errors[0]
    bins = max(5, min(20, round(2 * sqrt(len(errors)))))
    counts.hist(
        errors, bins=np.geomspace(errors[0], errors[-1], bins + 1) if wide else bins, color=SERIES[0], alpha=0.8
    )
    counts.set(ylabel="samples", xlabel="relative L2 error")
    counts.yaxis.get_major_locator().set_params(integer=True)
    shares.step(errors, np.arange(1, len(errors) + 1) / max(1, len(errors)), where="post", color=SERIES[0])
    shares.set(ylim=(0, 1.05), ylabel="share of samples below", xlabel="relative L2 error")
    for level, label in ((0.5, "median"), (0.9, "90 %")) if len(errors) else ():
        x = float(np.quantile(errors, level))
        shares.plot([x, x], [0, level], ":", color=INK, lw=1)
        shares.annotate(f" {label}: {x:.3g}", (x, 0.03), fontsize=8)
    for ax in (counts, shares):
        if wide:
            ax.set_xscale("log")
        ax.grid(True)
    return figure


def draw_rollouts(plt: Any, found: Evaluation) -> Any:
    """Relative L2 errors over time: each sample, the middle 80 %, the median."""
    t, errors = found.times.numpy(), found.curve.numpy()
    figure, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
    ax.plot(t, errors.T, color=SERIES[0], lw=0.6, alpha=min(0.5, 10 / len(errors)))
    low, middle, high = np.nanquantile(errors, (0.1, 0.5, 0.9), axis=0)
    ax.fill_between(t, low, high, color=SERIES[0], alpha=0.2, lw=0, label="10 % to 90 % of samples")
    ax.plot(t, middle, ".-", color=SERIES[0], label="median")
    finite = errors[np.isfinite(errors) & (errors > 0)]
    if finite.size and finite.max() > VALID / 4:
        ax.axhline(VALID, color=INK, ls=":", lw=1, label=f"{VALID:g}, where the valid time ends")
    ax.set(yscale="log" if finite.size else "linear", xlabel="time after the input", ylabel="relative L2 error")
    ax.margins(x=0.01)
    ax.grid(True, which="both")
    ax.legend()
    return figure


def draw_spectra(plt: Any, found: Evaluation) -> Any:
    """Truth, prediction and error by shell, frame by frame, the panel's bands marked."""
    space, names = found.window.bound.space, tuple(found.window.targets)[:3]
    columns = [(label, c) for c in range(len(names)) for label in found.spectra]
    size = (min(10.5, 5.2 * len(columns)) if len(columns) > 1 else 6.5, 3.3)
    figure, axes = plt.subplots(1, len(columns), figsize=size, squeeze=False, layout="constrained")
    for ax, (label, c) in zip(axes[0], columns, strict=True):
        energies = found.spectra[label][:, c]
        lines = (("truth", TRUTH, "-"), ("prediction", PREDICTION, "--"), ("error", ERROR, "-"))
        for energy, (name, colour, style) in zip(energies, lines, strict=True):
            shell_curve(ax, energy, label=name, color=colour, ls=style)
        mark_bands(ax, space, energies)
        ax.set_title(literal(", ".join(part for part in (names[c], label) if part)))
    axes[0, 0].set_ylabel("half the mean square in a shell")
    axes[0, 0].legend(loc="lower left")
    return figure


def shell_curve(ax: Any, energy: torch.Tensor, **how: Any) -> None:
    """Of the shells k >= 1."""
    k = torch.arange(1, len(energy))
    positive = energy[1:] > 0
    ax.loglog(k[positive], energy[1:][positive], **how)


def mark_bands(ax: Any, space: Grid, energies: torch.Tensor) -> None:
    """Shade the middle band, name all three, and end the axes where round-off and the lattice's corners begin.

    energies: (lines, K), of all that is drawn, the reference first."""
    longest = max(axis.length for axis in space)
    edges = [edge * longest / (2 * pi) for edge in default_edges(space)]
    last = max(2.0, nyquist(space))
    shells = energies[:, 1 : int(last) + 1]
    shells = shells[(shells > 0) & shells.isfinite()]
    if len(shells):
        top = float(shells.max())
        ax.set_ylim(max(FLOOR * top, 0.3 * float(shells.min())), 8 * top)
    ax.set_xlim(0.9, last * 1.05)
    octaves = [2**i for i in range(12) if 2**i <= last]
    ax.set_xticks(octaves, labels=[str(k) for k in octaves])
    ax.minorticks_off()
    ax.axvspan(*edges, color=INK, alpha=0.05, lw=0)
    how = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "top", "fontsize": 8, "alpha": 0.7}
    for name, (left, right) in zip(BANDS, pairwise([1.0, *edges, last]), strict=True):
        if right > left:
            ax.text(sqrt(left * right), 0.97, name, **how)
    ax.set_xlabel("waves per longest side")
    ax.grid(True, which="major")


def draw_training(plt: Any, curves: Mapping[str, Curve], rate: Curve) -> Any:
    """Losses and validation errors by epoch, and the learning rate beside them, if it was kept."""
    figure, axes = plt.subplots(
        1, 1 + bool(rate), figsize=(9.5 if rate else 6.5, 3.0), width_ratios=[2, 1][: 1 + bool(rate)],
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for colour, (name, curve) in zip(SERIES, curves.items(), strict=False):
        epochs = np.array(list(curve)) + 1
        axes[0, 0].semilogy(epochs, list(curve.values()), ".-", color=colour, ms=4, label=name)
    axes[0, 0].legend()
    if rate:
        axes[0, 1].plot(np.array(list(rate)) + 1, list(rate.values()), ".-", color=SERIES[0], ms=4)
        axes[0, 1].set_title("learning rate, at the end of an epoch")
        axes[0, 1].set_ylim(bottom=0)
    for ax in axes[0]:
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(True)
    return figure
