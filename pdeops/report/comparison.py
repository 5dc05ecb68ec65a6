"""Surrogates side by side on one data set, as a page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from pdeops.files import atomically
from pdeops.report import beside, sections
from pdeops.report.embedded import inline, styled
from pdeops.report.evaluation import Evaluation, Shown
from pdeops.report.leaderboard import kinds
from pdeops.report.markup import Cell, Section, command, document, figure, paragraph, table
from pdeops.report.runs import spread
from pdeops.report.subjects import Subject, duration

Tried = tuple[Subject, Evaluation]


class Entry(NamedTuple):
    """One row: what differs in its seed alone, each on the same samples. same: the sample that all entries show."""

    label: str
    tried: Sequence[Tried]
    same: Shown

    @property
    def subject(self) -> Subject:
        return self.tried[0][0]

    @property
    def found(self) -> Evaluation:
        """Of its first seed."""
        return self.tried[0][1]

    def each(self, name: str) -> list[float]:
        """A metric's means, one for each seed."""
        return [found.means[name] for _, found in self.tried if name in found.means]

    @property
    def error(self) -> float:
        return statistics.mean(self.each(self.found.headline))


def entries(tried: Sequence[Tried], shown: Callable[[Subject, int], Shown]) -> list[Entry]:
    """Seeds of one kind together (`leaderboard.kinds`), the best first. shown: a sample through a surrogate; the sample
    is the best entry's median one.

    Raises InputError on two runs of one kind and seed."""
    runs = [subject.run for subject, _ in tried if subject.run is not None and subject.run.overrides]
    labels = (
        {run.folder: words or model for (words, model), group in kinds(runs).items() for run in group} if runs else {}
    )
    groups: dict[str, list[Tried]] = {}
    for subject, found in tried:
        label = labels.get(subject.run.folder) if subject.run is not None else None
        groups.setdefault(label or subject.name, []).append((subject, found))
    ranked = sorted(groups.items(), key=lambda pair: statistics.mean(f.means[f.headline] for _, f in pair[1]))
    sample = ranked[0][1][0][1].shown["median"].sample
    return [Entry(label, group, shown(group[0][0], sample)) for label, group in ranked]


def write_comparison(compared: Sequence[Entry], path: str | Path, *, overwrite: bool = True) -> Path:
    """Write the page: one HTML file that needs no other. Raises InputError if `path` is there and may not be
    overwritten."""
    found = compared[0].found
    parts = [
        _standings(compared),
        _drawn("Errors", beside.draw_bars, compared, "mean relative L2 error of each, with the deviation over seeds"),
        _drawn("Cost", beside.draw_costs, compared, "error against parameters, seconds of a prediction, and training"),
        _sample(compared),
        _drawn("Errors over time", beside.draw_curves, compared, "median relative L2 error over time")
        if found.curve.shape[1] > 1
        else None,
        _drawn("Spectra of errors", beside.draw_error_spectra, compared, "energy of the errors by wavenumber"),
        _drawn("Training", beside.draw_trainings, compared, "validation error by epoch")
        if any(entry.subject.run and entry.subject.run.by_epoch("val/relative_l2") for entry in compared)
        else None,
        _metrics(compared),
        sections.data(compared[0].subject, found),
        _made(compared),
    ]
    split = "" if found.split == "all" else f"{found.split} "
    count = sum(len(entry.tried) for entry in compared)
    page = document(
        f"{len(compared)} models on {found.file.stem.rpartition('-')[0] or found.file.stem}",
        f"{count} surrogates on {len(found.samples)} {split}samples of {found.file.name}",
        "",
        [part for part in parts if part is not None],
    )
    with atomically(Path(path), overwrite=overwrite) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def _standings(compared: Sequence[Entry]) -> Section:
    """The table, which sorts by any column."""
    rolled = compared[0].found.headline.startswith("rollout/")
    head = ["", "model", "seeds", *(["rollout error"] if rolled else []), "error", "median", "90 %"]
    head += ["parameters", "s an epoch", "one output"]
    best = {name: min(statistics.mean(e.each(name)) for e in compared) for name in _errors(rolled)}
    rows: list[list[str | Cell]] = []
    for entry in compared:
        row: list[str | Cell] = [entry.label, entry.subject.model, str(len(entry.tried))]
        for name in _errors(rolled):
            mean = statistics.mean(entry.each(name))
            row.append(Cell(spread(entry.each(name)), mean, "best" if mean == best[name] else ""))
        middle, high = entry.found.quantiles(entry.found.headline, (0.5, 0.9))
        row += [Cell(f"{middle:.4f}", middle), Cell(f"{high:.4f}", high)]
        row.append(Cell(f"{entry.subject.parameters:,}", entry.subject.parameters))
        seconds = entry.subject.run.seconds_per_epoch if entry.subject.run else None
        row.append(Cell(f"{seconds:.3g}", seconds) if seconds else "")
        row.append(Cell(duration(entry.found.seconds), entry.found.seconds))
        rows.append(row)
    told = "relative L2 errors, mean +- deviation over seeds; quantiles over the samples, of the first seed"
    return Section("Table", table(head, rows, told, sortable=True))


def _errors(rolled: bool) -> list[str]:
    return ["rollout/relative_l2", "relative_l2"] if rolled else ["relative_l2"]


def _drawn(title: str, draw: Callable[[Any, Sequence[Entry]], Any], compared: Sequence[Entry], alt: str) -> Section:
    with styled() as plt:
        return Section(title, figure(inline(draw(plt, compared), alt)))


def _sample(compared: Sequence[Entry]) -> Section:
    same = compared[0].same
    alt = f"sample {same.sample}: truth, and predictions and errors of each model"
    with styled() as plt:
        picture = inline(beside.draw_same(plt, compared), alt)
    told = f"Sample {same.sample}, the median one of {compared[0].label}; one scale for all errors."
    return Section("One sample", paragraph(told, "note") + figure(picture))


def _metrics(compared: Sequence[Entry]) -> Section:
    rows = []
    for name in compared[0].found.means:
        if all(entry.each(name) for entry in compared):
            rows.append([name, *(f"{statistics.mean(entry.each(name)):.4g}" for entry in compared)])
    return Section(
        "Metrics", table(["metric", *(entry.label for entry in compared)], rows, "means over samples and seeds")
    )


def _made(compared: Sequence[Entry]) -> Section | None:
    parts = []
    for i, entry in enumerate(compared):
        lines = [subject.run.environment.get("reproduce") for subject, _ in entry.tried if subject.run]
        if told := "\n".join(line for line in lines if line):
            parts.append(f"<h3>{escape(entry.label)}</h3>" + command(told, f"reproduce-{i}"))
    return Section("Make it again", "".join(parts)) if parts else None
