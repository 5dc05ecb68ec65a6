"""A surrogate with its card in a folder of its own: what is pushed, and what the zoo is made of."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pdeops import saved
from pdeops.cards.card import card, describe
from pdeops.cards.page import page
from pdeops.files import atomically
from pdeops.report.runs import read
from pdeops.sources.zoo import CARD

PAGE = "README.md"


def write_card(source: Path, out: Path, name: str, licence: str = "mit") -> Path:
    """`card.json` and `README.md` in the folder `out`: of a finished run with data, training and test; those of a
    surrogate that has them; of any other surrogate what it says of itself. Where the page is."""
    if not (source / "metrics.json").is_file() and all((source / file).is_file() for file in (CARD, PAGE)):
        contents = [(file, (source / file).read_text()) for file in (CARD, PAGE)]
    else:
        run = read(source)
        made = describe(saved.load(source), name, licence) if run is None else card(run, name, licence)
        contents = [(CARD, json.dumps(made, indent=2, allow_nan=False)), (PAGE, page(made))]
    for file, content in contents:
        with atomically(out / file) as temporary:
            temporary.write_text(content)
    return out / PAGE


def bundle(source: Path, out: Path, name: str, licence: str = "mit") -> None:
    """A folder with the surrogate of `source`, a run, a directory or a checkpoint, and its card; one that is there is
    replaced as a whole."""
    with _whole(out) as folder:
        saved.load(source).save(folder)
        write_card(source, folder, name, licence)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A new sibling of a folder, that takes its place on success and is removed on failure."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{mark}.{kind}") for kind in ("tmp", "old"))
    new.mkdir()
    try:
        yield new
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
