"""Surrogates that older versions saved: read, by way of every format between."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pdeops import saved
from pdeops.errors import InputError
from pdeops.surrogate import FORMAT

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("form", range(1, FORMAT + 1))
def test_every_format_is_read(form):
    """A format has its folder here from the version on that wrote it first; it is never written anew."""
    folder = FIXTURES / f"format_{form}"
    assert json.loads((folder / "surrogate.json").read_text())["format"] == form
    values = load_file(folder / "values.safetensors")
    torch.testing.assert_close(saved.load(folder).predict(values["a"]), values["u"])


def test_migrations_are_taken_one_after_the_other(monkeypatch):
    way = {
        1: lambda d: {**d, "format": 2, "way": [1]},
        2: lambda d: {**d, "format": 3, "way": [*d["way"], 2]},
    }
    monkeypatch.setattr(saved, "MIGRATIONS", way)
    monkeypatch.setattr(saved, "FORMAT", 3)
    assert saved.current({"format": 1})["way"] == [1, 2]
    assert saved.current({"format": 2, "way": []})["way"] == [2]


@pytest.mark.parametrize("form", [0, FORMAT + 1, "1", 1.0, True, None, [1], {}])
def test_other_formats_are_refused(form, tmp_path):
    shutil.copytree(FIXTURES / "format_1", tmp_path / "s")
    path = tmp_path / "s" / "surrogate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": form}))
    with pytest.raises(InputError, match="update pdeops"):
        saved.load(tmp_path / "s")
