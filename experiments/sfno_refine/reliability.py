"""What is told of a prediction without its truth, beside its true error: python experiments/sfno_refine/reliability.py

Windows of ten known frames and those to predict. Fields of known error (the exact solution; errors that grow from the
last known frame on, of three kinds and three sizes; the last known frame frozen; random fields), and what 32 models,
most of them poor, predict (`outputs`). Prints, for each, the true error and each estimate with its ratio to it (medians
over the windows), then how the estimates rank them (Spearman) and how far the ratios spread from 0.1 % to 10 %; draws
estimates against errors.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from math import nan, pi
from pathlib import Path
from typing import Any

import torch
from outputs import outputs
from scipy.stats import spearmanr
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.errors import InputError
from pdeops.norms import Lp, Sobolev
from pdeops.problems.inputs import Matern, McWilliams
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.ns2d_velocity import NavierStokes2DVelocity
from pdeops.problems.vorticity import biot_savart
from pdeops.refinement.estimate import error_estimate
from pdeops.report.canvas import pyplot, save
from pdeops.solvers.steppers import Stepper

KNOWN = 10
SIZES = (1e-3, 1e-2, 1e-1)
PUBLISHED = Matern(variance=7**1.5, tau=7.0, alpha=2.5)
LOUD = Matern(variance=7**1.5, tau=7.0, alpha=2.5, amplitude=6.0861)  # as the published generator draws them
ACCURATE = {"solver": Stepper(tolerance=1e-8)}
SETTINGS: dict[str, dict[str, Any]] = {
    "forced": ACCURATE | {"start": 28.2, "horizon": 38.0, "frames": 49, "initial": LOUD},
    "mcwilliams": {
        "length": 2 * pi,
        "start": 4.5,
        "horizon": 4.5 + 19 * 0.055,
        "frames": 19,
        "resolution": 128,
        "forcing": None,
        "initial": McWilliams(),
        "solver": Stepper(tolerance=1e-7),
    },
    "small": ACCURATE | {"n": 24, "start": 5.0, "horizon": 8.0, "frames": 30, "initial": PUBLISHED},
}
Estimator = Callable[[NavierStokes2D, Tensor], Tensor]  # of trajectories (B, 1, T, x, y): one number each


def estimate(problem: NavierStokes2D, w: Tensor) -> Tensor:
    """The error estimate; nan where it is refused."""
    found = []
    for one in w.split(1):
        try:
            found.append(float(error_estimate(problem, one[:, :, 0], one, problem.grid, KNOWN).error))
        except InputError:
            found.append(nan)
    return torch.tensor(found, dtype=w.dtype)


def vorticity_residual(problem: NavierStokes2D, w: Tensor) -> Tensor:
    """||r(w)||_{H^-1}, the derivative in time by differences."""
    return Sobolev(problem.grid, -1)(problem.residual(w[:, :, 0], w, problem.grid))[:, 0]


def velocity_residual(problem: NavierStokes2D, w: Tensor) -> Tensor:
    """||r(u)||_{L2} of the velocities of w."""
    basis = Fourier(problem.grid.space)
    u = basis.to_values(biot_savart(basis)[:, None] * basis.to_modes(w))
    keys = ("n", "length", "start", "horizon", "frames", "viscosity", "forcing")
    velocities = NavierStokes2DVelocity(**{key: getattr(problem, key) for key in keys})
    return Lp(problem.grid)(velocities.residual(u[:, :, 0], u, problem.grid)).norm(dim=1)


ESTIMATORS: list[tuple[str, Estimator]] = [
    ("error estimate", estimate),
    ("residual of vorticity, H^-1", vorticity_residual),
    ("residual of velocity, L2", velocity_residual),
]


def fields(problem: NavierStokes2D, w: Tensor) -> dict[str, Tensor]:
    """Trajectories by name, of the exact ones w. Errors start from nothing, as those of a prediction do."""
    t = torch.arange(1 - KNOWN, problem.frames + 2 - KNOWN, dtype=w.dtype).clamp(min=0).view(-1, 1, 1)
    t = t / t.max()

    def scaled(v: Tensor) -> Tensor:
        return v * (_size(w) / _size(v))[..., None, None, None]

    noise = torch.randn(w.shape, dtype=w.dtype, generator=torch.Generator().manual_seed(0))
    basis = Fourier(problem.grid.space)
    k = basis.k2.sqrt() * problem.length / (2 * pi)
    eddies = basis.to_values(basis.to_modes(noise[:, :, :1]) * ((k >= 8) & (k <= 12)))
    errors = {
        "drift": t * w.roll(1, 0),  # of another window
        "small scales": t * eddies,  # wavenumbers 8 to 12
        "oscillation": w * torch.sin(8 * pi * t),  # four periods in time
    }
    found = {"exact": w}
    for kind, error in errors.items():
        found |= {f"{kind}, {part:.1%}": w + part * scaled(error) for part in SIZES}
    unseen = {"frozen": w[:, :, KNOWN - 1 : KNOWN].expand_as(w), "random": scaled(noise)}
    return found | {name: torch.cat([w[:, :, :KNOWN], v[:, :, KNOWN:]], dim=2) for name, v in unseen.items()}


def _size(w: Tensor) -> Tensor:
    """(B, C): the L2 norm of the frames to predict."""
    return w[:, :, KNOWN:].flatten(2).norm(dim=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=SETTINGS, default="forced")
    parser.add_argument("--windows", type=int, default=4, help="trajectories, at least two")
    parser.add_argument("--training", type=int, default=16, help="trajectories for the models; 0: without models")
    parser.add_argument("--figure", type=Path, default=Path(__file__).with_name("reliability.png"))
    options = parser.parse_args()
    problem = NavierStokes2D(**SETTINGS[options.setting])
    solution = problem.solve(problem.sample(range(options.windows), 0))
    print(
        f"{options.windows} windows, solved to {float(solution.error.max()):.0e}; from time {problem.start:g} on,",
        end=" ",
    )
    print(f"{KNOWN} known frames and {problem.frames + 1 - KNOWN} to predict\n", flush=True)
    candidates = {"fields": fields(problem, solution.u)}
    if options.training:
        same = NavierStokes2D(**SETTINGS[options.setting] | {"resolution": None, "solver": Stepper(tolerance=1e-5)})
        training = same.solve(same.sample(range(100, 100 + options.training), 0)).u
        candidates["outputs"] = outputs(problem, solution.u, KNOWN, training)
    everything = {name: u for group in candidates.values() for name, u in group.items()}
    true = {name: (_size(u - solution.u) / _size(solution.u))[:, 0] for name, u in everything.items()}
    told = {label: {name: told_by(problem, u) for name, u in everything.items()} for label, told_by in ESTIMATORS}
    print_table(true, told)
    for label, estimates in told.items():
        print(f"{label}: {summary(true, estimates, candidates)}")
    draw(true, told, options.figure)


def print_table(true: dict[str, Tensor], told: dict[str, dict[str, Tensor]]) -> None:
    print("| field | true error |" + "".join(f" {label} | ratio |" for label in told))
    print("|---|---|" + "---|---|" * len(told))
    for name, error in true.items():
        cells = [name, f"{statistics.median(error.tolist()):.2g}"]
        for estimates in told.values():
            if estimates[name].isnan().any():
                cells += ["refused", ""]
                continue
            ratio = statistics.median((estimates[name] / error).tolist())
            cells += [f"{statistics.median(estimates[name].tolist()):.2g}", f"{ratio:.2g}" if error.min() > 0 else ""]
        print(f"| {' | '.join(cells)} |")
    print()


def summary(true: dict[str, Tensor], estimates: dict[str, Tensor], groups: dict[str, dict[str, Tensor]]) -> str:
    """The rank correlation over windows and all fields, and over windows and outputs; the spread of the ratios where
    the true error is between 0.1 % and 10 %."""
    said = []
    for title, names in [*((name, list(group)) for name, group in groups.items()), ("all", list(true))]:
        x, y = (torch.cat([values[name] for name in names]) for values in (true, estimates))
        x, y = x[~y.isnan()], y[~y.isnan()]
        within = (x > 0.99e-3) & (x < 0.101)
        ratio = (y / x)[within]
        said.append(
            f"{title}: rank correlation {spearmanr(x, y).statistic:.3f}, largest ratio over least "
            f"{float(ratio.max() / ratio.min()):.3g} ({float(ratio.min()):.2g} to {float(ratio.max()):.2g})"
        )
    refused = sum(int(y.isnan().sum()) for y in estimates.values())
    return "; ".join(said) + (f"; {refused} refused" if refused else "")


def draw(true: dict[str, Tensor], told: dict[str, dict[str, Tensor]], path: Path) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(1, len(told), figsize=(5 * len(told), 4.4), squeeze=False, layout="constrained")
    kinds = {"exact": "x", "drift": "o", "small scales": "v", "oscillation": "s", "frozen": "^", "random": "D"}
    for ax, (label, estimates) in zip(axes[0], told.items(), strict=True):
        for kind, marker in (kinds | {"outputs of models": "."}).items():
            names = [
                name for name in true if name.partition(", ")[0] == kind or (marker == "." and not _made(name, kinds))
            ]
            if not names:
                continue
            x, y = (torch.cat([values[name] for name in names]) for values in (true, estimates))
            if kind == "exact":
                ax.axhline(float(y.max()), color="grey", linestyle=":", label="exact: the floor")
            else:
                ax.loglog(x, y, marker, label=kind, markersize=5, alpha=0.7)
        if label == "error estimate":
            ax.plot([1e-5, 1], [1e-5, 1], color="black", linewidth=0.8, label="the error itself")
        ax.set(xlabel="true relative L2 error", title=label)
    axes[0, 0].set_ylabel("told")
    axes[0, 0].legend(loc="upper left", fontsize="small")
    print(f"\n{save(figure, path)}")


def _made(name: str, kinds: dict[str, str]) -> bool:
    return name.partition(", ")[0] in kinds


if __name__ == "__main__":
    main()
