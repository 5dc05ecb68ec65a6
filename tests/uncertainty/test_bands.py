"""Bands hold new samples as often as they say, on any exchangeable data; and what stands in an `Uncertainty`."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import pdeops
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.deeponet import DeepONet
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.saved import from_description
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.bands import FLOOR, Bands, CoverageWarning, uncertainty
from pdeops.uncertainty.conformal import rank
from pdeops.window import Window

LINE = Grid((Axis("x", 6, nodes="uniform"),))
REPETITIONS = 800


def samples(n, seed):
    """Errors (n, 2, 6), smooth, of sizes that differ by node, channel and sample, with heavy tails; and deviations that
    know some of it."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.rand(n, 2, 1, generator=generator).pow(-0.4) * torch.linspace(0.1, 3, 6)
    errors = size * torch.randn(n, 2, 6, generator=generator).cumsum(-1)
    return errors, size * (0.5 + torch.rand(n, 2, 6, generator=generator))


def covered(kind, n, with_deviation, *, same=False):
    """Mean coverage of the last of n + 1 samples over many calibrations."""
    held = []
    for repetition in range(REPETITIONS):
        errors, deviation = samples(n + 11, repetition)
        known, new = (deviation[:n], deviation[n : n + 1]) if with_deviation else (None, None)
        bands = Bands(2, LINE, coverage=0.8, kind=kind, samples=n)
        bands.calibrate(errors[:n], known, errors[:n] if same else errors[n + 1 :])
        held.append(bands.covered(errors[n : n + 1], new))
    return float(torch.cat(held).mean())


@pytest.mark.parametrize("kind", ["field", "pointwise"])
@pytest.mark.parametrize("with_deviation", [False, True])
def test_the_mean_coverage_is_the_rank_over_n_plus_one(kind, with_deviation):
    n = 12
    expected = rank(n, 0.8) / (n + 1)
    four_sigma = 4 * math.sqrt(expected * (1 - expected) / REPETITIONS)  # of one node; nodes of a sample are dependent
    assert abs(covered(kind, n, with_deviation) - expected) < four_sigma


def test_a_scale_of_the_calibration_itself_covers_too_little():
    """So `others` are others: the test above sees it."""
    assert covered("field", 12, with_deviation=False, same=True) < 0.8 - 4 * math.sqrt(0.16 / REPETITIONS)


def test_pointwise_bands_of_a_single_model_are_quantiles_of_its_errors():
    errors, _ = samples(29, 0)
    others, _ = samples(10, 1)
    bands = Bands(2, LINE, coverage=0.8, kind="pointwise", samples=19).calibrate(errors[:19], None, others)
    half = bands.half_width(None, LINE, 2)
    torch.testing.assert_close(half[0], errors[:19].abs().sort(0).values[15])
    inside = (errors[19:].abs() <= half).float().flatten(1).mean(1)
    torch.testing.assert_close(bands.covered(errors[19:], None), inside)


def test_bands_of_whole_fields():
    errors, deviation = samples(29, 0)
    others, _ = samples(10, 1)
    base = others.square().mean(0).sqrt()
    for s in (None, deviation):
        bands = Bands(2, LINE, coverage=0.8, kind="field", samples=19)
        bands.calibrate(errors[:19], None if s is None else s[:19], others)
        sigma = base.expand(29, 2, 6) if s is None else (s.square() + (FLOOR * base).square()).sqrt()
        q = (errors[:19].abs() / sigma[:19]).amax((1, 2)).sort().values[15]
        torch.testing.assert_close(bands.half_width(s, LINE, 2).expand(29, 2, 6), q * sigma)
        inside = (errors[19:].abs() <= q * sigma[19:]).flatten(1).all(1).float()
        assert torch.equal(bands.covered(errors[19:], None if s is None else s[19:]), inside)


def test_what_is_imposed_has_no_width_and_what_has_no_scale_is_refused():
    errors, _ = samples(20, 0)
    others, _ = samples(10, 1)
    errors[..., 0], others[..., 0] = 0, 0
    for kind in ("field", "pointwise"):
        bands = Bands(2, LINE, coverage=0.8, kind=kind, samples=20).calibrate(errors, None, others)
        half = bands.half_width(None, LINE, 2)
        assert half[..., 0].count_nonzero() == 0
        assert half[..., 1:].min() > 0
        assert half.isfinite().all()
        errors[..., 0] = 1
        with pytest.raises(InputError, match="the bands would be infinite"):
            bands.calibrate(errors, None, others)
        errors[..., 0] = 0
    errors[:, 0, 3] = torch.nan
    with pytest.raises(InputError, match="or not finite"):
        bands.calibrate(errors, None, others)


def test_settings_are_checked():
    with pytest.raises(InputError, match="kind='both'; wanted one of"):
        Bands(1, LINE, coverage=0.9, kind="both", samples=9)
    with pytest.raises(InputError, match="coverage=90: wanted a probability"):
        Bands(1, LINE, coverage=90, kind="field", samples=9)
    errors, _ = samples(8, 0)
    with pytest.raises(InputError, match="needs 9 calibration samples"):
        Bands(2, LINE, coverage=0.9, kind="field", samples=8).calibrate(errors, None, errors)


@pytest.mark.parametrize("kind", ["field", "pointwise"])
def test_widths_between_the_nodes_are_interpolated(kind):
    grid = Grid((Axis("x", 8), Axis("y", 5, nodes="uniform")))
    bands = Bands(1, grid, coverage=0.5, kind=kind, samples=3)
    x, y = grid.points().float().unbind(-1)
    bands.floor = ((2 + torch.cos(2 * math.pi * x)) * (1 + y))[None]
    bands.quantile = torch.tensor(3.0) if kind == "field" else (3 + y)[None]

    def expected(points):
        x, y = points.unbind(-1)
        return (3 if kind == "field" else 3 + y) * (2 + torch.cos(2 * math.pi * x)) * (1 + y)

    torch.testing.assert_close(bands.half_width(None, grid, 1)[0, 0], expected(grid.points().float()))
    fine = grid.resized((12, 9))
    torch.testing.assert_close(bands.half_width(None, fine, 1)[0, 0], expected(fine.points().float()))
    part = Grid((Axis("x", 3, 0.3, "cell", start=0.2), Axis("y", 4, 0.5, "cell", start=0.25)))
    torch.testing.assert_close(bands.half_width(None, part, 1)[0, 0], expected(part.points().float()))
    points = torch.rand(2, 7, 2)
    torch.testing.assert_close(bands.half_width(None, points, 1)[:, 0], expected(points))
    torch.testing.assert_close(bands.half_width(None, points[0], 1)[0, 0], expected(points[0]))
    bands.floor = (x > 0.4).float()[None]  # whose Fourier series falls below zero
    assert bands.half_width(None, fine, 1).min() == 0


def calibrated(model=FNO, *, frames=3, problem=True, **options):
    """A surrogate of Fisher's equation with bands of predictions and of rollouts of so many frames, of any width."""
    fisher = ReactionDiffusion(n=16, frames=9)
    window = Window(n_in=2, n_out=2).on(fisher.grid, fisher.out_names, ())
    torch.manual_seed(0)
    net = model(2, 2, window.grid_in, window.grid_out, **options)
    bands = Bands(2, fisher.grid.space, coverage=0.9, kind="pointwise", samples=20)
    rollout = Bands(frames, fisher.grid.space, coverage=0.8, kind="field", samples=20)
    bands.calibrate(torch.randn(20, 2, 16), None, torch.randn(5, 2, 16))
    rollout.calibrate(torch.randn(20, frames, 16), None, torch.arange(1.0, frames + 1)[None, :, None].expand(5, -1, 16))
    units = Normalizer.identity(2), Normalizer.identity(2)
    return Surrogate(net, window, *units, fisher if problem else None, bands, rollout).eval()


FNO_SMALL = {"width": 4, "modes": 4, "depth": 1}


def test_a_prediction_with_its_band():
    surrogate, a = calibrated(**FNO_SMALL), np.random.default_rng(0).random((3, 2, 16))
    u, found = surrogate.predict(a, return_uncertainty=True)
    np.testing.assert_array_equal(u, surrogate.predict(a))
    half = surrogate.bands.half_width(None, surrogate.window.grid_out, 2).numpy()
    np.testing.assert_allclose(found.upper - u, np.broadcast_to(half, u.shape), rtol=1e-4)
    np.testing.assert_allclose(u - found.lower, np.broadcast_to(half, u.shape), rtol=1e-4)
    assert (found.coverage, found.deviation) == (0.9, None)
    np.testing.assert_allclose(found.error, surrogate.error_estimate(a).bound)
    assert all(isinstance(x, np.ndarray) and x.dtype == np.float32 for x in (u, found.lower, found.upper))


def test_a_rollout_with_its_bands_by_frame():
    surrogate, a = calibrated(**FNO_SMALL), torch.rand(3, 2, 16)
    u, found = surrogate.rollout(a, 3, return_uncertainty=True)
    assert torch.equal(u, surrogate.rollout(a, 3))
    half = found.upper - u
    torch.testing.assert_close(half[:, :, 1], 2 * half[:, :, 0])
    torch.testing.assert_close(half[:, :, 2], 3 * half[:, :, 0])
    assert found.coverage == 0.8
    torch.testing.assert_close(found.error, surrogate.error_estimate(a, 3).bound)
    few, some = surrogate.rollout(a, 2, return_uncertainty=True)
    torch.testing.assert_close(some.lower, found.lower[:, :, :2])
    assert few.shape == some.upper.shape
    with pytest.warns(CoverageWarning, match="calibrated for 3 frames: there are no bands for 4") as told:
        _, beyond = surrogate.rollout(a, 4, return_uncertainty=True)
    assert told[0].filename == __file__
    assert (beyond.lower, beyond.upper, beyond.coverage) == (None, None, None)
    assert beyond.error.shape == (3,)


def test_frames_of_several_channels():
    """Bands have frame after frame, (T C), and trajectories channel after channel, (C, T)."""
    bands = Bands(6, LINE, coverage=0.9, kind="field", samples=20)
    bands.floor, bands.quantile = torch.arange(1.0, 7.0)[:, None].expand(6, 6), torch.tensor(2.0)
    u, wide = torch.randn(3, 2, 3, 6), torch.full((3, 2, 3, 6), 100.0)
    wide[:, 1, 2] = 0
    half = uncertainty(u, None, bands, LINE, None).upper - u
    torch.testing.assert_close(half[0, :, :, 0], torch.tensor([[2.0, 6.0, 10.0], [4.0, 8.0, 12.0]]))
    half = uncertainty(u, wide, bands, LINE, None).upper - u
    torch.testing.assert_close(half[:, 1, 2], torch.full((3, 6), 12.0))
    assert (half[:, 0] > 199).all()
    assert (half[:, 1, :2] > 199).all()


def test_other_lattices_have_bands_without_a_guarantee():
    surrogate, a = calibrated(**FNO_SMALL), torch.rand(3, 2, 32)
    for call in (
        lambda: surrogate.predict(a, return_uncertainty=True),
        lambda: surrogate.predict(a[..., ::2], Grid.periodic((32,)), return_uncertainty=True),
        lambda: surrogate.predict(a, Grid.periodic((16,)), return_uncertainty=True),
        lambda: surrogate.rollout(a, 3, return_uncertainty=True),
    ):
        with pytest.warns(CoverageWarning, match="have no guarantee on another") as told:
            u, found = call()
        assert told[0].filename == __file__
        assert u.shape == found.lower.shape == found.upper.shape
        assert found.coverage is None
        assert (found.upper - found.lower)[..., ::2].min() > 0


def test_points_have_bands_without_a_guarantee():
    surrogate, a = calibrated(DeepONet), torch.rand(3, 2, 16)
    with pytest.warns(CoverageWarning, match="have no guarantee on another"):
        u, found = surrogate.predict(a, torch.rand(5, 1), return_uncertainty=True)
    assert u.shape == found.lower.shape == (3, 2, 5)
    assert (found.coverage, found.error) == (None, None)


def test_saved_with_its_bands(tmp_path):
    surrogate, a = calibrated(**FNO_SMALL), torch.rand(3, 2, 16)
    loaded = pdeops.load(surrogate.save(tmp_path))
    assert loaded.describe() == surrogate.describe()
    for call in ("predict", "rollout"):
        steps = () if call == "predict" else (3,)
        mine, theirs = (getattr(s, call)(a, *steps, return_uncertainty=True)[1] for s in (surrogate, loaded))
        assert torch.equal(mine.lower, theirs.lower)
        assert torch.equal(mine.upper, theirs.upper)
        assert mine.coverage == theirs.coverage


def test_descriptions_without_bands_are_read(tmp_path):
    surrogate = replace_bands(calibrated(**FNO_SMALL))
    description = surrogate.describe()
    del description["bands"], description["rollout_bands"]
    assert from_description(description).bands is None
    description["bands"] = description["window"]
    with pytest.raises(InputError, match="does not hold bands where they belong"):
        from_description(description)


def replace_bands(surrogate, bands=None, rollout_bands=None):
    s = surrogate
    return Surrogate(s.model, s.window, s.normalize_in, s.normalize_out, s.problem, bands, rollout_bands).eval()


def test_bands_of_other_outputs_are_refused():
    surrogate = calibrated(**FNO_SMALL)
    line = surrogate.window.grid_out
    for wrong in (Bands(3, line, coverage=0.9, kind="field", samples=9), replace_grid(surrogate.bands)):
        with pytest.raises(InputError, match=r"bands of \d channels on"):
            replace_bands(surrogate, wrong)
    with pytest.raises(InputError, match="bands of 2 channels on"):
        replace_bands(surrogate, rollout_bands=replace_grid(surrogate.bands))


def replace_grid(bands):
    grid = Grid(replace(axis, n=8) for axis in bands.grid)
    return Bands(2, grid, coverage=0.9, kind="field", samples=9)


def test_nothing_known_is_said():
    surrogate = calibrated(problem=False, **FNO_SMALL)
    surrogate = replace_bands(surrogate)
    with pytest.raises(InputError, match="nothing is known of the errors of this surrogate: calibrate it"):
        surrogate.predict(torch.rand(1, 2, 16), return_uncertainty=True)
    with pytest.raises(InputError, match="with --steps"):
        surrogate.rollout(torch.rand(1, 2, 16), 3, return_uncertainty=True)
