"""`README.md`: a card for people, with the front matter of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def page(card: dict[str, Any]) -> str:
    """A card as Markdown."""
    parts = [_front(card), _head(card), _use(card)]
    if "data" in card:
        parts += [_worth(card), _limits(card), _made(card)]
    return "\n\n".join(parts) + "\n"


def _front(card: dict[str, Any]) -> str:
    tags = ["pde", "neural-operator", "surrogate", card["model"]["class"].lower()]
    if card["problem"]:
        tags.append(card["problem"]["name"])
    lines = [f"license: {card['licence']}", "library_name: pdeops", "tags:", *(f"  - {tag}" for tag in tags)]
    return "\n".join(["---", *lines, "---"])


def _head(card: dict[str, Any]) -> str:
    lines = [f"# {card['name']}", ""]
    if problem := card["problem"]:
        values = ", ".join(f"{name} = {value:g}" for name, value in problem["parameters"].items())
        lines += [f"{problem['equation']}" + (f"; {values}." if values else "."), ""]
    model = card["model"]
    lines.append(
        f"{model['class']}, {model['parameters']:,} parameters: {_field(card['input'])} to {_field(card['output'])}"
        + (f", frames {card['time_step']:g} apart." if card["time_step"] else ".")
    )
    return "\n".join(lines)


def _field(side: dict[str, Any]) -> str:
    names, first = side["channels"], side["channels"][0]
    told = ", ".join(names) if len(names) < 4 else f"{first} ... {names[-1]} ({len(names)} channels)"
    return f"{told} on {' x '.join(str(axis['n']) for axis in side['grid'])} nodes"


def _use(card: dict[str, Any]) -> str:
    shape = ", ".join(
        ["batch", str(len(card["input"]["channels"])), *(str(axis["n"]) for axis in card["input"]["grid"])]
    )
    times = (card["test"]["curve"] or {"times": []})["times"] if "test" in card else []
    roll = f"\nw = surrogate.rollout(a, steps={len(times)})  # (batch, channel, time, *space)" if len(times) > 1 else ""
    name = card["name"]
    return (
        f'```python\nimport pdeops\n\nsurrogate = pdeops.load("{name}")\n'
        f"u = surrogate.predict(a)  # a ({shape}), in physical units{roll}\n```"
    )


def _worth(card: dict[str, Any]) -> str:
    test = card["test"]
    levels = list(next(iter(test["quantiles"].values())))
    titles = {"relative_l2": "of one output", "rollout/relative_l2": "of whole roll-outs"}
    head = ["relative L2 error", "mean", *("largest" if level == "1.0" else f"{float(level):.0%}" for level in levels)]
    rows = [
        [titles[name], _number(test["metrics"][name]), *(_number(values[level]) for level in levels)]
        for name, values in test["quantiles"].items()
    ]
    others = {name: v for name, v in test["metrics"].items() if name not in test["quantiles"] and v is not None}
    panel = "\n".join(f"| {name} | {_number(value)} |" for name, value in others.items())
    return (
        f"## What it is worth\n\n{test['samples']} test samples that no choice has seen; below a percentage, what "
        f"that share of them is at or under.\n\n{_table([head, *rows])}\n\n"
        f"| metric | mean |\n|---|---|\n{panel}"
    )


def _limits(card: dict[str, Any]) -> str:
    return "## Where that ends\n\n" + "\n".join(f"- {sentence}" for sentence in _sentences(card))


def _sentences(card: dict[str, Any]) -> Iterator[str]:
    ranges = ", ".join(
        f"{name} from {r['min']:.3g} to {r['max']:.3g} (deviation {r['std']:.3g})"
        for name, r in card["data"]["ranges"].items()
    )
    yield f"Fields like those it was trained on: {ranges}. Of others, of another distribution too, nothing is known."
    if card["problem"] and card["problem"]["parameters"]:
        yield "The equation with these parameters alone."
    nodes = " x ".join(str(axis["n"]) for axis in card["input"]["grid"])
    yield f"Errors are those on {nodes} nodes; what they are on other lattices of the same domain is not told here."
    curve = card["test"]["curve"]
    if curve and len(curve["times"]) > 1:
        until, end = curve["good_until"], curve["times"][-1]
        if curve["ends_first"]:
            yield f"The mean error of roll-outs stays below 10 % up to t = {end:g}, where the references end."
        else:
            yield f"The mean error of roll-outs stays below 10 % up to t = {until:g} after the input."
    if card["time_step"]:
        yield "A prediction is no solution; `surrogate.error_estimate(a)` says how far it is from one, where it can."


def _made(card: dict[str, Any]) -> str:
    data, training = card["data"], card["training"]
    machine, packages = training["machine"], training["packages"]
    sizes = " / ".join(str(n) for n in data["samples"].values())
    where = ", ".join(machine["devices"]) or machine["processor"] or "a processor"
    how = "" if training["solutions"] else ", without solutions, on inputs drawn anew"
    sentences = (
        f"Data: `{data['file']}` (sha256 `{data['sha256'][:16]}...`), seed {data['seed']}, {sizes} samples to train, "
        "validate and test.",
        f"Training: {training['epochs']} epochs of {training['loss']}{how}, seed {training['seed']}, "
        f"{training['seconds']} s of the clock on {where} (threads: {machine['threads']}), pdeops {packages['pdeops']} "
        f"at commit {(training['commit'] or 'unknown')[:12]}, torch {packages['torch']}.",
        "The configuration in full is in `card.json`.",
    )
    return f"## How it was made\n\n```\n{data['command']}\n{training['command']}\n```\n\n" + "\n".join(sentences)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
