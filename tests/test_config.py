"""Every configuration composes and passes its checks; configurations and classes match one to one."""

import ast
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import pdeops.app
from pdeops.overrides import checked, shipped

CONF = shipped("conf")
OPTIONS = sorted(f"{p.parent.relative_to(CONF)}={p.stem}" for p in CONF.glob("*/*.yaml"))


def compose_with(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=[*overrides], return_hydra_config=True)
    OmegaConf.set_struct(config, False)
    config.hydra.runtime.output_dir = "out"
    from hydra.core.hydra_config import HydraConfig

    HydraConfig.instance().set_config(config)
    config.pop("hydra")
    return config


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_passes_its_checks(option):
    group, name = option.split("=")
    choice = f"solver@problem.solver={name}" if group == "solver" else option
    needs = ["data.file=x.h5"] if option == "data=file" else []
    plain = checked(compose_with(choice, *needs))
    if group == "solver":
        assert plain["problem"]["solver"]["scheme"] == name
    elif group not in ("experiment", "debug"):
        assert plain[group]


def classes(folder):
    for path in (Path(pdeops.app.__file__).parent / folder).glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield f"pdeops.{folder}.{path.stem}.{node.name}"


@pytest.mark.parametrize(("group", "folder"), [("model", "models"), ("loss", "losses"), ("problem", "problems")])
def test_every_class_has_its_configuration(group, folder):
    named = {OmegaConf.load(p)["_target_"] for p in (CONF / group).glob("*.yaml")}
    abstract = {f"pdeops.problems.base.{n}" for n in ("Problem", "Elliptic", "Evolution", "Solution")}
    assert set(classes(folder)) - abstract == named


def test_engines_and_generated_data_show_all_their_keys():
    import inspect

    from pdeops.data import engine
    from pdeops.data.module import Generated

    named = {OmegaConf.load(p)["_target_"].rpartition(".")[2] for p in (CONF / "engine").glob("*.yaml")}
    assert named == {c.__name__ for c in engine.Engine.__subclasses__() if c.__module__ == engine.__name__}
    nodes = [
        OmegaConf.to_container(OmegaConf.load(p)) for group in ("engine", "data") for p in (CONF / group).glob("*")
    ]
    for node in nodes:
        module, _, name = node.pop("_target_").rpartition(".")
        if module == engine.__name__ or name == "Generated":
            cls = getattr(engine, name, Generated)
            assert set(node) - {"defaults"} == set(inspect.signature(cls).parameters) - {"problem"}
            assert node.get("engine", "${engine}") == "${engine}"


def test_defaults_are_those_of_the_code():
    """A value in a model's configuration is the constructor's default: one truth, written for the reader."""
    import inspect

    from pdeops.models.fno import FNO

    defaults = {k: p.default for k, p in inspect.signature(FNO).parameters.items() if p.default is not p.empty}
    config = OmegaConf.to_container(OmegaConf.load(CONF / "model" / "fno.yaml"))
    assert {k: v for k, v in config.items() if k != "_target_"} == defaults
