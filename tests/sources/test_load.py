"""Sources by name: what is on this machine first, and what to try instead."""

import pytest

import pdeops
from pdeops.errors import InputError
from pdeops.sources import zoo
from pdeops.sources.load import resolve


@pytest.fixture
def members(tmp_path, monkeypatch, surrogate):
    """A zoo of one."""
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    folder = surrogate.save(tmp_path / "zoo" / "burgers1d-fno")
    (folder / "card.json").write_text("{}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_name_of_the_zoo(members, same, capsys):
    assert zoo.names() == ["burgers1d-fno"]
    same(pdeops.load("burgers1d-fno"))
    same(pdeops.load("zoo:burgers1d-fno"))
    assert capsys.readouterr().err == ""


def test_a_folder_here_comes_before_the_zoo(members, surrogate, same, capsys, tmp_path):
    surrogate.normalize_out.mean += 1
    surrogate.save("burgers1d-fno")
    same(pdeops.load("burgers1d-fno"))
    assert "burgers1d-fno is the folder here, not the zoo's: that is zoo:burgers1d-fno" in capsys.readouterr().err
    assert pdeops.load("zoo:burgers1d-fno").normalize_out.mean == 1


def test_directories_runs_and_paths(members, surrogate, same, tmp_path):
    surrogate.save(tmp_path / "run" / "surrogate")
    for source in (members, str(members), tmp_path / "run"):
        same(pdeops.load(source))
    assert resolve(tmp_path / "run") == tmp_path / "run"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("burger1d-fno", "no such folder or file, and no such name in the zoo. Did you mean 'burgers1d-fno'"),
        ("zoo:burgers-fno", "there is no 'burgers-fno' in the zoo. Did you mean 'burgers1d-fno'"),
        ("zoo:../here", r"there is no '\.\./here' in the zoo"),
        ("runs/none", "no such folder or file"),
    ],
)
def test_what_is_nowhere(members, source, message):
    with pytest.raises(InputError, match=message):
        pdeops.load(source)
