"""Results as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def metric_table(results: Mapping[str, float], title: str) -> str:
    """Two aligned columns under a title: metric and value."""
    width = max(len(name) for name in results)
    lines = [title, "-" * max(len(title), width + 12)]
    lines += [f"{name:<{width}}  {value:>10.4g}" for name, value in results.items()]
    return "\n".join(lines)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right, a rule below the head."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
