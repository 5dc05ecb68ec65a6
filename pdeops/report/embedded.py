"""Figures inside a page: SVG without links, whose ink is the page's own colour, in light and in dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from html import escape
from io import StringIO
from typing import Any

from pdeops.report.canvas import pyplot

INK = "#010203"  # becomes the colour of the page's text
TRUTH, PREDICTION, ERROR = INK, "#e8710a", "#d93025"
SERIES = ("#1a73e8", "#e8710a", "#12876f", "#a142f4", "#d93025", "#8d6e63", "#0097a7", "#c2185b")
STYLE = {
    "svg.fonttype": "none",  # text stays text: small, sharp, searchable
    "svg.hashsalt": "pdeops",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
}
DOTS = 120  # an inch, of what is drawn in pixels


@contextmanager
def styled(paper: str = "none") -> Iterator[Any]:
    """matplotlib.pyplot, with the look of a page's figures, on the page itself or on a paper of their own."""
    plt = pyplot()
    with plt.rc_context({**STYLE, "figure.facecolor": paper}):
        yield plt


def inline(figure: Any, alt: str) -> str:
    """The figure as an <svg> element, and closed. alt: what it shows, in words, for those who do not see it."""
    stream = StringIO()
    figure.savefig(stream, format="svg", dpi=DOTS, metadata={"Date": None})
    pyplot().close(figure)
    text = stream.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]+;?", "", text)
    text = text.replace(INK, "currentColor")
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in referred else "", text)
    mark = blake2b(f"{alt}{text}".encode(), digest_size=4).hexdigest()  # an id is one of the whole page
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>f{mark}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
