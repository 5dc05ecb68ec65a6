"""A sweep: its points run by a launcher, a line for each as it ends, a leaderboard, and what failed and why."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pdeops.errors import InputError, Preempted, nearest
from pdeops.files import atomically
from pdeops.overrides import shipped
from pdeops.report.leaderboard import leaderboard, standings
from pdeops.report.runs import read
from pdeops.report.tables import aligned
from pdeops.sweeps.expansion import check, expand
from pdeops.sweeps.launcher import Launcher
from pdeops.sweeps.launching import chosen_launcher, clock, devices_of, for_launcher, refuse_ranks, stopped_by_sigterm
from pdeops.sweeps.point import Outcome, Point

FILE = "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """script: of the runs; words: the command line's, without those for the launcher, which are `launcher`; points: the
    overrides of each; folder: of all."""

    script: str
    words: tuple[str, ...]
    launcher: tuple[str, ...]
    points: tuple[tuple[str, ...], ...]
    folder: Path

    def label(self, number: int) -> str:
        """What tells a point from the others."""
        common = set.intersection(*map(set, self.points))
        return " ".join(text for text in self.points[number] if text not in common) or "the one point"

    def made(self, configs: Sequence[DictConfig]) -> list[Point]:
        return [
            Point(i, self.script, overrides, self.label(i), self.folder / str(i), **devices_of(config.trainer))
            for i, (overrides, config) in enumerate(zip(self.points, configs, strict=True))
        ]


def begin(script: str, words: Sequence[str]) -> int:
    """Run the sweep of a command line's words; the exit status, 1 if a point failed."""
    refuse_ranks()
    ours = tuple(text for text in words if not for_launcher(text))
    theirs = tuple(text for text in words if for_launcher(text))
    launcher = chosen_launcher(theirs)
    points = tuple(expand(ours))
    configs = check(points, ours)
    HydraConfig.instance().set_config(configs[0])
    folder = Path(configs[0].hydra.sweep.dir).resolve()
    if (folder / FILE).exists():
        raise InputError(
            f"{folder} has a sweep already: go on with it by --resume {folder}, or take another hydra.sweep.dir"
        )
    sweep = Sweep(script, ours, theirs, points, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomically(folder / FILE) as temporary:
        plain = {"script": script, "words": ours, "launcher": theirs, "points": points}
        temporary.write_text(json.dumps(plain, indent=1))
    return _run(sweep, sweep.made(configs), launcher)


def resume(folder: Path, words: Sequence[str]) -> int:
    """Run those points of a sweep that are missing or failed; the exit status, 1 if one failed again."""
    refuse_ranks()
    for text in words:
        if not for_launcher(text):
            raise InputError(
                f"{text}: --resume {folder} has its points; only launcher and launcher.* can be given anew"
            )
    sweep = _read(folder)
    launcher = chosen_launcher([*sweep.launcher, *words])
    return _run(sweep, sweep.made(check(sweep.points, sweep.words)), launcher)


def _read(folder: Path) -> Sweep:
    try:
        plain = json.loads((folder / FILE).read_text())
    except OSError as error:
        beside = [path.parent.name for path in folder.resolve().parent.glob(f"*/{FILE}")]
        near = " or ".join(map(repr, nearest(folder.name, beside)))
        raise InputError(
            f"there is no sweep in {folder} (no {FILE})." + (f" Did you mean {near}?" if near else "")
        ) from error
    points = tuple(tuple(point) for point in plain["points"])
    return Sweep(plain["script"], tuple(plain["words"]), tuple(plain["launcher"]), points, folder.resolve())


def _run(sweep: Sweep, points: Sequence[Point], launcher: Launcher) -> int:
    due = [point for point in points if not _good(point.outcome)]
    print(
        f"{len(points)} points in {sweep.folder}" + (f", {len(due)} to do" if len(due) < len(points) else ""),
        flush=True,
    )
    outcomes: dict[int, Outcome] = {}
    start = time.monotonic()
    with stopped_by_sigterm():
        try:
            for point, outcome in launcher.run(due):
                outcomes[point.number] = outcome
                print(_line(point, outcome, len(outcomes), len(due), time.monotonic() - start), flush=True)
        except (KeyboardInterrupt, Preempted) as stop:
            told = f"{stop or 'interrupted'} after {len(outcomes)} of {len(due)} points; go on with:\n{_again(sweep)}"
            raise type(stop)(told) from stop
    return report(sweep, points, outcomes)


def _line(point: Point, outcome: Outcome, done: int, due: int, seconds: float) -> str:
    """How a point ended, and how long the rest will take if it goes on like this."""
    run = read(point.folder) if outcome.good else None
    found = "done" if outcome.good else f"FAILED: {outcome.words}"
    if run is not None:
        found = f"test error {run.metrics['test/relative_l2']:.4g}"
    left = f"  {clock(seconds / done * (due - done))} left" if done < due else ""
    return f"[{done}/{due}] {point.number}: {point.label}  {found}  {clock(outcome.seconds)}{left}"


def report(sweep: Sweep, points: Sequence[Point], outcomes: dict[int, Outcome]) -> int:
    """Print the leaderboard, which is also a file of the sweep's folder, and the points that failed."""
    runs = [run for point in points if _good(point.outcome) and (run := read(point.folder)) is not None]
    if runs:
        table = aligned(leaderboard(standings(runs, sweep.points)))
        (sweep.folder / "leaderboard.txt").write_text(table + "\n")
        print(f"\n{table}\n\nleaderboard: {sweep.folder / 'leaderboard.txt'}")
    failed = [point for point in points if not _good(point.outcome)]
    if not failed:
        return 0
    print(f"\n{len(failed)} of {len(points)} points failed:")
    for point in failed:
        outcome = outcomes.get(point.number) or point.outcome
        print(f"  {point.number}: {point.label}  {outcome.words if outcome else 'not run'}, {point.log}")
        print("".join(f"      {line}\n" for line in point.cause()), end="")
    print(f"once the causes are gone, run these alone with:\n{_again(sweep)}", flush=True)
    return 1


def _good(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.good


def _again(sweep: Sweep) -> str:
    return shlex.join([sys.executable, str(shipped(sweep.script)), "--resume", str(sweep.folder)])
