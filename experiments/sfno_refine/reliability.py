"""What is told of a prediction without its truth, beside its true error: python experiments/sfno_refine/reliability.py

Trajectories of `ns2d` (the published generator's amplitude) and fields of known relative L2 error: the exact solution,
errors that grow from the initial state on, of three kinds and three sizes, the initial state frozen, and random fields.
Prints, for each field, the true error and each estimate with its ratio to it (medians over the windows), then how the
estimates rank the fields (Spearman) and how far the ratios spread from 0.1 % to 10 %; draws estimates against errors.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from scipy.stats import spearmanr
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.norms import Lp, Sobolev, relative_error
from pdeops.problems.inputs import Matern
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.ns2d_velocity import NavierStokes2DVelocity
from pdeops.problems.vorticity import biot_savart
from pdeops.report.canvas import pyplot, save
from pdeops.solvers.steppers import Stepper

SIZES = (1e-3, 1e-2, 1e-1)
Estimator = Callable[[NavierStokes2D, Tensor], Tensor]  # of trajectories (B, 1, T, x, y): one number each


def vorticity_residual(problem: NavierStokes2D, w: Tensor) -> Tensor:
    """||r(w)||_{H^-1}, the derivative in time by differences."""
    return Sobolev(problem.grid, -1)(problem.residual(w[:, :, 0], w, problem.grid))[:, 0]


def velocity_residual(problem: NavierStokes2D, w: Tensor) -> Tensor:
    """||r(u)||_{L2} of the velocities of w."""
    basis = Fourier(problem.grid.space)
    u = basis.to_values(biot_savart(basis)[:, None] * basis.to_modes(w))
    keys = ("n", "start", "horizon", "frames", "viscosity")
    velocities = NavierStokes2DVelocity(**{key: getattr(problem, key) for key in keys})
    return Lp(problem.grid)(velocities.residual(u[:, :, 0], u, problem.grid)).norm(dim=1)


ESTIMATORS: list[tuple[str, Estimator]] = [
    ("residual of vorticity, H^-1", vorticity_residual),
    ("residual of velocity, L2", velocity_residual),
]


def fields(problem: NavierStokes2D, w: Tensor) -> dict[str, Tensor]:
    """Trajectories by name, of the exact ones w. Errors start from nothing, as those of a prediction do."""
    size, t = Lp(problem.grid), torch.linspace(0, 1, problem.frames + 1, dtype=w.dtype).view(-1, 1, 1)

    def scaled(v: Tensor) -> Tensor:
        return v * (size(w) / size(v))[..., None, None, None]

    noise = torch.randn(w.shape, dtype=w.dtype, generator=torch.Generator().manual_seed(0))
    basis = Fourier(problem.grid.space)
    k = basis.k2.sqrt() / (2 * torch.pi)
    eddies = basis.to_values(basis.to_modes(noise[:, :, :1]) * ((k >= 8) & (k <= 12)))
    errors = {
        "drift": t * w.roll(1, 0),  # of another window
        "small scales": t * eddies,  # wavenumbers 8 to 12
        "oscillation": w * torch.sin(8 * torch.pi * t),  # four periods in time
    }
    found = {"exact": w}
    for kind, error in errors.items():
        found |= {f"{kind}, {part:.1%}": w + part * scaled(error) for part in SIZES}
    return found | {"frozen": w[:, :, :1].expand_as(w), "random": scaled(noise)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=4, help="trajectories, at least two")
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--start", type=float, default=30.0)
    parser.add_argument("--length", type=float, default=8.0, help="of the windows, in time")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--amplitude", type=float, default=6.0861)
    parser.add_argument("--figure", type=Path, default=Path(__file__).with_name("reliability.png"))
    options = parser.parse_args()
    problem = NavierStokes2D(
        n=options.n,
        start=options.start,
        horizon=options.start + options.length,
        frames=options.frames,
        initial=Matern(variance=7**1.5, tau=7.0, alpha=2.5, amplitude=options.amplitude),
        solver=Stepper(tolerance=1e-8),
    )
    solution = problem.solve(problem.sample(range(options.windows), 0))
    print(f"{options.windows} windows, solved to {float(solution.error.max()):.0e}, frames", end=" ")
    print(f"{options.length / options.frames:g} apart from t = {options.start:g} on\n")
    candidates = fields(problem, solution.u)
    true = {name: relative_error(u, solution.u, Lp(problem.grid))[:, 0] for name, u in candidates.items()}
    told = {label: {name: estimate(problem, u) for name, u in candidates.items()} for label, estimate in ESTIMATORS}
    print_table(true, told)
    for label, estimates in told.items():
        print(f"{label}: {summary(true, estimates)}")
    draw(true, told, options.figure)


def print_table(true: dict[str, Tensor], told: dict[str, dict[str, Tensor]]) -> None:
    print("| field | true error |" + "".join(f" {label} | ratio |" for label in told))
    print("|---|---|" + "---|---|" * len(told))
    for name, error in true.items():
        cells = [name, f"{statistics.median(error.tolist()):.2g}"]
        for estimates in told.values():
            ratio = statistics.median((estimates[name] / error).tolist())
            cells += [f"{statistics.median(estimates[name].tolist()):.2g}", f"{ratio:.2g}" if error.min() > 0 else ""]
        print(f"| {' | '.join(cells)} |")
    print()


def summary(true: dict[str, Tensor], estimates: dict[str, Tensor]) -> str:
    """The rank correlation over all fields and windows; the spread of the ratios, of one kind of error and of all."""
    rank = spearmanr(torch.cat([*true.values()]), torch.cat([estimates[name] for name in true])).statistic
    ratios: dict[str, list[Tensor]] = {}
    for name in true:
        kind, _, size = name.partition(", ")
        if size:
            ratios.setdefault(kind, []).append(estimates[name] / true[name])
    spreads = {kind: torch.cat(found) for kind, found in ratios.items()}
    spreads["all"] = torch.cat([*spreads.values()])
    within = ", ".join(f"{kind} {float(found.max() / found.min()):.3g}" for kind, found in spreads.items())
    return f"rank correlation {rank:.3f}; largest ratio over least from 0.1 % to 10 %: {within}"


def draw(true: dict[str, Tensor], told: dict[str, dict[str, Tensor]], path: Path) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(1, len(told), figsize=(5 * len(told), 4.4), squeeze=False, layout="constrained")
    kinds = dict.fromkeys(name.partition(", ")[0] for name in true)
    for ax, (label, estimates) in zip(axes[0], told.items(), strict=True):
        for kind, marker in zip(kinds, "xovs^D", strict=True):
            names = [name for name in true if name.partition(", ")[0] == kind]
            x, y = (torch.cat([values[name] for name in names]) for values in (true, estimates))
            if kind == "exact":
                ax.axhline(float(y.max()), color="grey", linestyle=":", label="exact: the floor")
            else:
                ax.loglog(x, y, marker, label=kind, markersize=5, alpha=0.7)
        ax.set(xlabel="true relative L2 error", title=label)
    axes[0, 0].set_ylabel("told")
    axes[0, 0].legend(loc="upper left", fontsize="small")
    print(f"\n{save(figure, path)}")


if __name__ == "__main__":
    main()
