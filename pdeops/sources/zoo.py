"""Small pretrained surrogates in this package, each with a card: `pdeops list` shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pdeops.errors import InputError, did_you_mean

CARD = "card.json"
FOLDER = Path(__file__).resolve().parents[1] / "zoo"


def names() -> list[str]:
    """`DATA-MODEL`, in order."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CARD}"))


def folder(name: str) -> Path:
    """Where a member's files are: its surrogate, `card.json` and `README.md`. Raises InputError if there is none."""
    if name not in names():
        raise InputError(f"there is no {name!r} in the zoo. {did_you_mean(name, names())}")
    return FOLDER / name


def card(name: str) -> dict[str, Any]:
    """A member's card. Raises InputError if there is none."""
    return json.loads((folder(name) / CARD).read_text())


def table() -> str:
    """All members: what they solve, by which model, and how well (mean relative L2 errors of test samples)."""
    rows = [("name", "model", "parameters", "nodes", "error", "of roll-outs", "equation"), *map(_row, names())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    told = f"pdeops.load(NAME) gives one; its card is NAME/README.md in {FOLDER}"
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", told])


def _row(name: str) -> tuple[str, ...]:
    told = card(name)
    model, metrics = told["model"], told["test"]["metrics"]
    nodes = " x ".join(str(axis["n"]) for axis in told["input"]["grid"])
    error, rolled = ("" if (e := metrics.get(f"{of}relative_l2")) is None else f"{e:.3g}" for of in ("", "rollout/"))
    equation = told["problem"]["equation"].partition(" on ")[0]
    return name, model["class"], f"{model['parameters']:,}", nodes, error, rolled, equation
