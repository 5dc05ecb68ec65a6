"""Cards of runs: what they say is what was trained and measured, and folders are replaced whole or not at all."""

import hashlib
import json
from types import SimpleNamespace

import pytest
import torch

import pdeops
from pdeops.cards import bundle as bundles
from pdeops.cards.bundle import bundle, write_card
from pdeops.cards.card import equation, summary
from pdeops.cards.page import page
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.kolmogorov import KolmogorovFlow


@pytest.fixture
def trained(run, tiny, tmp_path):
    """The folder of a small run."""
    status, _, err = run("train", *tiny, "seed=3", f"hydra.run.dir={tmp_path / 'run'}")
    assert status == 0, err
    return tmp_path / "run"


def test_the_card_of_a_run(trained, tmp_path):
    write_card(trained, tmp_path / "out", "mine")
    card = json.loads((tmp_path / "out" / "card.json").read_text(), parse_constant=pytest.fail)
    metrics = json.loads((trained / "metrics.json").read_text())
    for name, value in card["test"]["metrics"].items():
        assert value == pytest.approx(metrics[f"test/{name}"], rel=1e-4), name
    assert card["test"]["metrics"].keys() == {name.removeprefix("test/") for name in metrics}
    quantiles = list(card["test"]["quantiles"]["relative_l2"].values())
    assert quantiles == sorted(quantiles)
    curve = card["test"]["curve"]
    assert curve["times"] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert card["model"] == {
        "class": "FNO",
        "parameters": sum(p.numel() for p in pdeops.load(trained).model.parameters()),
    }
    assert card["problem"]["parameters"]["viscosity"] == 1e-3
    data = tmp_path / "data" / card["data"]["file"]
    assert card["data"]["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert card["data"]["samples"] == {"train": 6, "validation": 2, "test": 2}
    assert card["data"]["command"].startswith("pdeops generate data=ns2d problem.n=8 ")
    command = card["training"]["command"]
    assert command.startswith("python train.py data=ns2d problem.n=8 ")
    assert command.endswith(" seed=3")
    assert "hydra" not in command
    assert str(tmp_path) not in command
    assert card["training"]["epochs"] == 2
    text = (tmp_path / "out" / "README.md").read_text()
    for part in ("# mine", "w_t + u . grad w = viscosity Laplace w", "| of whole roll-outs |", "a (batch, 2, 8, 8)"):
        assert part in text
    assert f"vorticity from {card['data']['ranges']['vorticity']['min']:.3g} to " in text


def test_the_card_of_a_surrogate_alone(trained, tmp_path):
    write_card(trained / "surrogate", tmp_path / "out", "mine", licence="apache-2.0")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "license: apache-2.0" in text
    assert "What it is worth" not in text
    assert json.loads((tmp_path / "out" / "card.json").read_text()).keys() >= {"problem", "input", "output", "model"}


def test_commands(trained, run):
    status, out, _ = run("card", str(trained), "--name", "mine")
    assert (status, out.strip()) == (0, str(trained / "README.md"))
    assert (trained / "card.json").is_file()
    status, _, err = run("card", "nowhere")
    assert status == 2
    assert "no such folder or file" in err


def test_a_folder_is_replaced_whole_or_not_at_all(trained, tmp_path, monkeypatch):
    out = tmp_path / "zoo" / "mine"
    bundle(trained, out, "mine")
    assert {p.name for p in out.iterdir()} == {"surrogate.json", "weights.safetensors", "card.json", "README.md"}
    (out / "old").write_text("")

    def fails(*args):
        raise RuntimeError("no")

    with monkeypatch.context() as m:
        m.setattr(bundles, "write_card", fails)
        with pytest.raises(RuntimeError):
            bundle(trained, out, "mine")
    assert (out / "old").exists()
    bundle(trained, out, "mine")
    assert not (out / "old").exists()
    assert [p.name for p in out.parent.iterdir()] == ["mine"]


def test_what_has_a_card_keeps_it(trained, tmp_path):
    bundle(trained, tmp_path / "a", "a")
    bundle(tmp_path / "a", tmp_path / "b", "b")
    assert (tmp_path / "b" / "card.json").read_bytes() == (tmp_path / "a" / "card.json").read_bytes()


@pytest.mark.parametrize(
    ("errors", "until", "ends_first"),
    [
        ([0.01, 0.05, 0.2, 0.05], 2.0, False),
        ([0.01, 0.05, 0.09, 0.1], 4.0, True),
        ([0.2, 0.01, 0.01, 0.01], 0.0, False),
    ],
)
def test_how_far_roll_outs_are_good(errors, until, ends_first):
    """Up to the last frame before the first mean error above a tenth; of two samples, half and one and a half times."""
    curve = torch.tensor([[0.5], [1.5]]) * torch.tensor(errors)
    found = SimpleNamespace(
        samples=(0, 1),
        means={"relative_l2": 0.1, "rollout/relative_l2": 0.2, "rollout/pearson": float("nan")},
        quantiles=lambda name, levels: [0.1 for _ in levels],
        seconds=1e-3,
        times=torch.arange(1.0, 5.0),
        curve=curve,
        window=SimpleNamespace(n_out=1),
    )
    told = summary(found)
    assert (told["curve"]["good_until"], told["curve"]["ends_first"]) == (until, ends_first)
    assert told["curve"]["largest"] == pytest.approx([1.5 * e for e in errors])
    assert told["metrics"]["rollout/pearson"] is None
    found.window.n_out = 4  # one output is the whole of it
    assert set(summary(found)["quantiles"]) == {"relative_l2"}


def test_equations_are_a_sentence():
    assert equation(Burgers1D(n=16)).startswith("u_t + (u^2 / 2)_x = viscosity u_xx on [0, length], periodic")
    assert equation(KolmogorovFlow(n=16)).endswith("the curl of the body force (sin(kappa y), 0) - drag u")


def test_a_page_of_a_steady_problem_says_nothing_of_time():
    side = {"channels": ["k"], "grid": [{"n": 9}, {"n": 9}]}
    card = {"name": "d", "licence": "mit", "problem": None, "input": side, "output": side, "time_step": None}
    text = page(card | {"model": {"class": "FNO", "parameters": 7}})
    assert "rollout" not in text
    assert "FNO, 7 parameters: k on 9 x 9 nodes to k on 9 x 9 nodes." in text
