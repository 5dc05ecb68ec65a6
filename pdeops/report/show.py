"""A data file as something to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pdeops.data.file import DataFile
from pdeops.errors import InputError
from pdeops.files import check_free
from pdeops.report.animation import animate as draw_animation
from pdeops.report.page import draw_page
from pdeops.report.selection import select

SUFFIXES = (".png", ".gif", ".mp4")


def show(
    path: str | Path,
    out: str | Path | None = None,
    *,
    samples: int | Sequence[int] | None = None,
    field: str | None = None,
    animate: bool = False,
    force: bool = False,
) -> Path:
    """Draw a data file: one page (.png) or an animation (.gif, .mp4), by default beside the file; the figure's path.

    samples: so many from the first, or their numbers; field: one field alone; force: replace an existing figure.
    Raises InputError on a file, field, sample or name of a figure that does not fit, and if the figure is there.
    """
    path = Path(path)
    out = Path(out) if out else path.with_suffix(".gif" if animate else ".png")
    if out.suffix not in SUFFIXES:
        raise InputError(f"{out}: a figure's name ends in {', '.join(SUFFIXES)}, and this one in {out.suffix!r}")
    if animate and out.suffix == ".png":
        raise InputError(f"{out}: a .png does not move; an animation's name ends in .gif or .mp4")
    check_free(out, force)
    file = DataFile(path)
    try:
        chosen = select(file, samples, field)
        draw = draw_page if out.suffix == ".png" else draw_animation
        return draw(chosen, out, overwrite=force)
    finally:
        file.close()
