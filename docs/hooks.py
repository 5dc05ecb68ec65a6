"""What mkdocs.yml cannot say: pages from outside docs/, links as they stand in the repository, formulae as MathML."""

from __future__ import annotations

import html
import re
from os.path import relpath
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = ("CHANGELOG.md", "experiments/**/*.md", "experiments/**/*.png", "pdeops/zoo/*/README.md")
FIRST_SCREEN = re.compile(r"<!-- first screen -->\n(.*?)<!-- end of the first screen -->", re.S)
LINK = re.compile(r"(\]\()([^)\s#]+)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Pages and figures of the repository that are not in docs/, by their paths in it."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config["site_dir"], config["use_directory_urls"]))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """README's first screen in its place; links rewritten from the repository's folders to the site's."""
    source = Path(page.file.abs_src_path)
    if "<!-- README -->" in markdown:
        source = ROOT / "README.md"
        found = FIRST_SCREEN.search(source.read_text())
        assert found, "README.md has no first screen"
        markdown = markdown.replace("<!-- README -->", found[1])
    here = Path(page.file.src_uri).parent

    def moved(link: re.Match[str]) -> str:
        target = (source.parent / link[2]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return link[0]  # no path: mkdocs says so, or it is code
        name = target.relative_to(ROOT).as_posix().removeprefix("docs/")
        return link[1] + relpath(name, here)

    return LINK.sub(moved, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """LaTeX as MathML, which browsers draw without a script."""

    def drawn(formula: re.Match[str]) -> str:
        display = "block" if formula[1] == "div" else "inline"
        drawn = convert(html.unescape(formula[2]).strip(), display=display)
        return drawn.replace('<mi mathvariant="script">F</mi>', "<mi>\u2131</mi>")  # MathML Core knows no script

    return FORMULA.sub(drawn, content)
