"""Every configuration composes and passes its checks; configurations and classes match one to one."""

import ast
import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf

import pdeops.app
from pdeops.data import engine
from pdeops.overrides import checked, shipped
from pdeops.problems.base import Problem
from pdeops.problems.ode import Restarted
from pdeops.solvers.schemes import SCHEMES
from pdeops.solvers.steppers import Stepper
from pdeops.solvers.systems import LinearSolver

CONF = shipped("conf")
OPTIONS = sorted(f"{p.parent.relative_to(CONF)}={p.stem}" for p in CONF.glob("*/*.yaml") if p.parent.name != "search")


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
    if option == "optimizer=soap":
        pytest.importorskip("pytorch_optimizer")
    choice, needs = option, ["data.file=x.h5"] if option == "data=file" else []
    if group == "solver":  # with a problem that takes it
        target = OmegaConf.load(CONF / "solver" / f"{name}.yaml")["_target_"]
        choice = f"solver@problem.solver={name}"
        needs = ["data=ns2d" if get_class(target) is Stepper else "data=darcy"]
    if group == "branch":  # of a model that has one
        target = OmegaConf.load(CONF / "branch" / f"{name}.yaml")["_target_"]
        choice, needs = f"branch@model.branch={name}", ["model=deeponet"]
    plain = checked(compose_with(choice, *needs))
    if group == "solver":
        assert plain["problem"]["solver"]["_target_"] == target
    elif group == "branch":
        assert plain["model"]["branch"]["_target_"] == target
    elif group not in ("experiment", "debug"):
        assert plain[group]


def classes(folder):
    for path in (Path(pdeops.app.__file__).parent / folder).glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield f"pdeops.{folder}.{path.stem}.{node.name}"


def problems():
    """Every concrete problem."""
    for name in classes("problems"):
        cls = get_class(name)
        if issubclass(cls, Problem) and not inspect.isabstract(cls) and cls is not Restarted:  # made of another one
            yield name


@pytest.mark.parametrize(
    ("group", "found"), [("model", classes("models")), ("loss", classes("losses")), ("problem", problems())]
)
def test_every_class_has_its_configuration(group, found):
    assert set(found) == {OmegaConf.load(p)["_target_"] for p in (CONF / group).glob("*.yaml")}


def solvers():
    """The configurations of solvers, by name: of steppers, and of linear solvers."""
    nodes = {p.stem: OmegaConf.to_container(OmegaConf.load(p)) for p in (CONF / "solver").glob("*.yaml")}
    steppers = {name: node for name, node in nodes.items() if get_class(node["_target_"]) is Stepper}
    return steppers, {name: node for name, node in nodes.items() if name not in steppers}


def test_every_scheme_has_its_configuration():
    steppers, _ = solvers()
    assert {name: node["scheme"] for name, node in steppers.items()} == {scheme: scheme for scheme in SCHEMES}


def test_every_linear_solver_has_its_configuration():
    found = {n for n in classes("solvers") if inspect.isclass(get_class(n)) and issubclass(get_class(n), LinearSolver)}
    _, linear = solvers()
    assert {node["_target_"] for node in linear.values()} == {n for n in found if not inspect.isabstract(get_class(n))}
    for name, node in linear.items():
        cls = get_class(node.pop("_target_"))
        assert cls.__name__.lower() == name
        # all keys are shown, with the constructor's defaults
        assert node == {key: p.default for key, p in inspect.signature(cls).parameters.items()}
        cls(**node)


def test_engines_and_generated_data_show_all_their_keys():
    paths = [*(CONF / "engine").glob("*.yaml"), CONF / "data" / "base" / "generated.yaml"]
    nodes = [OmegaConf.to_container(OmegaConf.load(path)) for path in paths]
    for node in nodes:
        cls = get_class(node.pop("_target_"))
        assert set(node) == set(inspect.signature(cls).parameters) - {"problem", "ahead"}
    engines = {c.__name__ for c in engine.Engine.__subclasses__() if c.__module__ == engine.__name__}
    assert engines == {OmegaConf.load(p)["_target_"].rpartition(".")[2] for p in (CONF / "engine").glob("*.yaml")}
    assert nodes[-1]["engine"] == "${engine}"


@pytest.mark.parametrize("path", sorted((CONF / "problem").glob("*.yaml")), ids=lambda p: p.stem)
def test_problems_show_all_their_keys(path):
    """What is not written in a configuration cannot be set on the command line."""
    node = OmegaConf.to_container(OmegaConf.load(path))

    def check(node):
        shown = set(node) - {"_target_", "defaults"}
        wanted = set(inspect.signature(get_class(node["_target_"])).parameters)
        assert shown == wanted - ({"solver"} if "defaults" in node else set())
        for value in node.values():
            if isinstance(value, dict) and "_target_" in value:
                check(value)

    check({k: v for k, v in node.items() if k != "solver"})


@pytest.mark.parametrize("name", ["fano", "fno", "latent_transformer", "sfno", "tno", "vitno"])
def test_defaults_are_those_of_the_code(name):
    """A value in a model's configuration is the constructor's default: one truth, written for the reader."""
    config = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{name}.yaml"))
    parameters = inspect.signature(get_class(config["_target_"])).parameters
    defaults = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    assert {k: v for k, v in config.items() if k not in ("_target_", "defaults")} == defaults


def test_a_space_time_model_brings_its_window():
    window = checked(compose_with("model=sfno", "data=ns2d"))["data"]["window"]
    assert (window["history"], window["n_in"]) == ("time", 10)
    assert checked(compose_with("model=sfno", "data.window.n_out=7"))["data"]["window"]["n_out"] == 7
