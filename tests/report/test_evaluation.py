"""Evaluations of surrogates whose errors are known, and of a trained one beside its run's metrics."""

import json
from math import sqrt

import numpy as np
import pytest
import torch
from torch import nn

from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.normalizer import Normalizer
from pdeops.report.evaluation import evaluate
from pdeops.saved import load
from pdeops.surrogate import Surrogate
from pdeops.window import Window

SPACE = Grid.periodic((8, 6))


class Times(nn.Module):
    """The first channels of the input, times a factor."""

    def __init__(self, factor, channels=1):
        super().__init__()
        self.factor, self.channels = factor, channels

    def forward(self, a, out=None):
        return self.factor * a[:, -self.channels :]


def surrogate(factor, window):
    channels = window.out_channels
    return Surrogate(
        Times(factor, channels),
        window,
        Normalizer(torch.zeros(window.in_channels), torch.ones(window.in_channels)),
        Normalizer(torch.zeros(channels), torch.ones(channels)),
    )


def steady(path, factors, grid=SPACE):
    """Samples u = f a, one for each factor."""
    a = np.random.default_rng(0).standard_normal((len(factors), *grid.shape))
    u = np.array(factors).reshape(-1, *(1,) * grid.ndim) * a
    return write_arrays(path, grid, inputs={"a": a}, targets={"u": u}, split=[0.2, 0.2, 0.6])


def still(path, n=5, frames=7, step=0.5, grid=SPACE):
    """Trajectories that do not change."""
    u = np.random.default_rng(1).standard_normal((n, 1, *grid.shape)).repeat(frames, 1)
    time = Axis("time", frames, step * (frames - 1), "uniform")
    return write_arrays(path, Grid((time, *grid)), targets={"u": u}, split=[0.2, 0.2, 0.6])


def test_errors_sample_by_sample(tmp_path):
    file = steady(tmp_path / "x.h5", [1, 1, 1, 1, 2, 4, 1, 1.25, 0.8, 0.5])
    found = evaluate(surrogate(1.0, Window().on(SPACE, ["u"], ["a"])), file, batch_size=4)
    assert found.samples == (4, 5, 6, 7, 8, 9)  # of the test split
    wanted = torch.tensor([0.5, 0.75, 0, 0.2, 0.25, 1.0], dtype=torch.float64)  # |1 - f| / f
    torch.testing.assert_close(found.per_sample("relative_l2"), wanted, rtol=1e-6, atol=1e-7)
    assert found.headline == "relative_l2"
    assert found.means["relative_l2"] == pytest.approx(float(wanted.mean()), rel=1e-6)
    assert found.quantiles("relative_l2", [0.5, 1.0]) == pytest.approx([0.375, 1.0], rel=1e-6)
    assert {k: (v.sample, v.error) for k, v in found.shown.items()} == {
        "worst": (9, pytest.approx(1.0)),
        "median": (8, pytest.approx(0.25)),
        "best": (6, 0.0),
    }
    worst = found.shown["worst"]
    torch.testing.assert_close(worst.prediction, worst.a)
    torch.testing.assert_close(worst.truth, worst.a / 2)
    assert not found.curve.numel()
    assert found.seconds > 0


def test_spectra_of_truth_prediction_and_error_sum_to_half_the_mean_square(tmp_path):
    file = steady(tmp_path / "x.h5", [2.0] * 5)
    found = evaluate(surrogate(1.0, Window().on(SPACE, ["u"], ["a"])), file, batch_size=2)
    truth, prediction, error = found.spectra[""][:, 0].sum(-1)
    a = np.random.default_rng(0).standard_normal((5, *SPACE.shape))[2:]
    assert float(prediction) == pytest.approx((a**2).mean() / 2, rel=1e-6)
    assert float(truth) == pytest.approx(4 * float(prediction), rel=1e-6)
    assert float(error) == pytest.approx(float(prediction), rel=1e-6)
    torch.testing.assert_close(found.bands[""].sum(-1)[:, 0], 2 * torch.stack([truth, prediction, error]))


def test_rollouts_frame_by_frame(tmp_path):
    file = still(tmp_path / "x.h5")
    window = Window(n_in=2).on(Grid((Axis("time", 7, 3.0, "uniform"), *SPACE)), ["u"], [])
    found = evaluate(surrogate(1.1, window), file, batch_size=2)
    torch.testing.assert_close(found.times, torch.tensor([0.5, 1, 1.5, 2, 2.5], dtype=torch.float64))
    wanted = 1.1 ** torch.arange(1.0, 6, dtype=torch.float64) - 1
    torch.testing.assert_close(found.curve, wanted.expand(3, -1), rtol=1e-5, atol=0)
    assert found.headline == "rollout/relative_l2"
    assert found.means["rollout/relative_l2"] == pytest.approx(float(wanted.mean()), rel=1e-5)
    assert found.means["relative_l2"] == pytest.approx(0.1, rel=1e-5)
    assert found.values["relative_l2"].shape == (3, 5)  # windows
    assert found.shown["best"].prediction.shape == (1, 5, *SPACE.shape)
    assert list(found.spectra) == ["t = 0.5", "t = 2.5"]
    first, last = (float(energy[2].sum() / energy[0].sum()) for energy in found.spectra.values())
    assert (sqrt(first), sqrt(last)) == pytest.approx((0.1, 1.1**5 - 1), rel=1e-5)
    few = evaluate(surrogate(1.1, window), file, steps=2, windows=1, samples=1)
    assert few.samples == (2,)
    assert (few.curve.shape, few.values["relative_l2"].shape) == ((1, 2), (1, 1))


def test_other_lattices_and_frames_of_the_same_domain(tmp_path):
    """Twice the nodes, half the step between frames, and three frames of 0.5 more."""
    file = still(tmp_path / "x.h5", frames=19, step=0.25, grid=Grid.periodic((16, 12)))
    window = Window(n_in=2).on(Grid((Axis("time", 7, 3.0, "uniform"), *SPACE)), ["u"], [])
    found = evaluate(surrogate(1.1, window), file)
    assert found.window.stride == 2
    torch.testing.assert_close(found.times, 0.5 * torch.arange(1, 9, dtype=torch.float64))
    torch.testing.assert_close(found.curve[0], 1.1 ** torch.arange(1.0, 9, dtype=torch.float64) - 1, rtol=1e-5, atol=0)


def test_a_space_time_model_is_rolled_out_where_steps_are_given(tmp_path):
    file = still(tmp_path / "x.h5")
    window = Window(n_in=2, n_out=2, history="time").on(Grid((Axis("time", 7, 3.0, "uniform"), *SPACE)), ["u"], [])
    model = surrogate(1.1, window)
    plain, rolled = evaluate(model, file), evaluate(model, file, steps=4)
    assert not any(name.startswith("rollout/") for name in plain.values)
    torch.testing.assert_close(plain.curve, torch.full((3, 2), 0.1, dtype=torch.float64), rtol=1e-5, atol=0)
    wanted = torch.tensor([0.1, 0.1, 0.21, 0.21], dtype=torch.float64)
    torch.testing.assert_close(rolled.curve, wanted.expand(3, -1), rtol=1e-5, atol=0)
    assert rolled.means["relative_l2"] == pytest.approx(plain.means["relative_l2"])


LONGER = Grid((Axis("x", 8, 2.0), Axis("y", 6)))
CELLS = Grid((Axis("x", 8, nodes="cell"), Axis("y", 6, nodes="cell")))


@pytest.mark.parametrize(
    ("names", "grid", "message"),
    [
        ((["u"], ["b"]), SPACE, r"its inputs are \['a'\], and \['b'\] are wanted"),
        ((["u", "v"], ["a"]), SPACE, r"its targets are \['u'\], and \['u', 'v'\] are wanted"),
        ((["u"], ["a"]), Grid.periodic((8,)), r"its axes are \['x', 'y'\], and \['x'\] are wanted"),
        ((["u"], ["a"]), LONGER, r"its axis is x in \[0, 1\], periodic nodes, periodic, and x in \[0, 2\]"),
        ((["u"], ["a"]), CELLS, r"its axis is x in .* periodic nodes, periodic, and x in .* cell nodes, free"),
    ],
)
def test_files_that_do_not_fit_are_refused_with_the_reason(tmp_path, names, grid, message):
    file = steady(tmp_path / "x.h5", [1.0] * 5)
    with pytest.raises(InputError, match=r"x.h5 does not fit this surrogate: " + message):
        evaluate(surrogate(1.0, Window().on(grid, *names)), file)


def test_frames_at_other_distances_are_refused(tmp_path):
    file = still(tmp_path / "x.h5", step=0.3)
    window = Window().on(Grid((Axis("time", 7, 3.0, "uniform"), *SPACE)), ["u"], [])
    with pytest.raises(InputError, match=r"it has values 0.3 apart along time, and 0.5 were trained on"):
        evaluate(surrogate(1.0, window), file)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "tset"}, r"split='tset'. Did you mean 'test'\?"),
        ({"samples": [7]}, r"there is no sample 7 in .*x.h5: it holds samples 0 to 4"),
        ({"samples": 0}, r"samples=0: wanted at least 1"),
        ({"steps": 3}, r"steps=3: wanted at least 1, of a surrogate that evolves"),
    ],
)
def test_misuse(tmp_path, settings, message):
    file = steady(tmp_path / "x.h5", [1.0] * 5)
    with pytest.raises(InputError, match=message):
        evaluate(surrogate(1.0, Window().on(SPACE, ["u"], ["a"])), file, **settings)


@pytest.mark.parametrize(
    "others",
    [
        [],
        ["data.windows=2"],
        ["model=sfno", "data.window.n_in=1", "data.window.n_out=4"],
    ],
)
def test_a_run_s_metrics_again(run, tiny, tmp_path, others):
    words = [*tiny, *others]
    if "model=sfno" in others:
        words = [w for w in words if not w.startswith(("model.", "model=fno", "data.window.n_in=2"))]
        words += ["model.width=4", "model.modes=4"]
    status, _, err = run("train", *words, "hydra.run.dir=out")
    assert status == 0, err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    file = next((tmp_path / "data").glob("ns2d-*.h5"))
    windows = 2 if "data.windows=2" in others else None
    found = evaluate(load("out"), file, windows=windows).means
    assert {f"test/{name}" for name in found} == set(metrics)
    for name, value in found.items():
        assert value == pytest.approx(metrics[f"test/{name}"], rel=1e-4), name


def test_a_driven_run_s_metrics_again(run, tmp_path):
    small = ["data=pendulum", "data.n=10", "data.split=[0.6,0.2,0.2]", "data.window.segment=34", "model=deeponet"]
    status, _, err = run("train", *small, "trainer=cpu", "trainer.max_epochs=1", "hydra.run.dir=out")
    assert status == 0, err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    found = evaluate(load("out"), next((tmp_path / "data").glob("*.h5")))
    assert found.headline == "rollout/relative_l2"
    assert {f"test/{name}" for name in found.means} == set(metrics)
    for name, value in found.means.items():
        assert value == pytest.approx(metrics[f"test/{name}"], rel=1e-4), name
    assert found.shown["worst"].prediction.shape == found.shown["worst"].truth.shape
