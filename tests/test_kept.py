"""Compiled functions between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pdeops

pytest.importorskip("numba")
ROOT = Path(pdeops.__file__).parent
INNER = "from numba import njit\n\nvalue = njit(lambda: {})\n"
OUTER = """
from inner import value
from numba import njit
from pdeops.kept import kept

@kept(njit)
def outer():
    return value()

print(outer(), sum(outer.stats.cache_hits.values()))
"""


def outer(folder, returned, **environment):
    """What a new process gets from `outer`, and how often from what is kept."""
    (folder / "inner.py").write_text(INNER.format(returned))
    (folder / "outer.py").write_text(OUTER)
    path = os.pathsep.join([str(ROOT.parent), str(folder)])
    done = subprocess.run(
        [sys.executable, folder / "outer.py"], env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(map(int, done.stdout.split()))


def test_kept_until_a_file_changes_that_it_inlines(tmp_path):
    assert [outer(tmp_path, value) for value in (1, 1, 2)] == [(1, 0), (1, 1), (2, 0)]


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path):
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "ZipCacheLocator"}  # the one that takes no plain file
    assert [outer(tmp_path, 1, **nowhere) for _ in range(2)] == [(1, 0), (1, 0)]


def test_all_that_is_kept_is_kept_so():
    for path in ROOT.rglob("compiled/*.py"):
        assert "cache=True" not in path.read_text(), path
