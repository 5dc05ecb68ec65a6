"""The parts of a report on one surrogate."""

from __future__ import annotations

import inspect
from math import pi, sqrt
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from pdeops.config import differences, from_config, to_config
from pdeops.data.file import DataFile
from pdeops.metrics.spectral import default_edges
from pdeops.report.curves import BANDS, draw_errors, draw_rollouts, draw_spectra, draw_training
from pdeops.report.embedded import inline, styled
from pdeops.report.evaluation import Evaluation
from pdeops.report.markup import Cell, Section, command, facts, figure, folded, paragraph, table, tiles
from pdeops.report.meanings import meaning
from pdeops.report.panels import accuracy
from pdeops.report.samples import MOST_FIELDS, draw_sample
from pdeops.report.subjects import Subject, duration

LEVELS = (0.1, 0.5, 0.9)
HEADS = ("mean", *(f"{100 * level:g} %" if level != 0.5 else "median" for level in LEVELS))


def number(value: float) -> str:
    return f"{value:.4g}"


def headline(subject: Subject, found: Evaluation) -> str:
    """The few numbers that count."""
    low, middle, high = found.quantiles(found.headline, LEVELS)
    rolled = found.headline.startswith("rollout/")
    n, more = len(found.samples), f"median {middle:.3g}, 10 % to 90 %: {low:.3g} to {high:.3g}"
    said = [
        ("relative L2 error" + (", of rollouts" if rolled else ""), number(found.means[found.headline]), more),
        ("of one output", number(found.means["relative_l2"]), f"mean of {n} {_split(found)} samples"),
        ("model", subject.model, f"{subject.parameters:,} parameters"),
        ("one output", duration(found.seconds), f"a sample, in batches of {found.batch_size}, here"),
        ("training", duration(subject.training_seconds), _epochs(subject)),
    ]
    return tiles(said if rolled else [said[0], *said[2:]])


def _split(found: Evaluation) -> str:
    return "" if found.split == "all" else found.split


def _epochs(subject: Subject) -> str:
    log = subject.run.by_epoch("train/loss") if subject.run else {}
    return f"{max(log) + 1} epochs" if log else "no log"


def samples(found: Evaluation) -> Section:
    """The worst sample, the median one and the best."""
    window, parts = found.window, []
    told = "Truth and prediction share their colours; the error has its own."
    if window.bound.space.ndim == 3:
        axis = window.bound.space[0]
        told += f" Pictures are slices at {axis.name} = {float(axis.points()[axis.n // 2]):.4g}."
    if len(window.targets) > MOST_FIELDS:
        told += f" Not shown: {', '.join(window.targets[MOST_FIELDS:])}."
    with styled() as plt:
        for place, shown in found.shown.items():
            alt = f"truth, prediction and error of sample {shown.sample}, the {place} of {len(found.samples)}"
            picture = inline(draw_sample(plt, shown, window), alt)
            title = f"<h3>{place.capitalize()}: sample {shown.sample}, relative L2 error {shown.error:.3g}</h3>"
            parts.append(title + figure(picture))
    return Section("Samples", paragraph(told, "note") + "".join(parts))


def errors(found: Evaluation) -> Section:
    """How errors are spread over samples."""
    with styled() as plt:
        alt = "histogram of the samples' relative L2 errors, and the share of samples below an error"
        picture = inline(draw_errors(plt, found), alt)
    return Section("Errors of samples", figure(picture, f"{len(found.samples)} {_split(found)} samples"))


def rollouts(found: Evaluation) -> Section | None:
    """Errors over time, where there are some."""
    if found.curve.shape[1] < 2:
        return None
    with styled() as plt:
        picture = inline(draw_rollouts(plt, found), "relative L2 error over time, of each sample and their median")
    means = found.means
    if "rollout/valid_time" not in means:
        kind = "Frames of one output." if not found.headline.startswith("rollout/") else "Rollouts."
        return Section("Errors over time", paragraph(kind) + figure(picture))
    told = f"The error of rollouts stays below 0.1 for {means['rollout/valid_time']:.4g} time units on average"
    if censored := means["rollout/valid_time_censored"]:
        told += f"; in {100 * censored:.0f} % of them to the end, which counts as {float(found.times[-1]):.4g}"
    return Section("Errors over time", paragraph(told + ".") + figure(picture))


def spectra(found: Evaluation) -> Section:
    """By shell, and by the panel's three bands."""
    with styled() as plt:
        picture = inline(draw_spectra(plt, found), "energy of truth, prediction and error by wavenumber, bands marked")
    space, rows = found.window.bound.space, []
    base = 2 * pi / max(axis.length for axis in space)
    first, second = (edge / base for edge in default_edges(space))
    ranges = (f"below {first:g}", f"{first:g} to {second:g}", f"from {second:g} on")
    for label, energies in found.bands.items():
        for c, name in enumerate(found.window.targets[:MOST_FIELDS]):
            for band, (word, waves) in enumerate(zip(BANDS, ranges, strict=True)):
                truth, predicted, error = (sqrt(float(x)) for x in energies[:, c, band])
                share = f"{error / truth:.3g}" if truth else ""
                rows.append([f"{word}: {waves}", name, label, number(truth), number(predicted), number(error), share])
    head = ["band, waves per longest side", "field", "at", "truth", "prediction", "error", "error / truth"]
    if not found.window.evolves:
        head, rows = [x for x in head if x != "at"], [row[:2] + row[3:] for row in rows]
    cosines = "" if all(axis.periodic for axis in space) else " Axes that are not periodic are expanded in cosines."
    told = f"Means over the samples; periodic axes are expanded in waves.{cosines}"
    return Section("Spectra", figure(picture, told) + table(head, rows, "root mean squares by band"))


def metrics(found: Evaluation) -> Section:
    """The whole panel, with quantiles over the samples."""
    parts = []
    for title, rolled in (("One output", False), ("Whole trajectories", True)):
        names = [name for name in found.values if name.startswith("rollout/") == rolled and name in found.means]
        rows: list[list[str | Cell]] = [
            [
                name.removeprefix("rollout/"),
                number(found.means[name]),
                *map(number, found.quantiles(name, LEVELS)),
                Cell(meaning(name), kind="words"),
            ]
            for name in names
        ]
        if rows:
            parts.append(table(["metric", *HEADS, ""], rows, f"{title}, {len(found.samples)} samples"))
    return Section("Metrics", "".join(parts))


def training(subject: Subject) -> Section | None:
    """Curves of its log."""
    if subject.run is None:
        return None
    curves = subject.run.curves
    if not curves:
        return None
    with styled() as plt:
        rate = subject.run.by_epoch("train/rate")
        picture = inline(draw_training(plt, curves, rate), f"{', '.join(curves)} by epoch")
    seconds = subject.run.seconds_per_epoch
    told = f"{_epochs(subject)} in {duration(subject.training_seconds)}, {duration(seconds)} each (median)."
    return Section("Training", paragraph(told if seconds else f"{_epochs(subject)}.") + figure(picture))


def data(subject: Subject, found: Evaluation) -> Section:
    """The problem, its equation, the solver and how well it solved, the file."""
    file = DataFile(found.file)
    spec, time = file.spec, file.spec.grid.time
    rows = [("data set", spec.name)]
    problem = from_config(spec.problem) if spec.problem is not None else None
    if problem is not None and (told := inspect.getdoc(type(problem))):
        rows.append(("equation", " ".join(told.split("\n\n")[0].split()).replace("`", "")))
    rows.append(("parameters", ", ".join(f"{k} = {v:.4g}" for k, v in spec.parameters.items()) or "none"))
    given = ", ".join(file.inputs) or ("the history" if time else "none")
    rows.append(("fields", f"{given} in; {', '.join(file.targets)} out"))
    box = " × ".join(f"[{axis.start:.4g}, {axis.start + axis.length:.4g}]" for axis in spec.grid.space)
    kinds = ", ".join(dict.fromkeys(axis.nodes for axis in spec.grid.space))
    rows.append(("grid", f"{' × '.join(str(n) for n in spec.grid.space.shape)} {kinds} nodes on {box}"))
    if time is not None:
        rows.append(("time", f"{time.n} frames from {time.start:.4g} to {time.start + time.length:.4g}"))
    rows.append(("samples", f"{file.n}: " + ", ".join(f"{len(v)} {k}" for k, v in file.split.items())))
    rows += _solved(file, problem)
    rows.append(("file", f"{found.file} ({found.file.stat().st_size / 2**20:.3g} MiB)"))
    body = facts(rows)
    if changed := _elsewhere(subject, spec.problem):
        body = paragraph(f"Not the data it was trained on: {changed}.") + body
    file.close()
    return Section("Data", body)


def _solved(file: DataFile, problem: Any) -> list[tuple[str, str]]:
    """The solver, and what the file records of it."""
    rows = []
    solver = getattr(problem, "solver", None)
    if solver is not None:
        settings = {k: v for k, v in to_config(solver).items() if k != "_target_" and isinstance(v, int | float | str)}
        rows.append(("solver", f"{type(solver).__name__}({', '.join(f'{k}={v}' for k, v in settings.items())})"))
    for name, values in accuracy(file).items():
        finite = values[np.isfinite(values)]
        if finite.size:
            rows.append((name, f"median {np.median(finite):.2g}, largest {finite.max():.2g}"))
    return rows


def _elsewhere(subject: Subject, problem: dict[str, Any] | None) -> str:
    """In what a file's problem is another than the surrogate's."""
    own = to_config(subject.surrogate.problem)
    if own is None or problem is None or subject.surrogate.window.segment is not None:
        return ""
    changed = [(k, mine, its) for k, mine, its in differences(own, problem) if not k.startswith("solver")]
    return "; ".join(f"{key} is {its}, was {mine}" for key, mine, its in changed)


def made(subject: Subject) -> Section | None:
    """The line that makes it again, where it was made, and with which configuration."""
    if subject.run is None:
        return None
    run = subject.run
    body, where = "", run.environment
    if line := where.get("reproduce"):
        body += command(line, "reproduce")
    git = where.get("git") or {}
    commit = f"{git['commit'][:10]}{' with changes' if git.get('dirty') else ''}" if git else "unknown"
    rows = [("folder", str(run.folder)), ("commit", commit)]
    rows += [(key, str(where[key])) for key in ("python", "platform", "cuda", "threads", "cores") if where.get(key)]
    rows += [("devices", ", ".join(where["devices"]))] if where.get("devices") else []
    rows.append(("packages", ", ".join(f"{k} {v}" for k, v in where.get("packages", {}).items())))
    body += facts(rows) + folded("configuration", OmegaConf.to_yaml(OmegaConf.create(run.config)))
    return Section("Make it again", body)
