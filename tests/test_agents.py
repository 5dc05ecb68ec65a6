"""What sweep agents put on a command line: the shipped W&B sweep, in the forms that W&B's own agent writes."""

import json
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from pdeops.app import _from_an_agent
from pdeops.overrides import shipped

SWEEP = yaml.safe_load((Path(__file__).parents[1] / "docs" / "wandb_sweep.yaml").read_text())
CHOSEN = {"optimizer.lr": 3e-05, "model.width": 4, "model.modes": 4, "scheduler": None, "model.coordinates": False}


def words(form, chosen):
    """The words after the script's name."""
    macros = create_sweep_command_args({"args": {key: {"value": value} for key, value in chosen.items()}})
    command = create_sweep_command(
        [{"${args_no_hyphens}": f"${{{form}}}"}.get(text, text) for text in SWEEP["command"]]
    )
    at = command.index(f"${{{form}}}")
    command[at : at + 1] = macros[form]
    return command[command.index("${program}") + 1 :]


@pytest.mark.parametrize("form", ["args", "args_no_hyphens", "args_override_hydra"])
def test_a_run_of_an_agent(run, tiny, form):
    chosen = CHOSEN | {"_wandb": {"value": {"cli_version": "0.31"}}}
    if form == "args_override_hydra":
        del chosen["scheduler"]  # Hydra forces values, not groups
    given = [text for text in words(form, chosen) if not text.startswith("logger=")]
    status, _, err = run("train", *tiny, *given, "trainer.max_epochs=1", "hydra.run.dir=x")
    assert status == 0, err
    config = json.loads(Path("x/config.json").read_text())
    assert config["optimizer"]["lr"] == 3e-05
    assert config["model"]["width"] == 4
    assert config["model"]["coordinates"] is False
    assert (config["scheduler"] is None) == (form != "args_override_hydra")
    assert config["test"] is False


def test_what_an_agent_writes_and_what_is_hydras():
    assert _from_an_agent("--model.width=4") == "model.width=4"
    assert _from_an_agent("--_wandb={'value': 3}") is None
    assert _from_an_agent("++_wandb=3") is None
    assert _from_an_agent("--scheduler=None") == "scheduler=null"
    for text in ("--cfg=job", "--config-dir=x", "-m", "--help", "--resume=x", "model=fno", "~scheduler", "+a.b=[1,2]"):
        assert _from_an_agent(text) == text


def test_the_shipped_sweep_names_what_there_is():
    assert SWEEP["program"] == shipped("train.py").name
    assert SWEEP["metric"]["name"] == "val/relative_l2"
