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
    """All members: what they do, by which model, and how well (mean relative L2 errors of test samples)."""
    rows = [["name", "model", "parameters", "nodes", "error", "of roll-outs"]]
    for name in names():
        told = card(name)
        metrics = told["test"]["metrics"]
        nodes = " x ".join(str(axis["n"]) for axis in told["input"]["grid"])
        errors = [metrics.get(key) for key in ("relative_l2", "rollout/relative_l2")]
        model = told["model"]
        rows.append(
            [
                name,
                model["class"],
                f"{model['parameters']:,}",
                nodes,
                *("" if e is None else f"{e:.3g}" for e in errors),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(
        [
            lines[0],
            "-" * len(lines[0]),
            *lines[1:],
            "",
            "pdeops.load(NAME) gives one; its card: NAME/README.md below",
            str(FOLDER),
        ]
    )
