"""Results as plain text."""

from __future__ import annotations

from collections.abc import Mapping


def metric_table(results: Mapping[str, float], title: str) -> str:
    """Two aligned columns under a title: metric and value."""
    width = max(len(name) for name in results)
    lines = [title, "-" * max(len(title), width + 12)]
    lines += [f"{name:<{width}}  {value:>10.4g}" for name, value in results.items()]
    return "\n".join(lines)
