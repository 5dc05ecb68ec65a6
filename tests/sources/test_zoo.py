"""The zoo: every recipe has its member, small, with a card that fresh samples confirm."""

import json
from functools import cache

import pytest

import pdeops
from pdeops.config import fingerprint, from_config
from pdeops.data.generate import generate
from pdeops.overrides import shipped
from pdeops.report.evaluation import evaluate
from pdeops.report.runs import parameters
from pdeops.sources import zoo

NAMES = zoo.names()


def test_every_recipe_has_its_member():
    assert {path.stem for path in shipped("conf").glob("experiment/zoo/*.yaml")} == set(NAMES)
    assert {name.partition("-")[0] for name in NAMES} >= {
        "darcy",
        "burgers1d",
        "ns2d",
        "kolmogorov",
        "reaction_diffusion",
    }
    classes = {zoo.card(name)["model"]["class"] for name in NAMES}
    assert classes >= {"FNO", "SFNO", "MgNO", "DeepONet", "LSM", "LatentTransformer", "NSM"}


def test_the_zoo_is_small():
    assert sum(path.stat().st_size for path in zoo.FOLDER.rglob("*")) < 15e6


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_of_their_surrogates(name):
    surrogate, card = pdeops.load(name), zoo.card(name)
    assert card["name"] == name
    assert card["model"]["parameters"] == parameters(surrogate.model) <= 1_000_000
    assert card["problem"]["name"] == name.partition("-")[0] == surrogate.problem.name
    assert card["training"]["command"] == f"python train.py experiment=zoo/{name} seed=0"
    assert card["training"]["commit"]
    assert 0 < card["test"]["metrics"]["relative_l2"] < 0.05
    text = json.dumps(card) + (zoo.folder(name) / "README.md").read_text()
    assert "/tmp" not in text
    assert "/home" not in text
    assert sorted(path.name for path in zoo.folder(name).iterdir()) == [
        "README.md",
        "card.json",
        "surrogate.json",
        "weights.safetensors",
    ]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A file of three samples of a member's problem that nobody has seen, one for all on a data set."""
    folder = tmp_path_factory.mktemp("fresh")

    @cache
    def make(problem):
        path = folder / f"{fingerprint(problem)}.h5"
        return generate(from_config(json.loads(problem)), path, n=3, seed=1, split=(1.0, 0.0, 0.0), shard=3)

    return lambda name: make(json.dumps(zoo.card(name)["problem"]["config"], sort_keys=True))


@pytest.mark.parametrize("name", NAMES)
def test_fresh_samples_confirm_the_card(name, fresh):
    found = evaluate(pdeops.load(name), fresh(name), split="all", windows=4)
    known = zoo.card(name)["test"]
    for metric, quantiles in known["quantiles"].items():
        if metric in found.values:
            assert found.means[metric] < 1.5 * quantiles["1.0"], metric
            assert found.means[metric] > 0.2 * quantiles["0.5"], metric


def test_the_list(run):
    status, out, _ = run("list")
    assert status == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[2 : 2 + len(NAMES)]] == NAMES
    assert "u_t + (u^2 / 2)_x = viscosity u_xx" in out
