"""README's picture: a surrogate's prediction of a flow that it has not seen, its error bar, and the prediction refined.

python experiments/first_screen/picture.py SOURCE [--seed 1 --out picture.png]

SOURCE: what pdeops.load takes, a surrogate of a scalar evolution on a torus in two dimensions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import pdeops
from pdeops.grid import Grid
from pdeops.metrics.spectral import shell_spectrum
from pdeops.report.canvas import mesh, pyplot, save

COLUMNS = 4
DARK, PREDICTED, REFINED = "k", "C3", "C2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--seed", type=int, default=1, help="of the initial state; training took data.seed=0")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("picture.png"))
    options = parser.parse_args()

    surrogate = pdeops.load(options.source)
    problem, window = surrogate.problem, surrogate.window
    inputs = problem.sample([0], options.seed)
    whole = problem.solve(inputs).u  # (1, 1, T, x, y)
    a = window.make_input(whole[:, :, : window.n_in * window.stride : window.stride], inputs[:, 1:])
    found = surrogate.refine(a, tol=1e-6)
    first = (window.n_in - 1) * window.stride
    frames = {
        "truth": whole[0, 0, first + window.stride : first + window.stride * (window.n_out + 1) : window.stride],
        "prediction": window.unstack(surrogate.predict(a))[0, 0].double(),
        "refined": window.unstack(found.u)[0, 0],
    }
    told = surrogate.error_estimate(a)
    times = window.time_step * torch.arange(1, window.n_out + 1)
    for name in ("prediction", "refined"):
        print(f"{name}: relative L2 {float((frames[name] - frames['truth']).norm() / frames['truth'].norm()):.2g}")
    print(f"estimated without the truth: {float(told.error[0]):.2g}; {int(found.iterations[0])} products to refine")
    draw(frames, times, problem.grid.space, float(told.error[0]), options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1024:.0f} KiB")


def draw(frames: dict[str, Tensor], times: Tensor, space: Grid, told: float, path: Path) -> None:
    """Truth, prediction and error at a few times; errors over time; spectra of the last frame. frames (T, x, y)."""
    truth = frames["truth"]
    errors = {name: frames[name] - truth for name in ("prediction", "refined")}
    figure = pyplot().figure(figsize=(11.4, 4.5), layout="constrained")
    fields, plots = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    axes = fields.subplots(3, COLUMNS)
    bound, worst = float(truth.abs().max()), float(errors["prediction"].abs().max())
    rows = (
        ("truth", truth, bound),
        ("prediction", frames["prediction"], bound),
        ("error", errors["prediction"], worst),
    )
    shown = torch.linspace(0, len(times) - 1, COLUMNS).round().int().tolist()
    for ax, i in zip(axes[0], shown, strict=True):
        ax.set_title(f"t = {float(times[i]):.1f}", fontsize=10)
    for (name, values, top), row in zip(rows, axes, strict=True):
        how = ("PuOr_r" if name == "error" else "RdBu_r", -top, top)
        for ax, i in zip(row, shown, strict=True):
            image = mesh(ax, space, values[i].numpy(), how)
            ax.set(xticks=[], yticks=[], aspect="equal")
        row[0].set_ylabel(name, fontsize=11)
        fields.colorbar(image, ax=row, shrink=0.85, pad=0.02, aspect=12)

    over_time, spectra = plots.subplots(2, 1)
    size = truth.flatten(1).norm(dim=1)
    for name, colour in (("prediction", PREDICTED), ("refined", REFINED)):
        over_time.semilogy(times, errors[name].flatten(1).norm(dim=1) / size, f"{colour}.-", label=name)
    over_time.axhline(told, color=PREDICTED, ls="--", lw=1, label="estimate, without the truth")
    over_time.set(xlabel="t", ylabel="relative L2 error")
    over_time.legend(fontsize=8, loc="center right")
    energy = {"truth": truth, **errors}
    for (name, values), colour in zip(energy.items(), (DARK, PREDICTED, REFINED), strict=True):
        e = shell_spectrum(values[-1:].unsqueeze(0), space).flatten()[1:]
        label = name if name == "truth" else f"error, {name}"
        spectra.loglog(range(1, len(e) + 1), e, colour, label=label)
    spectra.set(xlabel="wavenumber", ylabel="energy", ylim=(1e-26 * bound**2, None))
    spectra.legend(fontsize=8)
    for ax in (over_time, spectra):
        ax.grid(alpha=0.3)
    save(figure, path)


if __name__ == "__main__":
    main()
