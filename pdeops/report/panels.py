"""Curves below the pictures: spectra, energy budgets, and how well each sample is solved."""

from __future__ import annotations

from math import ceil, log10
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.data.file import DataFile
from pdeops.data.schema import Field
from pdeops.metrics.spectral import nyquist, shell_spectrum
from pdeops.report.budget import Budget
from pdeops.report.canvas import literal, pyplot
from pdeops.report.selection import Selection

CONSTANT = 1e-5  # an energy that changes by less, relative to itself, is called constant: the rest is round-off
RANGE = 1e-16  # of a spectrum, below its largest shell: beyond it lies the round-off of stored values


def spectra(chosen: Selection, field: Field) -> dict[str, Tensor]:
    """Shell spectra of the first, the middle and the last frame, or of a field at rest, averaged over samples.

    Raises InputError if an axis of space is not periodic.
    """
    frames: list[int | None] = [*chosen.frames(3)] if chosen.moving else [None]
    found = {}
    for frame in frames:
        label = field.name if frame is None else f"t = {float(chosen.times[frame]):.3g}"
        each = [
            shell_spectrum(torch.from_numpy(chosen.values(field, i, frame)).double(), chosen.space)
            for i in chosen.averaged
        ]
        found[label] = torch.stack(each).mean(0)
    return found


def draw_spectra(ax: Any, chosen: Selection, field: Field, curves: dict[str, Tensor]) -> None:
    """E_k over the shells k >= 1, whose unit is the first harmonic of the longest side."""
    for i, (label, e) in enumerate(curves.items()):
        k = np.arange(1, len(e))
        shade = pyplot().cm.viridis(0.45 * i)
        ax.loglog(k, e[1:].clamp_min(1e-300), ".-", ms=3, lw=1.2, color=shade, label=literal(label))
    limit = nyquist(chosen.space)
    ax.axvline(limit, color="0.5", ls=":", lw=1)
    ax.text(limit, 0.96, "Nyquist ", transform=ax.get_xaxis_transform(), ha="right", va="top", fontsize=7, color="0.4")
    seen = torch.cat([e[1 : ceil(limit)] for e in curves.values()])  # the corners beyond may be empty
    seen = seen[(seen > 0) & seen.isfinite()]
    if len(seen):
        top = float(seen.max())
        ax.set_ylim(max(RANGE * top, 0.3 * float(seen.min())), 20 * top)
    else:
        ax.set_ylim(1e-16, 1)  # constant fields: there is no curve
    count = len(chosen.averaged)
    ax.set_title(literal(f"spectrum of {field.name}, {f'mean of {count} samples' if count > 1 else 'one sample'}"))
    ax.set(xlabel="shell k (waves per side)", ylabel="E(k), with ΣE = ½⟨u²⟩")
    _tidy(ax, below=True)


def draw_budget(ax: Any, budget: Budget, name: str, times: Tensor) -> None:
    """Rate, parts and remainder over time; on a scale linear about zero and logarithmic beyond if the first
    frames dwarf the others."""
    channel = budget.names.index(name)
    lines = (
        (budget.rate, "d/dt ½⟨u²⟩", {"color": "k", "lw": 2.5, "alpha": 0.35}),
        (budget.linear, "⟨u, L u⟩", {"color": "C0"}),
        (budget.nonlinear, "⟨u, N(u)⟩", {"color": "C1"}),
        (budget.remainder, "remainder", {"color": "C3", "ls": "--"}),
    )
    for values, label, style in lines:
        ax.plot(times, values[channel], label=label, **{"lw": 1.3, **style})
    scale, energy = budget.scale[channel], budget.energy[channel]
    largest, typical = float(scale.max()), float(scale.median())
    change = float(energy.max() - energy.min()) / max(float(energy.max()), 1e-300)
    if change < CONSTANT and largest * float(times[-1] - times[0]) < 1e-2 * float(energy.max()):
        second = f"½⟨u²⟩ is constant to {change:.0e}"
        ax.set_ylim(-1e-2 * float(energy.max()), 1e-2 * float(energy.max()))
    else:
        imbalance = budget.imbalance[channel]
        second = (
            f"remainder / largest term: {float(imbalance.median()):.1g} (median), {float(imbalance.max()):.1g} (most)"
        )
        if largest > 20 * typical > 0:
            ax.set_yscale("symlog", linthresh=10 ** ceil(log10(typical)))
    if ax.get_yscale() == "linear":
        ax.yaxis.set_major_formatter("{x:.2g}")  # without a common factor, which would stand in the title's way
    ax.set_title(literal(f"budget of ½⟨{name}²⟩") + f"\n{second}")
    ax.set_xlabel("time")
    _tidy(ax, below=True)


def accuracy(file: DataFile) -> dict[str, np.ndarray]:
    """What the file records of each sample: the residual of its solution, and the solver's own error estimate."""
    recorded = {"residual": "pdeops/residual", "solver error": "pdeops/error"}
    found = {name: file.handle[path][:] for name, path in recorded.items() if path in file.handle}
    if len(found) == 2 and np.array_equal(found["residual"], found["solver error"]):  # of a steady problem
        del found["solver error"]
    return found


def draw_accuracy(ax: Any, values: dict[str, np.ndarray], shown: tuple[int, ...]) -> None:
    """One point per sample; the shown ones are ringed."""
    for i, (name, v) in enumerate(values.items()):
        ax.semilogy(np.arange(len(v)), v, ".", color=f"C{i}", ms=5, label=name)
        ax.semilogy(shown, v[list(shown)], "o", color=f"C{i}", ms=8, mfc="none")
    ax.set_title("each sample as solved (ringed: shown)")
    ax.set_xlabel("sample")
    ax.xaxis.get_major_locator().set_params(integer=True)
    _tidy(ax)


def _tidy(ax: Any, *, below: bool = False) -> None:
    """Small letters and a faint grid; the legend where it hides least, or in a line below the axis."""
    ax.title.set_fontsize(9)
    ax.xaxis.label.set_fontsize(8)
    ax.yaxis.label.set_fontsize(8)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.25)
    line = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 4, "handlelength": 1.5, "frameon": False}
    ax.legend(fontsize=7, columnspacing=1, **(line if below else {}))
