"""W&B artifacts, against a stand-in for its client: versions, aliases, the cache, and uploads."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import pdeops
from pdeops.cards.push import push
from pdeops.errors import InputError


class FakeWandb:
    """The calls of `wandb` that are used. versions: of each artifact, folders; asked: names that were looked up."""

    def __init__(self, root):
        self.root, self.versions, self.asked, self.reachable = root, {}, [], True

    def Api(self, timeout):
        return SimpleNamespace(artifact=self._artifact)

    def _artifact(self, name):
        self.asked.append(name)
        if not self.reachable:
            raise RuntimeError("no route to host")
        place, _, version = name.partition(":")
        if place not in self.versions:
            raise ValueError(f"artifact {name!r} not found\nmore")
        number = len(self.versions[place]) - 1 if version == "latest" else int(version.removeprefix("v"))
        folder = self.versions[place][number]
        download = lambda root: shutil.copytree(folder, root, dirs_exist_ok=True)  # noqa: E731
        return SimpleNamespace(version=f"v{number}", download=download)

    def add(self, place, folder):
        copy = self.root / place.replace("/", "-") / str(len(self.versions.get(place, [])))
        shutil.copytree(folder, copy)
        self.versions.setdefault(place, []).append(copy)

    def Artifact(self, name, type):
        made = SimpleNamespace(name=name, type=type, folder=None)
        made.add_dir = lambda folder: setattr(made, "folder", folder)
        return made

    def init(self, entity, project, job_type):
        fake = self

        class Run:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def log_artifact(self, artifact, aliases):
                place = f"{entity}/{project}/{artifact.name}"
                fake.add(place, artifact.folder)
                version = f"v{len(fake.versions[place]) - 1}"
                return SimpleNamespace(wait=lambda: None, version=version)

        return Run()


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    fake = FakeWandb(tmp_path / "server")
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return fake


def test_a_version_is_downloaded_once(wandb, surrogate, same, tmp_path):
    wandb.add("us/flow/fno", surrogate.save(tmp_path / "saved"))
    for _ in range(2):
        same(pdeops.load("wandb:us/flow/fno:v0"))
    assert wandb.asked == ["us/flow/fno:v0"]


def test_an_alias_is_looked_up_and_its_version_told(wandb, surrogate, same, tmp_path, capsys):
    wandb.add("us/flow/fno", surrogate.save(tmp_path / "saved"))
    same(pdeops.load("wandb:us/flow/fno"))
    assert "is version v0; to have it again: wandb:us/flow/fno:v0" in capsys.readouterr().err
    surrogate.normalize_out.mean += 1
    wandb.add("us/flow/fno", surrogate.save(tmp_path / "newer"))
    same(pdeops.load("wandb:us/flow/fno:latest"))
    assert wandb.asked == ["us/flow/fno:latest"] * 2
    assert pdeops.load("wandb:us/flow/fno:v0").normalize_out.mean == 1


def test_what_is_pushed_comes_back(wandb, surrogate, same, tmp_path):
    saved = surrogate.save(tmp_path / "saved")
    assert push(saved, "wandb:us/flow/fno") == "wandb:us/flow/fno:v0"
    assert push(saved, "wandb:us/flow/fno") == "wandb:us/flow/fno:v1"
    same(pdeops.load("wandb:us/flow/fno:v1"))
    assert {p.name for p in wandb.versions["us/flow/fno"][0].iterdir()} > {"card.json", "README.md"}


def test_faults(wandb, surrogate, tmp_path):
    for place in ("fno", "flow/fno", "../../etc:v0", "us/flow/fno:"):
        with pytest.raises(InputError, match="wanted wandb:entity/project/name"):
            pdeops.load(f"wandb:{place}")
    with pytest.raises(InputError, match=r"wandb:us/flow/x: artifact 'us/flow/x:latest' not found; a login is made by"):
        pdeops.load("wandb:us/flow/x")
    (tmp_path / "other").mkdir()
    wandb.add("us/flow/other", tmp_path / "other")
    with pytest.raises(InputError, match=r"holds no surrogate: no surrogate\.json, weights\.safetensors"):
        pdeops.load("wandb:us/flow/other:v0")
    assert not list(Path(tmp_path / "cache").rglob("*.tmp"))
    wandb.reachable = False
    with pytest.raises(InputError, match="no route to host"):
        pdeops.load("wandb:us/flow/fno:v7")


def test_other_places_are_refused(surrogate, tmp_path):
    with pytest.raises(InputError, match="wanted hub:owner/name or wandb:entity/project/name"):
        push(surrogate.save(tmp_path / "saved"), "s3://bucket/fno")
