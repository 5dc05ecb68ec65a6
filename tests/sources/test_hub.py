"""The Hugging Face Hub, against a server on this machine: commits, caches, and what is told when something fails."""

import pytest

import pdeops
from pdeops.cards.push import push
from pdeops.errors import InputError
from pdeops.sources import hub as source

pytest.importorskip("huggingface_hub")


@pytest.fixture
def there(hub, surrogate, tmp_path):
    """A repository with the surrogate; its commit."""
    folder = surrogate.save(tmp_path / "saved")
    return hub.commit("me/mine", {p.name: p.read_bytes() for p in folder.iterdir()} | {"large.bin": b"x"})


def test_a_repository_is_a_source_and_its_commit_is_told(hub, there, same, capsys):
    same(pdeops.load("hub:me/mine"))
    assert f"at commit {there}; for ever: hub:me/mine@{there}" in capsys.readouterr().err
    assert not any(path.endswith("large.bin") for path in hub.asked)


def test_a_commit_in_the_cache_is_not_asked_for_again(hub, there, same):
    same(pdeops.load(f"hub:me/mine@{there}"))
    hub.asked.clear()
    same(pdeops.load(f"hub:me/mine@{there}"))
    assert hub.asked == []


def test_a_pinned_commit_stays_what_it_was(hub, there, surrogate, same, tmp_path):
    surrogate.normalize_out.mean += 1
    newer = hub.commit("me/mine", {p.name: p.read_bytes() for p in surrogate.save(tmp_path / "newer").iterdir()})
    same(pdeops.load(f"hub:me/mine@{newer}"))
    assert pdeops.load(f"hub:me/mine@{there}").normalize_out.mean == 1
    same(pdeops.load("hub:me/mine"))


def test_offline_the_cache_serves_and_says_so(hub, there, same, monkeypatch, capsys):
    from huggingface_hub import constants

    pdeops.load("hub:me/mine")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    same(pdeops.load("hub:me/mine"))
    assert "HF_HUB_OFFLINE is set; taking what is cached of hub:me/mine" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"hub:me/other: HF_HUB_OFFLINE is set, and the cache .* does not hold it"):
        pdeops.load("hub:me/other")


def test_out_of_reach(hub, there, same):
    pdeops.load("hub:me/mine")
    hub.close()
    same(pdeops.load("hub:me/mine"))
    with pytest.raises(InputError, match="the Hub is out of reach"):
        pdeops.load("hub:me/other")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("me/nothing", "no such repository; a private one needs a login"),
        ("me/mine@nothing", "no such revision"),
        ("mine", "wanted hub:owner/name or hub:owner/name@revision"),
        ("../mine", "wanted hub:owner/name"),
        ("me/mine@", "wanted hub:owner/name"),
    ],
)
def test_what_is_not_there(hub, there, place, message):
    with pytest.raises(InputError, match=message):
        pdeops.load(f"hub:{place}")


def test_a_repository_of_something_else(hub):
    hub.commit("me/bert", {"model.safetensors": b"", "config.json": b"{}"})
    with pytest.raises(InputError, match=r"no surrogate in .*surrogate\.json"):
        pdeops.load("hub:me/bert")


def test_what_is_pushed_comes_back(hub, surrogate, same, tmp_path):
    place = push(surrogate.save(tmp_path / "saved"), "hub:me/new")
    assert place == f"hub:me/new@{hub.sha('me/new', 1)}"
    same(pdeops.load(place))
    assert sorted(hub.repositories["me/new"][-1]) == ["README.md", "card.json", "surrogate.json", "weights.safetensors"]
    page = hub.repositories["me/new"][-1]["README.md"].decode()
    assert page.startswith("---\nlicense: mit\nlibrary_name: pdeops\n")


def test_pushing_needs_a_login(hub, surrogate, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match="log in with leave to write: hf auth login"):
        push(surrogate.save(tmp_path / "saved"), "hub:me/new")


@pytest.mark.parametrize("place", ["me/..", "mine"])
def test_a_place_is_refused_before_anything_is_read(place, tmp_path):
    with pytest.raises(InputError, match=f"hub:{place}: wanted hub:owner/name"):
        push(tmp_path / "nothing", f"hub:{place}")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"hub:me/mine needs the package huggingface_hub: pip install 'pdeops\[hub\]'"):
        source.fetch("me/mine")
