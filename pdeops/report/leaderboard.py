"""Runs of one task, the best first, and what tells them apart."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from pdeops.files import atomically
from pdeops.report import markup
from pdeops.report.markup import Section, document
from pdeops.report.runs import Run, grouped, parameters, spread

OWN = ("seed=", "ckpt_path=", "name=", "hydra.")  # what two runs of one kind may differ in


class Standing(NamedTuple):
    """Runs of one kind. words: what their command lines said that others did not, or the model; errors, rollouts: of
    each seed, the latter of runs that have some; seconds: of an epoch, the median, where a clock ran."""

    words: str
    errors: list[float]
    rollouts: list[float]
    parameters: int
    seconds: float | None

    @property
    def error(self) -> float:
        return statistics.mean(self.errors)


def standings(runs: Sequence[Run], others: Sequence[Sequence[str]] = ()) -> list[Standing]:
    """The kinds of runs (`kinds`) by their mean test error, the best first. Raises InputError on two runs of one kind
    and seed."""
    found = []
    for (words, model), group in kinds(runs, others).items():
        errors, rollouts = (
            [run.metrics[f"test/{name}relative_l2"] for run in group if f"test/{name}relative_l2" in run.metrics]
            for name in ("", "rollout/")
        )
        seconds = [run.seconds_per_epoch for run in group if run.seconds_per_epoch is not None]
        median = statistics.median(seconds) if seconds else None
        found.append(Standing(words or model, errors, rollouts, parameters(group[0].surrogate().model), median))
    return sorted(found, key=lambda standing: standing.error)


def leaderboard(found: Sequence[Standing]) -> list[list[str]]:
    """A table for people, head first: mean errors with the deviation over seeds."""
    rolled = all(standing.rollouts for standing in found)
    head = ["", "seeds", "test error", *(["of rollouts"] if rolled else []), "parameters", "s an epoch"]
    rows = [
        [
            standing.words,
            str(len(standing.errors)),
            spread(standing.errors),
            *([spread(standing.rollouts)] if rolled else []),
            f"{standing.parameters:,}",
            "" if standing.seconds is None else f"{standing.seconds:.3g}",
        ]
        for standing in found
    ]
    return [head, *rows]


def leaderboard_csv(found: Sequence[Standing]) -> str:
    """The same for programs: a number a column."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    errors = [f"{x}{y}" for x in ("error", "rollout_error") for y in ("", "_deviation")]
    table.writerow(["kind", "seeds", *errors, "parameters", "epoch_seconds"])
    for standing in found:
        numbers = [x for each in (standing.errors, standing.rollouts) for x in _mean_and_deviation(each)]
        table.writerow([standing.words, len(standing.errors), *numbers, standing.parameters, standing.seconds])
    return text.getvalue()


def _mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    return (
        statistics.mean(values) if values else None,
        statistics.stdev(values) if len(values) > 1 else None,
    )


def kinds(runs: Sequence[Run], others: Sequence[Sequence[str]] = ()) -> dict[tuple[str, str], list[Run]]:
    """Runs that differ in their seed alone, by what their command lines said and by model.

    What all of them said, those of `others` included, is left out, and so is the seed. Raises InputError on two runs of
    one kind and seed."""
    said = {run.folder: _last_values(run.overrides) for run in runs}
    common = set.intersection(*map(set, said.values()), *(set(_last_values(words)) for words in others))

    def kind(run: Run) -> tuple[str, str]:
        return " ".join(text for text in said[run.folder] if text not in common), run.model

    return grouped(runs, kind)


def _last_values(words: Sequence[str]) -> list[str]:
    """Words that tell kinds apart; of two for one key the latter."""
    found = {text.lstrip("+~").partition("=")[0]: text for text in words if not text.lstrip("+~").startswith(OWN)}
    return list(found.values())


def write_leaderboard(table: Sequence[Sequence[str]], path: str | Path) -> Path:
    """The table as a page: one HTML file, which sorts by any column."""
    head, *rows = table
    page = document(
        "Leaderboard", f"{len(rows)} kinds of runs", "", [Section("Runs", markup.table(head, rows, sortable=True))]
    )
    with atomically(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)
