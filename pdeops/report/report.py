"""One surrogate on one data set, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pdeops.files import atomically
from pdeops.report import sections
from pdeops.report.embedded import inline, styled
from pdeops.report.evaluation import Evaluation
from pdeops.report.markup import Section, document, figure, paragraph, table
from pdeops.report.resolutions import Row, Sweep, error_figure, notes
from pdeops.report.runs import spread
from pdeops.report.subjects import Subject


def write_report(
    subject: Subject,
    found: Evaluation,
    path: str | Path,
    *,
    lattices: tuple[Sweep, Sequence[Row]] | None = None,
    overwrite: bool = True,
) -> Path:
    """Write the report: one HTML file that needs no other, opens without a server or a network, and prints.

    lattices: errors on other resolutions, too (`resolutions.rows`). Raises InputError if `path` is there and may not be
    overwritten.
    """
    parts = [
        sections.samples(found),
        sections.errors(found),
        sections.rollouts(found),
        sections.spectra(found),
        sections.metrics(found),
        _lattices(*lattices) if lattices else None,
        sections.training(subject),
        sections.data(subject, found),
        sections.made(subject),
    ]
    split = "all" if found.split == "all" else f"the {found.split}"
    subtitle = f"on {len(found.samples)} of {split} samples of {found.file.name}"
    page = document(
        f"{subject.model}: {subject.run.experiment if subject.run else subject.name}",
        subtitle,
        sections.headline(subject, found),
        [part for part in parts if part is not None],
    )
    with atomically(Path(path), overwrite=overwrite) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def _lattices(sweep: Sweep, rows: Sequence[Row]) -> Section:
    with styled() as plt:
        picture = inline(error_figure(plt, {sweep.title: rows}), "relative L2 error by nodes per axis")
    cells = [
        [" × ".join(map(str, row.grid.shape)), *(spread(v) if v else "refused" for v in row.errors.values())]
        for row in rows
    ]
    told = "".join(paragraph(line, "note") for line in notes(sweep, rows))
    return Section("Other lattices", figure(picture) + table(["nodes", *sweep.models], cells) + told)
