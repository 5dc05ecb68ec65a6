"""`pdeops ensemble`: surrogates and runs become one; what does not belong together is refused by name."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import pdeops
from pdeops.ensembling import ensemble
from pdeops.errors import InputError
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.surrogate import Surrogate
from pdeops.training import surrogate_on
from pdeops.window import Window

DATA = {"_target_": "pdeops.data.module.Generated", "n": 10, "seed": 0, "split": [0.6, 0.2, 0.2], "batch_size": 8}


def save(folder, seed, *, n_in=2, data=(), **problem):
    """What a run of `train` leaves, as far as it matters here."""
    fisher = ReactionDiffusion(n=16, frames=9, **problem)
    window = Window(n_in=n_in).on(fisher.grid, fisher.out_names, ())
    torch.manual_seed(seed)
    model = FNO(n_in, 1, window.grid_in, window.grid_out, width=4, modes=4, depth=1)
    units = Normalizer(torch.full((n_in,), 0.5), torch.ones(n_in)), Normalizer.identity(1)
    Surrogate(model, window, *units, fisher).save(Path(folder) / "surrogate")
    (Path(folder) / "config.json").write_text(json.dumps({"data": DATA | dict(data)}))


@pytest.fixture
def sweep(run):
    for seed in range(3):
        save(f"sweep/{seed}", seed, data={"shuffle_seed": seed, "batch_size": 8 + seed})
    return run


def test_a_sweep_becomes_one_surrogate(sweep):
    status, out, _ = sweep("ensemble", "sweep", "-o", "whole")
    assert (status, out) == (0, "an ensemble of 3: whole\n")
    whole, each = pdeops.load("whole"), [pdeops.load(f"sweep/{i}") for i in range(3)]
    a = torch.randn(2, 2, 16)
    torch.testing.assert_close(whole.predict(a), torch.stack([s.predict(a) for s in each]).mean(0))
    status, _, err = sweep("ensemble", "sweep", "-o", "whole")
    assert (status, "there is a surrogate in whole; replace it with --force" in err) == (2, True)
    two = ensemble(["sweep/2", "sweep/0/surrogate"])
    assert torch.equal(two.members[0].predict(a), each[2].predict(a))
    two.save("two")
    assert sweep("ensemble", "sweep/1", "two", "-o", "whole", "--force")[:2] == (0, "an ensemble of 3: whole\n")


def test_what_does_not_belong_together_is_refused(sweep):
    for changes, told in (
        ({"data": {"n": 12}}, r"data\.n is 10 in sweep/0 and 12 in other"),
        ({"data": {"seed": 7}}, r"data\.seed is 0 in sweep/0 and 7 in other"),
        ({"n_in": 1}, r"window\.n_in is 2 in sweep/0 and 1 in other"),
        ({"diffusivity": 0.02}, r"problem\.diffusivity is 0\.01 in sweep/0 and 0\.02 in other"),
    ):
        save("other", 3, **changes)
        with pytest.raises(InputError, match=told):
            ensemble(["sweep/0", "other"])
    pdeops.load("sweep/1").double().save("double")
    with pytest.raises(InputError, match=r"precision is 'torch\.float32' in sweep/0 and 'torch\.float64' in double"):
        ensemble(["sweep/0", "double"])
    with pytest.raises(InputError, match="sweep/0 and copy have the same weights: train members with different seeds"):
        ensemble(["sweep/0", "sweep/1", shutil.copytree("sweep/0", "copy")])
    with pytest.raises(InputError, match="1 surrogate in sweep/0: an ensemble needs two or more"):
        ensemble(["sweep/0"])
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        ensemble(["sweep", "nowhere"])


def test_ensembles_are_not_trained(sweep):
    whole = ensemble(["sweep"])
    with pytest.raises(InputError, match="init_from=whole: an ensemble of 3; give one of its members"):
        surrogate_on({"init_from": "whole"}, SimpleNamespace(window=whole.window), whole)
