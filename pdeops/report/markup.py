"""Pages that need nothing but themselves: no server, no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import NamedTuple

from pdeops import __version__


class Section(NamedTuple):
    """A part of a page: its heading, and its content as HTML."""

    title: str
    body: str

    @property
    def anchor(self) -> str:
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


class Cell(NamedTuple):
    """A table's cell. worth: what it is sorted by; kind: "best" of its column, or "words", which are no number."""

    text: str
    worth: float | None = None
    kind: str = ""


def document(title: str, subtitle: str, head: str, sections: Sequence[Section]) -> str:
    """A whole page. title, subtitle: text; head: HTML below them."""
    links = "".join(f'<a href="#{s.anchor}">{escape(s.title)}</a>' for s in sections)
    parts = "".join(
        f'<section aria-labelledby="{s.anchor}"><h2 id="{s.anchor}">{escape(s.title)}</h2>{s.body}</section>\n'
        for s in sections
    )
    made = f"pdeops {__version__}, {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_own("page.css")}</style>
</head>
<body>
<header><div><h1>{escape(title)}</h1><div class="subtitle">{escape(subtitle)}</div></div>
<button class="plain" id="theme" type="button">light / dark</button></header>
<nav aria-label="sections">{links}</nav>
<main>
{head}
{parts}</main>
<footer>{escape(made)}</footer>
<script>
{_own("page.js")}</script>
</body>
</html>
"""


def _own(name: str) -> str:
    return files("pdeops.report").joinpath(name).read_text(encoding="utf-8")


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def tiles(facts: Sequence[tuple[str, str, str]]) -> str:
    """The few numbers that count: what, how much, and a line below."""
    parts = (
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for what, value, more in facts
    )
    return f'<dl class="tiles">{"".join(parts)}</dl>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str | Cell]], caption: str = "", *, sortable: bool = False
) -> str:
    """The first cell of a row is its heading."""
    name = f"<caption>{escape(caption)}</caption>" if caption else ""
    columns = "".join(
        f'<th scope="col"><button type="button">{escape(text)}</button></th>'
        if sortable
        else f'<th scope="col">{escape(text)}</th>'
        for text in head
    )
    body = "".join(f"<tr>{''.join(_cell(x, i == 0) for i, x in enumerate(row))}</tr>\n" for row in rows)
    kind = ' class="sortable"' if sortable else ""
    top = f"<thead><tr>{columns}</tr></thead>"
    return f'<div class="scroll"><table{kind}>{name}{top}<tbody>{body}</tbody></table></div>'


def _cell(cell: str | Cell, first: bool) -> str:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    worth = "" if cell.worth is None else f' data-value="{cell.worth!r}"'
    if first:
        return f'<th scope="row"{worth}>{escape(cell.text)}</th>'
    kind = f' class="{cell.kind}"' if cell.kind else ""
    return f"<td{worth}{kind}>{escape(cell.text)}</td>"


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and what stands for them."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>\n' for name, text in rows)
    return f'<div class="scroll"><table class="facts"><tbody>{body}</tbody></table></div>'


def figure(svg: str, caption: str = "") -> str:
    told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{told}</figure>\n"


def command(text: str, anchor: str) -> str:
    """A line to run again, with a button that copies it."""
    return (
        f'<div class="command"><pre id="{anchor}">{escape(text)}</pre>'
        f'<button class="plain" type="button" data-copies="{anchor}">copy</button></div>'
    )


def folded(summary: str, text: str) -> str:
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"
