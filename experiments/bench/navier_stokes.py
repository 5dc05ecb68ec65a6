"""Navier-Stokes steps and trajectories per second, ours and torch-cfd's, in one process.

    python experiments/bench/navier_stokes.py --peer PATH [--threads 1] [--only steps|trajectory]

PATH: a checkout of scaomath/torch-cfd; without it only our own figures are printed. Both work in float64 on the same
lattice with the same modes (a lattice of 64 holds our n = 43, of 256 our n = 171) and from the same field. `floor`
is the time of the real transforms alone that a step needs. Medians of interleaved repeats.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable

import torch
from timing import medians
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.grid import Grid
from pdeops.problems.inputs import Matern
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.vorticity import Diagonal
from pdeops.solvers.schemes import SCHEMES
from pdeops.solvers.steppers import Stepper

VISCOSITY = 1e-3


class Peer:
    """torch-cfd's spectral Navier-Stokes solver on an n x n lattice."""

    def __init__(self, path: str, n: int, scheme: str) -> None:
        if path not in sys.path:
            sys.path.insert(0, path)
        from torch_cfd.equations import IMEXStepper, NavierStokes2DSpectral, RK4CrankNicolsonStepper
        from torch_cfd.forcings import SinCosForcing
        from torch_cfd.grids import Grid as PeerGrid

        solver = {"cn_rk4": RK4CrankNicolsonStepper, "cn_heun": IMEXStepper, "cn_euler": lambda: IMEXStepper(order=1.5)}
        grid = PeerGrid(shape=(n, n), domain=((0, 1), (0, 1)))
        forcing = SinCosForcing(grid=grid, scale=0.1, diam=1.0, k=1, vorticity=True)
        self.equation = NavierStokes2DSpectral(VISCOSITY, grid, forcing_fn=forcing, solver=solver[scheme]())

    def advance(self, w: Tensor, dt: float, steps: int) -> Tensor:
        return self.equation(w, dt, steps=steps)[0]


def ours(n: int, scheme: str, dt: float) -> tuple[Fourier, Callable[[Tensor, int], Tensor]]:
    problem = NavierStokes2D(n=n, viscosity=VISCOSITY, forcing=Diagonal(amplitude=0.1))
    basis = problem.basis(problem.solved_on)
    nothing = torch.zeros(1, 1, n, n, dtype=torch.float64)
    tendency = problem.nonlinear(basis, nothing)
    step = SCHEMES[scheme].prepare(problem.linear(basis, nothing), dt, torch.complex128)

    def advance(c: Tensor, steps: int) -> Tensor:
        for _ in range(steps):
            c = step(c, 0.0, lambda u, t: tendency(u))
        return c

    return basis, advance


def transforms(u: Tensor, c: Tensor, times: int) -> None:
    """Two real transforms there and back, so many times."""
    for _ in range(times):
        torch.fft.rfft2(u)
        torch.fft.irfft2(c)


def start(lattice: int, batch: int, most: int) -> Tensor:
    """A field of modes up to `most`, on the lattice."""
    field = Matern(variance=7**1.5, tau=7.0, alpha=2.5, amplitude=6.0861)
    few = field(Grid.periodic((2 * most + 1,) * 2), range(batch), 0)
    basis = Fourier(Grid.periodic((2 * most + 1,) * 2))
    return basis.to_values(basis.to_modes(few), Grid.periodic((lattice, lattice)))


def steps(peer: str | None, repeats: int) -> None:
    print("\nCN-RK4, float64, ms per step of the batch")
    print(
        f"{'lattice':>8}{'batch':>6}{'ours':>9}{'floor':>9}{'peer':>9}{'ratio':>7}{'peer/floor':>12}{'difference':>12}"
    )
    dt = 1e-3
    for lattice, n in ((64, 43), (256, 171)):
        for batch in (1, 8):
            w = start(lattice, batch, most=2)
            basis, advance = ours(n, "cn_rk4", dt)
            assert basis.shape == (lattice, lattice)
            repeat = 2000 // (lattice * batch) + 1
            # a chunk of the batch at a time stays in the cache, as in Evolution.solve
            size = min(batch, NavierStokes2D(n=n).chunk(w))
            parts = basis.to_modes(w).split(size)
            jobs = [lambda: [advance(c, repeat) for c in parts]]  # noqa: B023
            x = torch.randn(size, 2, lattice, lattice, dtype=torch.float64)
            c, times = torch.fft.rfft2(x), -(-batch // size) * repeat
            jobs += [lambda: transforms(x, c, times)]  # noqa: B023
            if peer:
                theirs, hat = Peer(peer, lattice, "cn_rk4"), torch.fft.rfft2(w.squeeze(1))
                jobs += [lambda: theirs.advance(hat, dt, repeat)]  # noqa: B023
            seconds = medians(repeats, *jobs)
            mine, floor = 1e3 * seconds[0] / repeat, 5e3 * seconds[1] / repeat
            row = f"{lattice:>8}{batch:>6}{mine:>9.2f}{floor:>9.2f}"
            if peer:
                u = basis.to_values(torch.cat(jobs[0]()), Grid.periodic((lattice, lattice))).squeeze(1)
                v = torch.fft.irfft2(jobs[2]())
                other = 1e3 * seconds[2] / repeat
                row += (
                    f"{other:>9.2f}{other / mine:>7.2f}{other / floor:>12.1f}{float((u - v).norm() / v.norm()):>12.1e}"
                )
            print(row, flush=True)


def trajectory(peer: str | None, horizon: float) -> None:
    """A sample of the FNO benchmark from time 0 on, on a lattice of 256, against a solution of ten more digits."""
    lattice, n = 256, 171
    w = start(lattice, 1, most=64)

    def final(scheme: str, dt: float) -> tuple[float, Tensor]:
        basis, advance = ours(n, scheme, dt)
        return timed(lambda: basis.to_values(advance(basis.to_modes(w), round(horizon / dt)), w_grid))

    def peer_final(scheme: str, dt: float) -> tuple[float, Tensor]:
        theirs = Peer(str(peer), lattice, scheme)
        hat = torch.fft.rfft2(w.squeeze(1))
        return timed(lambda: torch.fft.irfft2(theirs.advance(hat, dt, round(horizon / dt))).unsqueeze(1))

    w_grid = Grid.periodic((lattice, lattice))
    exact = final("etdrk4", 1 / 400)[1]

    def error(u: Tensor) -> float:
        return float((u - exact).norm() / exact.norm())

    def best(run: Callable[[str, float], tuple[float, Tensor]], schemes: list[str]) -> tuple[float, float, str]:
        """The quickest of the schemes and steps that keep the error below 1e-6."""
        found = []
        for scheme in schemes:
            for dt in (0.2, 0.1, 0.05, 0.04, 0.025, 0.02, 0.0125, 0.01, 0.005, 0.0025, 0.001):
                seconds, u = run(scheme, dt)
                if error(u) <= 1e-6:
                    found.append((seconds, error(u), f"{scheme}, dt {dt:g}"))
                    break
        return min(found)

    print(f"\none sample of the FNO benchmark, lattice {lattice}, viscosity {VISCOSITY}, to time {horizon:g}, float64")
    print(f"reference: etdrk4, dt 1/400; ifrk4 at that step differs by {error(final('ifrk4', 1 / 400)[1]):.0e}")
    rows = [(*best(final, ["etdrk4", "ifrk4", "cn_rk4"]), "ours, quickest at 1e-6")]
    for tolerance in (1e-6, 1e-9):
        problem = NavierStokes2D(
            n=n, viscosity=VISCOSITY, horizon=horizon, frames=1, solver=Stepper(tolerance=tolerance)
        )
        a = problem.basis(problem.solved_on).to_values(problem.basis(problem.solved_on).to_modes(w))
        seconds, solution = timed(lambda: problem.solve(a))  # noqa: B023
        u = problem.basis(problem.solved_on).to_values(
            problem.basis(problem.solved_on).to_modes(solution.u[:, :, -1]), w_grid
        )
        rows.append((seconds, error(u), f"etdrk4, dt auto, estimate {float(solution.error):.0e}", "ours, as generated"))
    if peer:
        rows.append((*best(peer_final, ["cn_rk4"]), "peer, quickest at 1e-6"))
        for scheme, dt, what in (
            ("cn_heun", 1e-3, "peer, its generator"),
            ("cn_heun", 1e-4, "peer, its generator's default step"),
            ("cn_euler", 1e-4, "the field's habit"),
        ):
            seconds, u = peer_final(scheme, dt)
            rows.append((seconds, error(u), f"{scheme}, dt {dt:g}", what))
    for seconds, deviation, how, what in rows:
        print(f"{what:<36}{how:<42}{seconds:>9.2f} s   error {deviation:.1e}", flush=True)


def timed(job: Callable[[], object]) -> tuple[float, object]:
    """The quicker of two runs of up to ten seconds, or one longer run, and its result."""
    start = time.perf_counter()
    result = job()
    seconds = time.perf_counter() - start
    if seconds < 10:
        start = time.perf_counter()
        job()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a checkout of scaomath/torch-cfd")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", choices=("steps", "trajectory"))
    parser.add_argument("--horizon", type=float, default=1.0, help="of the trajectory")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_dtype(torch.float64)
    print(f"{platform.processor() or platform.machine()}, {options.threads} thread(s), torch {torch.__version__}")
    if not options.peer:
        print("no --peer PATH: torch-cfd's side is skipped")
    with torch.no_grad():
        if options.only != "trajectory":
            steps(options.peer, options.repeats)
        if options.only != "steps":
            trajectory(options.peer, options.horizon)


if __name__ == "__main__":
    main()
