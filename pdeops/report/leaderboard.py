"""Runs of one task, the best first."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pdeops.report.runs import Run, grouped, parameters, spread

OWN = ("seed=", "ckpt_path=", "name=", "hydra.")  # what two runs of one kind may differ in


def leaderboard(runs: Sequence[Run], others: Sequence[Sequence[str]] = ()) -> str:
    """A table of the kinds of runs by their mean test error, with the deviation over seeds.

    A kind is what the runs' command lines said, without the seed and without what all of them said, those of `others`
    included, which are not in the table. Raises InputError on two runs of one kind and seed.
    """
    said = {run.folder: _last_values(run.overrides) for run in runs}
    common = set.intersection(*map(set, said.values()), *(set(_last_values(words)) for words in others))

    def kind(run: Run) -> tuple[str, str]:
        return " ".join(text for text in said[run.folder] if text not in common), run.model

    groups = grouped(runs, kind)
    rollouts = all("test/rollout/relative_l2" in run.metrics for run in runs)
    rows = []
    for (words, model), group in groups.items():
        errors = [run.metrics["test/relative_l2"] for run in group]
        row = [words or model, str(len(group)), spread(errors)]
        if rollouts:
            row.append(spread([run.metrics["test/rollout/relative_l2"] for run in group]))
        seconds = [run.seconds_per_epoch for run in group if run.seconds_per_epoch is not None]
        row += [f"{parameters(group[0].surrogate().model):,}", f"{statistics.median(seconds):.3g}" if seconds else ""]
        rows.append((statistics.mean(errors), row))
    rows.sort(key=lambda pair: pair[0])
    head = ["", "seeds", "test error", *(["of rollouts"] if rollouts else []), "parameters", "s an epoch"]
    return _aligned([head, *(row for _, row in rows)])


def _last_values(words: Sequence[str]) -> list[str]:
    """Words that tell kinds apart; of two for one key the latter."""
    found = {text.lstrip("+~").partition("=")[0]: text for text in words if not text.lstrip("+~").startswith(OWN)}
    return list(found.values())


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right, a rule below the head."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
