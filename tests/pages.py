"""The Markdown pages of the repository, taken apart: fences, commands, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
EXPERIMENTS = sorted(ROOT.glob("experiments/**/*.md"))
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$",
    re.M | re.S,
)
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")
CONTINUED = re.compile(r" *\\\n *")  # a command over several lines
COMMAND = re.compile(r"(?:\w+=\S+ |timeout \d+ )*((?:python|pdeops|make|pip install) .+)")


@dataclass(frozen=True)
class Fence:
    """A block of code. mark: the comment before it, such as `run`, or `run: trainer.max_epochs=1`, words that the tests
    add to its commands; title: of a block that is a file; line: of its first line in the page."""

    mark: str
    language: str
    title: str
    code: str
    line: int

    @property
    def commands(self) -> list[str]:
        return (
            []
            if self.language
            else [found for text in CONTINUED.sub(" ", self.code).splitlines() if (found := command(text))]
        )


def fences(text: str) -> Iterator[Fence]:
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Fence(*(found[name] or "" for name in ("mark", "language", "title", "code")), line)


def command(text: str) -> str | None:
    """The command of a line, without a comment behind it; None if it is none of ours, or stands for several."""
    found = COMMAND.fullmatch(re.sub(r"\s+#.*", "", text.strip()))
    return None if found is None or "..." in found[1] else found[1].strip()


def commands(text: str) -> Iterator[str]:
    """Of blocks, but those that the tests run, and of code in sentences and tables."""
    for fence in fences(text):
        if not fence.mark.startswith("run"):
            yield from fence.commands
    for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        if found := command(" ".join(code.split())):
            yield found


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`]*`", "", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub and mkdocs name them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", h.lower()).strip()) for h in headings}
