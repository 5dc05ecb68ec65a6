"""`pdeops calibrate`: bands of a trained surrogate cover what they say; samples that training knows are refused."""

import math
import re

import numpy as np
import pytest
import torch

import pdeops
from pdeops.calibrating import calibrate
from pdeops.data.file import DataFile
from pdeops.data.generate import generate
from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.ensemble import Ensemble, Part
from pdeops.window import Window

GRID = Grid((Axis("x", 9, nodes="cell"), Axis("y", 8, nodes="cell")))
SPREAD = 4 * math.sqrt(0.09 * (1 / 360 + 1 / 120))  # four deviations of a coverage of 0.9: 120 calibrate, 360 test


def write(path, seed=0, n=600, split=(0.1, 0.1, 0.8)):
    a = np.random.default_rng(seed).standard_normal((n, 9, 8)).cumsum(1)
    return write_arrays(path, GRID, inputs={"a": a}, targets={"u": a**2}, split=split)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A file of 60 / 60 / 480 samples, and two surrogates that have learned a little of the first 60."""
    file = DataFile(write(tmp_path_factory.mktemp("data") / "mine.h5"))
    a, u = (
        torch.from_numpy(np.stack([file.read_field(name, i) for i in file.split["train"]]))[:, None].float()
        for name in "au"
    )
    window = Window().on(GRID, ("u",), ("a",))
    units = [Normalizer(*(torch.tensor([file.stats[name][key]]) for key in ("mean", "std"))) for name in "au"]
    found = []
    for seed in range(2):
        torch.manual_seed(seed)
        surrogate = Surrogate(FNO(1, 1, GRID, GRID, width=8, modes=4, depth=2), window, *units)
        optimizer = torch.optim.Adam(surrogate.parameters(), lr=1e-2)
        for _ in range(40):
            optimizer.zero_grad()
            (surrogate(a) - u).square().mean().backward()
            optimizer.step()
        found.append(surrogate.eval())
    return file, found


def ensemble_of(surrogates):
    parts = [Part(s.model, s.normalize_in, s.normalize_out) for s in surrogates]
    return Surrogate(Ensemble.of(parts), surrogates[0].window, Normalizer.identity(1), Normalizer.identity(1)).eval()


def test_a_calibrated_surrogate_covers_what_it_says(run, trained):
    file, (surrogate, _) = trained
    surrogate.save("plain")
    arguments = ("calibrate", "plain", "--data", str(file.path), "-o", "banded")
    status, out, _ = run(*arguments, "--samples", "120")
    assert status == 0
    assert "bands that hold whole fields with probability 0.9, by 120 samples of test; scale by 60 of validation" in out
    assert "of such calibrations nine in ten cover between 0.853 and 0.941" in out
    told = float(re.search(r"of the other 360 samples: (0\.\d+) covered", out)[1])
    assert abs(told - 0.9) < SPREAD
    rest = file.split["test"][120:]
    a, v = (np.stack([file.read_field(name, i) for i in rest])[:, None] for name in "au")
    u, found = pdeops.load("banded").predict(a, return_uncertainty=True)
    np.testing.assert_array_equal(u, surrogate.predict(a))
    inside = ((found.lower <= v) & (v <= found.upper)).all((1, 2, 3)).mean()
    assert abs(inside - told) < 2 / 360  # sums in another order
    assert found.coverage == 0.9
    width = float(re.search(r"mean half-width: (\d\.\d+) of", out)[1])
    assert width == pytest.approx((found.upper - u).mean() / np.sqrt((v**2).mean()), rel=0.1)
    status, _, err = run(*arguments)
    assert (status, "there is a surrogate in banded; replace it with --force" in err) == (2, True)
    status, out, _ = run(*arguments, "--kind", "pointwise", "--coverage", "0.8", "--force")
    assert status == 0
    assert "each node's values with probability 0.8, by 480 samples" in out
    assert "covered" not in out


@pytest.mark.parametrize(("kind", "spread"), [("field", SPREAD), ("pointwise", 0.04)])
def test_bands_of_an_ensemble_follow_its_deviation(trained, kind, spread):
    file, members = trained
    found = calibrate(ensemble_of(members), file, samples=120, kind=kind)
    assert abs(found.covered - 0.9) < spread
    assert (found.samples, found.others, found.tested) == (120, 60, 360)
    _, known = found.surrogate.predict(torch.randn(2, 1, 9, 8).cumsum(2), return_uncertainty=True)
    half = (known.upper - known.lower) / 2
    assert (half[0] / half[1] - 1).abs().max() > 0.1
    again = found.surrogate.bands.half_width(known.deviation, GRID, 1)
    torch.testing.assert_close(half, again)
    assert (found.surrogate.bands.half_width(2 * known.deviation, GRID, 1) > half).all()


def test_samples_that_training_knows_are_refused(trained, tmp_path):
    file, members = trained
    for surrogate in (members[0], ensemble_of(members)):
        with pytest.raises(
            InputError, match=r"--split train: this surrogate was trained on these samples of .*mine\.h5"
        ):
            calibrate(surrogate, file, split="train")
    with pytest.raises(InputError, match="its error chose the best epoch"):
        calibrate(surrogate, file, split="validation")
    with pytest.raises(InputError, match="--split all: wanted one of train, validation, test"):
        calibrate(surrogate, file, split="all")
    new = DataFile(write(tmp_path / "new.h5", seed=1, n=200, split=(0.8, 0.1, 0.1)))
    assert calibrate(surrogate, new, split="train").samples == 160
    with pytest.raises(InputError, match=r"coverage=0\.99 needs 99 calibration samples or more, and 20 give 0\.952"):
        calibrate(surrogate, new, coverage=0.99)
    with pytest.raises(InputError, match=r"--samples 21: .*new\.h5 has 20 samples in test"):
        calibrate(surrogate, new, samples=21)
    with pytest.raises(InputError, match="--steps 3 is for rollouts, and this surrogate has none"):
        calibrate(surrogate, new, steps=3)
    with pytest.raises(InputError, match="has no validation samples, by whose errors bands are scaled"):
        calibrate(surrogate, DataFile(write(tmp_path / "two.h5", seed=2, n=100, split=(0.5, 0, 0.5))))


def test_other_data_are_refused(trained, tmp_path):
    _, (surrogate, _) = trained
    fields, other = np.random.default_rng(0).random((40, 8, 8)), GRID.resized((8, 8))
    file = write_arrays(tmp_path / "other.h5", other, inputs={"a": fields}, targets={"u": fields})
    with pytest.raises(InputError, match=r"other\.h5 does not fit this surrogate: grid_in is .*8 cell.*, and .*9 cell"):
        calibrate(surrogate, DataFile(file))
    fields = np.zeros((40, 9, 8))
    file = write_arrays(tmp_path / "named.h5", GRID, inputs={"b": fields}, targets={"u": fields})
    with pytest.raises(InputError, match=r"named\.h5 does not fit this surrogate: in_names is \('b',\) there"):
        calibrate(surrogate, DataFile(file))


@pytest.fixture
def fisher(tmp_path):
    """Trajectories, and a surrogate that has learned nothing of them, whose windows begin anywhere."""
    problem = ReactionDiffusion(n=16, frames=7)
    file = DataFile(generate(problem, tmp_path / "fisher.h5", n=70, seed=0, split=(0.1, 0.1, 0.8), shard=70))
    window = Window(n_in=2).on(file.spec.grid, file.targets, file.inputs)
    model = FNO(2, 1, window.grid_in, window.grid_out, width=4, modes=4, depth=1)
    return file, Surrogate(model, window, Normalizer.identity(2), Normalizer.identity(1), problem).eval()


def test_rollouts(fisher):
    file, surrogate = fisher
    found = calibrate(calibrate(surrogate, file).surrogate, file, samples=30, steps=3)
    surrogate = found.surrogate
    assert (surrogate.bands.channels, surrogate.rollout_bands.channels) == (1, 3)
    frames = np.stack([file.read_target(i, slice(None)) for i in file.split["test"]])
    _, known = surrogate.rollout(frames[:, 0, :2], 3, return_uncertainty=True)
    v, edge = frames[:, :, 2:5], 1e-6  # on which one sample lies
    inside = ((known.lower - edge <= v) & (v <= known.upper + edge)).all((1, 2, 3))
    assert inside[:30].sum() == 28  # ceil(31 * 0.9), which says that errors are of these frames
    assert inside[30:].mean() == pytest.approx(found.covered)
    with pytest.raises(InputError, match="--steps 7: these trajectories go on for 6 frames after the history"):
        calibrate(surrogate, file, steps=7)


def test_one_window_of_each_trajectory(fisher, monkeypatch):
    """As many scores as trajectories, each of a window that begins anywhere."""
    file, surrogate = fisher
    seen = []
    monkeypatch.setattr(Surrogate, "predict", lambda self, a: seen.append(a) or a[:, 1:])
    calibrate(surrogate, file)
    (chosen, others) = seen
    assert (len(chosen), len(others)) == (56, 7)
    frames = torch.from_numpy(np.stack([file.read_target(i, slice(None))[0] for i in file.split["test"]])).float()
    starts = [next(t for t in range(6) if torch.equal(frames[i, t : t + 2], chosen[i])) for i in range(56)]
    assert sorted(set(starts)) == [0, 1, 2, 3, 4, 5]
