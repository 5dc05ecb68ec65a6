"""Training on fresh inputs and residuals alone, from the command line."""

import json
from pathlib import Path

import pytest
import torch

import pdeops
from pdeops.problems.spectral_poisson import SpectralPoisson
from tests.test_config import compose_with

SMALL = ["data.n=10", "data.split=[0.2,0.2,0.6]", "data.fresh=30", "data.batch_size=8", "trainer=cpu"]
POISSON = [
    *SMALL,
    "experiment=nsm_poisson",
    "problem.n=16",
    "model.nodes=16",
    "model.modes=8",
    "model.width=16",
    "model.depth=2",
]
ROBIN = [*POISSON, "data=poisson_robin", "loss.alpha=1", "problem.boundary.amplitude=0.01"]
FISHER = [
    *SMALL, "experiment=nsm_reaction_diffusion", "problem.n=32", "problem.frames=8", "data.window.n_out=8",
    "model.nodes=[8,16]", "model.modes=[4,12]", "model.width=16", "model.depth=2",
]  # fmt: skip


def folder(pattern):
    (found,) = Path.cwd().glob(pattern)
    return found


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("nsm_poisson", POISSON), ("nsm_poisson", ROBIN), ("nsm_reaction_diffusion", FISHER)],
    ids=["dirichlet", "robin", "fisher"],
)
def test_it_learns_without_solutions(run, name, overrides):
    status, _, err = run("train", *overrides, "trainer.max_epochs=6", "optimizer.lr=1e-2")
    assert status == 0, err
    metrics = json.loads((folder(f"runs/{name}/*") / "metrics.json").read_text())
    assert metrics["test/relative_l2"] < 0.3


def test_outputs_are_scaled_by_the_equation(run):
    assert run("train", *POISSON, "data.fresh=1", "trainer.max_epochs=1", "test=false")[0] == 0
    surrogate = pdeops.load(folder("runs/nsm_poisson/*"))
    problem = surrogate.problem
    assert isinstance(problem, SpectralPoisson)
    truth = problem.solve(problem.sample(range(64), 3)).u
    assert float(surrogate.normalize_out.std) == pytest.approx(float(truth.std()), rel=0.5)
    assert float(surrogate.normalize_out.mean) == 0
    u = surrogate.predict(torch.randn(2, 1, 16, 16), problem.grid.resized((40, 30)))
    assert u.shape == (2, 1, 40, 30)
    assert u[..., [0, -1], :].abs().max() == 0


@pytest.mark.parametrize("name", ["nsm_ns2d", "nsm_ns2d_forced"])
def test_an_operator_under_a_force_is_told_where_it_is(name):
    """One that commutes with translations cannot learn a force that does not."""
    config = compose_with(f"experiment={name}")
    assert config.model.coordinates is (config.problem.forcing is not None)


def test_a_loss_that_needs_solutions_is_refused_before_any_data(run):
    status, _, err = run("train", *POISSON, "loss=l2")
    assert status == 2
    assert "data.fresh=30 trains without solutions" in err
    assert "loss=residual" in err
    assert not list(Path.cwd().glob("data/*.h5"))
