"""What deviations and bands are worth: coverage, widths, rank correlations with the true error, and a figure.

python experiments/uncertainty/uncertainty.py SWEEP FILE.h5 [--steps N] [--samples N] [--figure FILE]

SWEEP: a folder of runs that differ in their seeds; FILE.h5: their data, of whose test split the first --samples
calibrate and the rest tests. --steps: of rollouts of so many frames.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import torch
from scipy.stats import spearmanr
from torch import Tensor

from pdeops.calibrating import Errors, bound, errors
from pdeops.data.dataset import Fields, Trajectories, Windows
from pdeops.data.file import DataFile
from pdeops.ensembling import ensemble
from pdeops.report.canvas import mesh, pyplot, save
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.bands import Bands, Kind

COVERAGE, DRAWS = 0.9, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument(
        "--estimates", type=int, default=32, help="rollouts whose error is estimated by the equation too"
    )
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    whole, file, steps = ensemble([options.sweep]), DataFile(options.file), options.steps
    window = bound(whole.window, file)
    grid = window.grid_out if steps is None else window.bound.space
    subjects = {"a single model": whole.members[0], f"an ensemble of {len(whole.members)}": whole}
    print(
        f"bands of coverage {COVERAGE}, {options.samples} samples calibrate; widths over the truth's root mean square"
    )
    print("| | relative L2 error | kind | half-width | covered, one calibration | mean of random calibrations |")
    print("|---|---|---|---|---|---|")
    for name, subject in subjects.items():
        found, scale = (errors(subject, Fields(file, file.split[s]), window, steps) for s in ("test", "validation"))
        for kind in ("field", "pointwise"):
            row(
                name,
                found,
                scale,
                Bands(found.errors.shape[1], grid, coverage=COVERAGE, kind=kind, samples=1),
                options.samples,
            )
    assert found.deviation is not None
    correlations(found.errors, found.deviation)
    fields = Fields(file, file.split["test"])
    if steps is not None:
        trajectories(whole, fields, steps, options.estimates)
    costs(whole, fields, steps)
    if options.figure:
        draw(whole, fields, found, scale, options.samples, options.figure)


def row(name: str, found: Errors, scale: Errors, bands: Bands, n: int) -> None:
    """A line of the table: the first n samples calibrate, then n drawn at random, again and again."""
    covered = []
    generator = torch.Generator().manual_seed(0)
    for draw in range(DRAWS + 1):
        order = torch.arange(len(found.errors)) if not draw else torch.randperm(len(found.errors), generator=generator)
        error, deviation = found.errors[order], None if found.deviation is None else found.deviation[order]
        bands.calibrate(error[:n], None if deviation is None else deviation[:n], scale.errors)
        covered.append(float(bands.covered(error[n:], None if deviation is None else deviation[n:]).mean()))
        if not draw:
            width = float(bands.half_width(deviation, bands.grid, bands.channels).mean()) / found.size
    l2 = float(found.errors.square().mean()) ** 0.5 / found.size
    mean = sum(covered[1:]) / DRAWS
    print(f"| {name} | {l2:.4f} | {bands.kind} | {width:.3f} | {covered[0]:.3f} | {mean:.4f} |", flush=True)


def correlations(error: Tensor, deviation: Tensor) -> None:
    e, s = (x.flatten(1).square().mean(1).sqrt() for x in (error, deviation))
    nodes = [rank_correlation(*pair) for pair in zip(error.abs().flatten(1), deviation.flatten(1), strict=True)]
    share = float(s.square().mean() / e.square().mean()) ** 0.5
    print(f"rank correlation of deviation and true error: {rank_correlation(e, s):.2f} of samples' norms, ", end="")
    print(f"{median(nodes):.2f} of the nodes of a sample (median); their root mean squares: {share:.2f} to 1")


def rank_correlation(x: Tensor, y: Tensor) -> float:
    return float(spearmanr(x, y).statistic)


def relative(u: Tensor, v: Tensor) -> Tensor:
    return (u - v).flatten(1).norm(dim=1) / v.flatten(1).norm(dim=1)


def trajectories(whole: Surrogate, fields: Fields, steps: int, n: int) -> None:
    """Error estimates without a truth; and members that follow their own states against a mean that is fed back."""
    batch, window = Trajectories(fields, whole.window).__getitems__(range(n)), whole.window
    assert batch.u is not None
    truth = batch.u[:, :, :steps]
    begin = time.perf_counter()
    found = whole.error_estimate(batch.a, steps)
    seconds = (time.perf_counter() - begin) / n
    true = relative(whole.rollout(batch.a, steps), truth)
    print(
        f"estimates by the equation ({found.method}), {n} samples: rank correlation "
        f"{rank_correlation(found.error, true):.2f}, median ratio to the true error "
        f"{float((found.error / true).median()):.2f}, {seconds:.2f} s a sample"
    )
    a, frames = batch.a, []
    for _ in range(-(-steps // window.n_out)):
        u = whole.predict(a)
        frames.append(window.unstack(u))
        a = window.advance(a, u)
    fed = relative(torch.cat(frames, 2)[:, :, :steps], truth)
    print(f"error of the mean of rollouts {float(true.mean()):.4f}, of the mean fed back {float(fed.mean()):.4f}")


def costs(whole: Surrogate, fields: Fields, steps: int | None) -> None:
    batch = (Windows if steps is None else Trajectories)(fields, whole.window).__getitems__(range(16))

    def seconds(surrogate: Surrogate) -> float:
        times = []
        for _ in range(7):
            begin = time.perf_counter()
            surrogate.predict(batch.a) if steps is None else surrogate.rollout(batch.a, steps)
            times.append((time.perf_counter() - begin) / len(batch.a))
        return min(times)

    one, all_ = seconds(whole.members[0]), seconds(whole)
    print(f"milliseconds a sample (batch of 16): a member {1e3 * one:.2f}, the ensemble {1e3 * all_:.2f}")


def draw(whole: Surrogate, fields: Fields, found: Errors, scale: Errors, n: int, path: Path) -> None:
    """Of the test samples of the median and the largest error: fields, errors, deviations, bands, and a cut."""
    grid, plt = whole.window.grid_out, pyplot()
    bands: dict[Kind, Bands] = {}
    for kind in ("field", "pointwise"):
        bands[kind] = Bands(1, grid, coverage=COVERAGE, kind=kind, samples=n)
        bands[kind].calibrate(*found.part(slice(n)), scale.errors)
    size = found.errors[n:].flatten(1).norm(dim=1)
    picks = [n + int(size.argsort()[len(size) // 2]), n + int(size.argmax())]
    v = fields.targets(picks)
    e, s = found.errors[picks], found.deviation[picks]
    u = v + e
    half = {kind: b.half_width(s, grid, 1) for kind, b in bands.items()}
    figure, axes = plt.subplots(2, 6, figsize=(17, 5), layout="constrained", width_ratios=[1, 1, 1, 1, 1, 1.3])
    titles = ("truth", "prediction", "|error|", "deviation of the members", "half-width, pointwise band")
    for i, label in enumerate(("median error", "largest error")):
        top = float(v[i].max())
        shown = (v[i, 0], u[i, 0], e[i, 0].abs(), s[i, 0], half["pointwise"][i, 0])
        highest = (top, top, *(float(x.max()) for x in shown[2:]))
        for ax, field, title, high in zip(axes[i], shown, titles, highest, strict=False):
            image = mesh(ax, grid, field.numpy(), ("viridis", 0.0, high))
            ax.set(xticks=[], yticks=[], aspect="equal", title=title if i == 0 else "")
            figure.colorbar(image, ax=ax, shrink=0.75)
        axes[i, 0].set_ylabel(label)
        ax, x, cut = axes[i, 5], grid[0].points(), int(e[i, 0].abs().amax(0).argmax())
        axes[i, 0].axhline(grid[1].points()[cut], color="w", linewidth=0.5)
        ax.plot(x, v[i, 0, :, cut], "k", label="truth")
        ax.plot(x, u[i, 0, :, cut], "C1--", label="prediction")
        for kind, colour in (("field", "0.85"), ("pointwise", "0.65")):
            h = half[kind][i, 0, :, cut]
            ax.fill_between(x, u[i, 0, :, cut] - h, u[i, 0, :, cut] + h, color=colour, zorder=0, label=f"{kind} band")
        ax.set(title="cut through the largest error" if i == 0 else "", xlabel="x")
    axes[0, 5].legend(fontsize=7)
    print(save(figure, path))


if __name__ == "__main__":
    main()
