"""What refinement did: errors on the way, estimates beside true errors, spectra of the error before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pdeops.grid import Grid
from pdeops.metrics.spectral import shell_spectrum
from pdeops.report.canvas import pyplot, save


def refinement_figure(
    histories: Sequence[Sequence[tuple[int, float]]],
    errors: Sequence[tuple[float, float]],
    fields: tuple[Tensor, Tensor, Tensor],
    space: Grid,
    path: str | Path,
    *,
    title: str,
) -> Path:
    """Three panels. histories: of each sample, (iterations, ||E|| / ||u||); errors: (true, estimated) relative
    errors, of all samples before and after; fields (C, T, *space): reference, prediction and refined frames of one
    sample, whose errors' spectra are means over channels and frames."""
    figure, (way, judged, spectra) = pyplot().subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    for i, history in enumerate(histories):
        way.semilogy(*zip(*history, strict=True), ".-", color="C0", alpha=0.7, label="samples" if i == 0 else None)
    way.set(xlabel="iterations", ylabel="||E|| / ||u||", title="on the way")
    way.xaxis.get_major_locator().set_params(integer=True)
    way.legend()
    shown = [(true, estimate) for true, estimate in errors if true > 0 and 0 < estimate < float("inf")]
    if shown:
        low, high = min(map(min, shown)) / 2, max(map(max, shown)) * 2
        judged.loglog([low, high], [low, high], "k-", lw=0.8, label="equal")
        judged.loglog(*zip(*shown, strict=True), "o", color="C1", ms=4, label="samples, before and after")
    judged.set(xlabel="true relative L2 error", ylabel="estimate", title="estimate and truth")
    judged.legend()
    most = 0.0
    truth, before, after = (f.detach().double().cpu() for f in fields)
    for name, field, style in (
        ("reference", truth, "k"),
        ("error before", before - truth, "C3"),
        ("error after", after - truth, "C2"),
    ):
        energy = shell_spectrum(field, space).flatten(0, -2).mean(0)
        k = torch.arange(1, len(energy))
        positive = energy[1:] > 0
        spectra.loglog(k[positive], energy[1:][positive], style, label=name)
        most = max(most, float(energy[1:].max()))
    spectra.set(ylim=(1e-22 * most, 3 * most))  # round-off is not worth a look
    spectra.set(xlabel="wavenumber, in periods per side", ylabel="energy", title="spectra of the first sample")
    spectra.legend()
    for ax in (way, judged, spectra):
        ax.grid(alpha=0.3, which="both")
    figure.suptitle(title)
    return save(figure, Path(path))
