"""Physical units in and out; saved and loaded bit for bit; nothing foreign is opened."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import pdeops
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.deeponet import DeepONet
from pdeops.models.fno import FNO
from pdeops.models.mgno import MgNO
from pdeops.models.neuralop import NeuralOp
from pdeops.models.nsm import NSM
from pdeops.models.point_lsm import PointLSM
from pdeops.nn.normalizer import Normalizer
from pdeops.nn.resample import OUTWARD, onto_points, resampled
from pdeops.points import Points
from pdeops.problems.darcy import Darcy
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.surrogate import Surrogate
from pdeops.window import Window


def make(model=FNO, history="channel", n_out=1, problem=None, **options):
    problem = problem or NavierStokes2D(n=12, frames=8, horizon=4.0)
    window = Window(n_in=2, n_out=n_out, history=history).on(problem.grid, ("vorticity",), ())
    torch.manual_seed(0)
    net = model(window.in_channels, window.out_channels, window.grid_in, window.grid_out, width=8, modes=4, **options)
    stats = torch.full((window.in_channels,), 0.5), torch.full((window.in_channels,), 2.0)
    return Surrogate(net, window, Normalizer(*stats), Normalizer(torch.ones(n_out), torch.full((n_out,), 3.0)), problem)


@pytest.mark.parametrize("model", [FNO, NeuralOp])
def test_saved_and_loaded_bit_for_bit(model, tmp_path):
    surrogate = make(model)
    a = torch.randn(3, 2, 12, 12)
    loaded = pdeops.load(surrogate.save(tmp_path / "s"))
    assert torch.equal(loaded.predict(a), surrogate.predict(a))
    assert loaded.describe() == surrogate.describe()
    assert loaded.problem.viscosity == surrogate.problem.viscosity
    assert {p.name for p in (tmp_path / "s").iterdir()} == {"surrogate.json", "weights.safetensors"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_precision_is_saved(dtype, tmp_path):
    surrogate = make().to(dtype)
    a = torch.randn(1, 2, 12, 12)
    loaded = pdeops.load(surrogate.save(tmp_path))
    assert torch.equal(loaded.predict(a), surrogate.predict(a))
    assert loaded.predict(a).dtype == dtype


def test_odd_inputs():
    surrogate, a = make(), np.random.default_rng(0).standard_normal((2, 2, 12, 12))
    np.testing.assert_array_equal(surrogate.predict(a[:, :, ::-1]), surrogate.predict(a[:, :, ::-1].copy()))
    np.testing.assert_array_equal(surrogate.predict(a.astype(">f8")), surrogate.predict(a))
    for bad in (None, "text", a + 1j, a[:0]):
        with pytest.raises(InputError, match="got an input of"):
            surrogate.predict(bad)
    for out in ([[0.5, 0.5]], (24, 24), "24", Points(torch.rand(3, 2)), np.zeros((3, 2), dtype=object)):
        with pytest.raises(InputError, match=r"got out of \w+; wanted a Grid, or points \(N, d\)"):
            surrogate.predict(a, out=out)
    for steps in (2.5, "3"):
        with pytest.raises(InputError, match="whole number"):
            surrogate.rollout(a, steps)


def test_units_are_physical():
    surrogate = make()
    a = torch.randn(1, 2, 12, 12)
    expected = surrogate.model((a - 0.5) / 2) * 3 + 1
    torch.testing.assert_close(surrogate.predict(a), expected.detach())


def test_numpy_in_numpy_out_in_any_precision():
    surrogate = make()
    a = np.random.default_rng(0).standard_normal((2, 2, 12, 12))
    u = surrogate.predict(a)
    assert isinstance(u, np.ndarray)
    torch.testing.assert_close(torch.from_numpy(u), surrogate.predict(torch.from_numpy(a)))


def test_predict_keeps_the_training_mode_and_takes_no_gradients():
    surrogate = make().train()
    u = surrogate.predict(torch.randn(1, 2, 12, 12, requires_grad=True))
    assert surrogate.training
    assert not u.requires_grad


@pytest.mark.parametrize(("history", "n_out"), [("channel", 1), ("channel", 3), ("time", 2)])
def test_rollout_is_prediction_fed_back(history, n_out):
    surrogate = make(history=history, n_out=n_out) if history == "channel" else _time_surrogate()
    window = surrogate.window
    a = window.make_input(torch.randn(1, 1, 2, 12, 12))
    rolled = surrogate.rollout(a, 4)
    assert rolled.shape == (1, 1, 4, 12, 12)
    first = surrogate.predict(a)
    torch.testing.assert_close(rolled[:, :, :n_out], window.unstack(first)[:, :, :4])
    second = window.unstack(surrogate.predict(window.advance(a, first)))
    torch.testing.assert_close(rolled[:, :, n_out : 2 * n_out], second[:, :, : max(0, 4 - n_out)])


def _time_surrogate():
    problem = NavierStokes2D(n=12, frames=8, horizon=4.0)
    window = Window(n_in=2, n_out=2, history="time").on(problem.grid, ("vorticity",), ())
    net = FNO(1, 1, window.grid_in, window.grid_out, width=4, modes=2)
    return Surrogate(net, window, Normalizer(torch.zeros(1), torch.ones(1)), Normalizer(torch.zeros(1), torch.ones(1)))


def test_another_output_grid():
    surrogate = make()
    fine = Grid.periodic((24, 20))
    assert surrogate.predict(torch.randn(1, 2, 12, 12), out=fine).shape == (1, 1, 24, 20)


def test_the_problems_constraint_is_imposed():
    class Zeroed(NavierStokes2D):
        def constrain(self, a, u, grid):
            assert grid.shape == tuple(u.shape[2:])
            return u - u.mean((-2, -1), keepdim=True)

    surrogate = make(problem=Zeroed(n=12, frames=8, horizon=4.0))
    assert abs(float(surrogate.predict(torch.randn(1, 2, 12, 12)).mean())) < 1e-6


def test_wrong_inputs_are_refused():
    surrogate = make()
    with pytest.raises(InputError, match=r"shape \(1, 3, 12, 12\); wanted \(batch, 2, x, y\).*vorticity\[-1\]"):
        surrogate.predict(torch.randn(1, 3, 12, 12))
    with pytest.raises(InputError, match="NaN"):
        surrogate.predict(torch.full((1, 2, 12, 12), torch.nan))
    for steps in (0, True, 2.0):
        with pytest.raises(InputError, match=f"steps={steps}: wanted a whole number, at least 1"):
            surrogate.rollout(torch.randn(1, 2, 12, 12), steps)
    assert surrogate.rollout(torch.randn(1, 2, 12, 12), np.int64(3)).shape[2] == 3
    steady = Window().on(Grid((Axis("x", 8, nodes="cell"),)), ("u",), ("a",))
    net = FNO(1, 1, steady.grid_in, steady.grid_out, width=4, modes=4)
    one = Normalizer(torch.zeros(1), torch.ones(1))
    with pytest.raises(InputError, match="no time to roll out"):
        Surrogate(net, steady, one, one).rollout(torch.randn(1, 1, 8), 3)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"no surrogate in .*surrogate\.json"):
        pdeops.load(tmp_path)


def change(directory, edit):
    config = json.loads((directory / "surrogate.json").read_text())
    edit(config)
    (directory / "surrogate.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "pdeops.cli.main",
        "pdeops.surrogate.json",
        "pdeops.nowhere.X",
        "torch.nn.Linear",
        "pdeops.data.module.Generated",
        "pdeops.tasks.loggers.Csv",
        "pdeops.nn.compiled.job.Path",
        "pdeops.models.fno._Head",
        "pdeops.models.fno.FNO\n",
        3,
    ],
)
def test_foreign_classes_are_never_built(tmp_path, target):
    make().save(tmp_path)
    change(tmp_path, lambda c: c.update(model={"_target_": target, "args": "touch /tmp/owned"}))
    with pytest.raises(InputError, match="refused to build"):
        pdeops.load(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(format=99), "update pdeops"),
        (lambda c: c.pop("window"), "lacks one of"),
        (lambda c: c["model"].update(width=16), "do not fit"),
        (lambda c: c["model"].update(wdith=16), "cannot be built"),
        (lambda c: c["model"].update(width="8"), "cannot be built"),
        (lambda c: c["model"].update(grid_in=[1, 2]), "cannot be built"),
        (lambda c: c["model"].update(width=True), "width=True, wanted an integer"),
        (lambda c: c["model"].update(depth=10**6), "more than .* operations to build it"),
        (lambda c: c["model"].update(width=10**6), "more than .* MiB to build it"),
        (lambda c: c["model"].update(width=10**12), "a whole number beyond"),
        (lambda c: c["window"]["grid"].pop("_target_"), "cannot be built"),
        (lambda c: c["window"].update(n_in=3), "the model's grid_in is not that of the window|in_channels is not"),
        (lambda c: c.update(model=c["window"]), "where they belong"),
    ],
)
def test_damaged_descriptions_are_refused(tmp_path, edit, message):
    make().save(tmp_path)
    change(tmp_path, edit)
    with pytest.raises(InputError, match=message):
        pdeops.load(tmp_path)


def test_damaged_files_are_refused(tmp_path):
    make().save(tmp_path)
    weights = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match="damaged"):
        pdeops.load(tmp_path)
    (tmp_path / "surrogate.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        pdeops.load(tmp_path)


def test_a_pickle_is_not_opened(tmp_path):
    class Owned:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps(Owned()))
    with pytest.raises(InputError, match="not a checkpoint"):
        pdeops.load(path)
    torch.save({"surrogate": Owned(), "state_dict": {}}, path)
    with pytest.raises(InputError, match="not a checkpoint") as caught:
        pdeops.load(path)
    assert "weights_only" not in str(caught.value)  # which torch advises to set false
    assert not (tmp_path / "owned").exists()
    for fake in ({"surrogate": 1, "state_dict": 2}, [], {}):
        torch.save(fake, path)
        with pytest.raises(InputError, match="not a checkpoint"):
            pdeops.load(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a checkpoint"):
        pdeops.load(path)


def test_no_wasted_prediction_and_constraint_on_the_output_grid():
    from pdeops.nn.normalizer import Normalizer
    from pdeops.surrogate import Surrogate

    class P(NavierStokes2D):
        def constrain(self, a, u, grid):
            assert grid.time is not None
            assert grid[0].start == 0.0
            assert grid.shape == u.shape[2:]
            return u

    p = P(n=8, frames=8, horizon=4.0)
    w = Window(n_in=2, n_out=2, history="time").on(p.grid, ("vorticity",), ())
    calls = []
    one = Normalizer(torch.zeros(1), torch.ones(1))

    class Net(torch.nn.Module):
        def forward(self, a, out=None):
            calls.append(1)
            return a

    s = Surrogate(Net(), w, one, one, p)
    s.rollout(torch.randn(1, 1, 2, 8, 8), 4)
    assert len(calls) == 2


def test_values_at_points_are_the_models_own():
    """On its walls a grid has the problem's zeros; at points, in NumPy or torch, the model's values stand."""
    problem = Darcy(n=9)
    window = Window().on(problem.grid, ("u",), ("a",))
    torch.manual_seed(0)
    model = PointLSM(1, 1, problem.grid, problem.grid, width=8, latent=8, modes=4, levels=2)
    one = Normalizer(torch.zeros(1), torch.ones(1))
    surrogate, a = Surrogate(model, window, one, one, problem), torch.rand(2, 1, 9, 9)
    x = problem.grid.points().flatten(0, 1).float()
    with pytest.warns(UserWarning, match="at points .* conditions of darcy are imposed on its grid alone"):
        at_points = surrogate.predict(a.numpy(), x.numpy())
    at_points = torch.from_numpy(at_points).unflatten(2, (9, 9))
    on_grid = surrogate.predict(a)
    torch.testing.assert_close(at_points[..., 1:-1, 1:-1], on_grid[..., 1:-1, 1:-1], atol=1e-6, rtol=0)
    assert on_grid[..., 0, :].count_nonzero() == 0
    assert at_points[..., 0, :].count_nonzero() > 0


@pytest.mark.parametrize("sides", [None, {"x": [[1.0, 0.0], [0.0, 1.0]], "y": [[1.0, 0.5], [2.0, 0.5]]}])
def test_data_on_walls_are_known_between_nodes(sides, recwarn):
    """At points, on other nodes and on a part of the domain there is the function that the grid has."""
    problem = SpectralPoisson(
        n=10, nodes="chebyshev", source=GaussianProcess(), boundary=GaussianProcess(), conditions=sides
    )
    window = Window().on(problem.grid, problem.out_names, problem.in_names)
    torch.manual_seed(0)
    model = NSM(2, 1, problem.grid, problem.grid, width=8, depth=1, modes=4, nodes=10)
    norms = Normalizer(torch.zeros(2), torch.ones(2)), Normalizer(torch.zeros(1), torch.full((1,), 0.3))
    surrogate, a = Surrogate(model, window, *norms, problem).double(), problem.sample([0, 1], 0)
    grid = problem.grid
    u, points = surrogate.predict(a), grid.points().flatten(0, 1)
    torch.testing.assert_close(surrogate.predict(a, points).unflatten(2, grid.shape), u, rtol=0, atol=1e-10)
    each = surrogate.predict(a, points.expand(2, -1, -1)).unflatten(2, grid.shape)
    torch.testing.assert_close(each, u, rtol=0, atol=1e-10)
    other = Grid(replace(axis, n=7, length=0.5, start=0.25, nodes="cell", bc="free") for axis in grid)
    torch.testing.assert_close(
        surrogate.predict(a, other).flatten(2), surrogate.predict(a, other.points().flatten(0, 1)), rtol=0, atol=1e-10
    )
    finer = grid.resized((14, 12))
    torch.testing.assert_close(
        surrogate.predict(a, finer).flatten(2), surrogate.predict(a, finer.points().flatten(0, 1)), rtol=0, atol=1e-10
    )
    x = u.new_tensor([[0.0, 0.3], [0.0, 0.71]])
    there = onto_points(a[:, 1:].movedim(1, -1), grid, x, 10).movedim(-1, 1)
    torch.testing.assert_close(surrogate.predict(a, x), there, rtol=0, atol=1e-10)  # u is given at x = 0
    assert not recwarn.list


def test_the_edges_of_a_part_are_no_walls():
    """A grid of a part of the domain, and one of other nodes, hold what the whole one holds there."""
    problem = Darcy(n=9)
    window = Window().on(problem.grid, ("u",), ("a",))
    torch.manual_seed(0)
    one = Normalizer(torch.zeros(1), torch.ones(1))
    surrogate = Surrogate(DeepONet(1, 1, problem.grid, problem.grid), window, one, one, problem)
    a, whole = torch.rand(2, 1, 9, 9), surrogate.window.grid_out
    part = Grid(replace(axis, n=5, length=axis.length / 2, start=axis.start + axis.length / 4) for axis in whole)
    u = surrogate.predict(a)
    with pytest.warns(UserWarning, match="a part of the domain, are the model's own; conditions of darcy"):
        there = surrogate.predict(a, part)
    torch.testing.assert_close(there, u[..., 2:7, 2:7])
    cells = Grid(replace(axis, n=4, nodes="cell") for axis in whole)
    with pytest.warns(UserWarning, match="on other nodes"):
        torch.testing.assert_close(surrogate.predict(a, cells), surrogate.model(a, cells))
    finer = surrogate.predict(a, whole.resized((17, 17)))
    assert finer[..., 0, :].count_nonzero() == 0
    torch.testing.assert_close(finer[..., ::2, ::2], u)


def test_other_lattices_are_interpolated_from_what_the_problem_imposes():
    """Zeros on the walls of the trained lattice, not the model's own values there, lie between its outer nodes."""
    problem = Darcy(n=9)
    window, one = Window().on(problem.grid, ("u",), ("a",)), Normalizer(torch.zeros(1), torch.ones(1))
    torch.manual_seed(0)
    model = MgNO(1, 1, problem.grid, problem.grid, width=4, levels=2)
    surrogate, fine = Surrogate(model, window, one, one, problem), problem.grid.resized((17, 17))
    a = torch.rand(2, 1, 9, 9)
    inner = surrogate.predict(a)
    assert inner[..., 0, :].count_nonzero() == 0
    wanted = resampled(inner.movedim(1, -1), problem.grid, (17, 17), OUTWARD).movedim(-1, 1)
    torch.testing.assert_close(surrogate.predict(a, fine), wanted)
    assert (model(a, fine) - wanted)[..., 1, :].abs().max() > 1e-3  # what lies beside a wall


def test_a_prediction_says_how_it_takes_another_lattice(recwarn):
    window = Window(n_in=2).on(NavierStokes2D(n=12, frames=8, horizon=4.0).grid, ("vorticity",), ())
    model = MgNO(2, 1, window.grid_in, window.grid_out, width=4, levels=2)
    surrogate = Surrogate(model, window, *(Normalizer(torch.zeros(c), torch.ones(c)) for c in (2, 1)))
    surrogate.predict(torch.randn(1, 2, 12, 12))
    make().predict(torch.randn(1, 2, 16, 16))  # an FNO has one way, whose operator is the same
    assert not recwarn
    ways = {
        "resample": "by resolution=resample: interpolated to 12 x 12 nodes and back",
        "native": "by resolution=native: the stencils act at another mesh width",
        "cascade": "by resolution=cascade: V-cycles on 12 x 12 nodes, all else on 16 x 18",
    }
    for way, sentence in ways.items():
        model.resolution = way
        with pytest.warns(UserWarning, match=f"MgNO, trained on 12 x 12 nodes, takes 16 x 18 {sentence}") as told:
            assert surrogate.predict(torch.randn(1, 2, 16, 18)).shape == (1, 1, 16, 18)
        assert told[0].filename == __file__
