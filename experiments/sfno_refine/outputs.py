"""What 32 models, most of them poor, predict of given windows: nets trained for seconds, simple rules, and other
equations, lattices and steps than the true ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier, resample
from pdeops.grid import Grid
from pdeops.models.fno import FNO
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.vorticity import Diagonal
from pdeops.solvers.steppers import Stepper


@dataclass(frozen=True)
class Net:
    """An FNO from the known frames to the increments of the next `frames`, fed back where that is not all of them;
    trained for `steps` steps of Adam on windows of half of the nodes."""

    width: int
    modes: int
    frames: int
    steps: int
    seed: int = 0
    depth: int = 3

    def __str__(self) -> str:
        return f"FNO width {self.width}, {self.modes} modes, {self.frames} frames, {self.steps} steps"


NETS = [
    *(Net(8, 8, 40, steps) for steps in (0, 20, 60, 200)),
    *(Net(16, 8, 40, steps, seed=1) for steps in (100, 400)),
    Net(24, 12, 40, 300, seed=2),
    *(Net(8, 8, 8, steps, seed=3) for steps in (50, 200)),
    *(Net(16, 12, 8, steps, seed=4) for steps in (100, 400, 800)),
    Net(24, 12, 4, 600, seed=5),
]


def outputs(problem: NavierStokes2D, w: Tensor, known: int, training: Tensor) -> dict[str, Tensor]:
    """Whole trajectories by the models' names, from the first `known` frames of the true ones w (B, 1, T, x, y).

    training: other trajectories of the same kind (N, 1, T, x, y)."""
    last, ahead = w[:, :, known - 1 : known], w.shape[2] - known
    t = torch.arange(1, ahead + 1, dtype=w.dtype).view(-1, 1, 1)
    step = last - w[:, :, known - 2 : known - 1]
    found = {
        "persistence": last.expand(-1, -1, ahead, -1, -1),
        "linear extrapolation, fading": last + step * 5 * (1 - torch.exp(-t / 5)),
        "mean of the training windows": training[:, :, known:].mean(0, keepdim=True).expand(len(w), -1, -1, -1, -1),
    }
    found |= {f"truth cut at wavenumber {k}": _cut(w[:, :, known:], problem.grid.space, k) for k in (3, 4, 6, 9)}
    for name, changes in _equations(problem).items():
        found[name] = _solved(problem, last[:, :, 0], ahead, **changes)
    for n in (problem.n // 4, 3 * problem.n // 8, problem.n // 2):
        coarse = _solved(problem, resample(last[:, :, 0], (n, n)), ahead, n=n)
        found[f"solver on {n} x {n} nodes"] = resample(coarse, w.shape[-2:])
    found["solver of second order, eight steps a frame"] = _solved(
        problem, last[:, :, 0], ahead, solver=Stepper("etdrk2", dt=_apart(problem) / 8, tolerance=1e9)
    )
    for net in NETS:
        found[str(net)] = _predicted(net, problem.grid.space, w[:, 0, :known], ahead, known, training[:, 0])
    return {name: torch.cat([w[:, :, :known], u], dim=2) for name, u in found.items()}


def _equations(problem: NavierStokes2D) -> dict[str, dict[str, Any]]:
    """Changes of the equation: four of its viscosity, and four of its forcing, or of its drag where there is none."""
    changed: dict[str, dict[str, Any]] = {}
    for factor in (1.001, 1.01, 1.1, 1.5):
        changed[f"viscosity times {factor}"] = {"viscosity": factor * float(problem.viscosity)}  # type: ignore[arg-type]
    if isinstance(problem.forcing, Diagonal):
        for factor in (1.001, 1.01, 1.1, 0.0):
            changed[f"forcing times {factor:g}"] = {"forcing": Diagonal(amplitude=factor * problem.forcing.amplitude)}
    else:
        for drag in (1e-3, 1e-2, 1e-1, 1.0):
            changed[f"a drag of {drag:g}"] = {"drag": drag}
    return changed


def _apart(problem: NavierStokes2D) -> float:
    return (problem.horizon - problem.start) / problem.frames


def _solved(problem: NavierStokes2D, a: Tensor, frames: int, **changes: Any) -> Tensor:
    """The next frames (B, 1, T, x, y) of states a (B, 1, x, y), by the changed problem."""
    ahead = {"start": 0.0, "horizon": frames * _apart(problem), "frames": frames, "resolution": None}
    return replace(problem, **ahead | changes).solve(a).u[:, :, 1:]


def _cut(w: Tensor, space: Grid, k: int) -> Tensor:
    basis = Fourier(space)
    wavenumber = basis.k2.sqrt() * space[0].length / (2 * torch.pi)
    return basis.to_values(basis.to_modes(w) * (wavenumber <= k))


def _predicted(net: Net, space: Grid, history: Tensor, ahead: int, known: int, training: Tensor) -> Tensor:
    """The next frames (B, 1, ahead, x, y), by a net trained on trajectories (N, T, x, y)."""
    frames = min(net.frames, ahead)
    torch.manual_seed(net.seed)
    half = space.resized([n // 2 for n in space.shape])
    model = FNO(known, frames, half, half, width=net.width, modes=net.modes, depth=net.depth)
    data = resample(training, half.shape).float()
    size, starts = float(data.std()), data.shape[1] - known - frames + 1
    increment = float((data[:, known:] - data[:, known - 1 : known]).std())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(net.steps, 1))
    for _ in range(net.steps):
        which, first = torch.randint(len(data), (8,)), torch.randint(starts, (8,))
        window = torch.stack([data[i, j : j + known + frames] for i, j in zip(which, first, strict=True)])
        wanted = (window[:, known:] - window[:, known - 1 : known]) / increment
        loss = (model(window[:, :known] / size) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    path = history
    with torch.no_grad():
        while path.shape[1] < known + ahead:
            state = path[:, -known:]
            path = torch.cat([path, state[:, -1:] + increment * model((state / size).float()).double()], dim=1)
    return path[:, None, known : known + ahead]
