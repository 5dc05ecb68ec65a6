"""POD-DeepONet."""

import copy
import io
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load, save

import pdeops
from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.pod_deeponet import PODDeepONet
from pdeops.nn import branch
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.training import surrogate_on
from pdeops.window import Window

LINE = Grid([Axis("x", 12, nodes="uniform")])
PLANE = Grid([Axis("x", 10, 3.0, start=-1.0), Axis("y", 9, nodes="uniform")])


def outputs(count=20, grid=PLANE, channels=2):
    """Fields that every lattice and any point can tell: a harmonic times a cubic."""
    torch.manual_seed(3)
    c = torch.randn(count, channels, 8, dtype=torch.float64)
    return lambda y: torch.einsum("nck,...k->nc...", c, waves(y))


def waves(y):
    """(..., 8)."""
    angle, s = 2 * torch.pi * (y[..., 0].double() + 1) / 3, y[..., 1].double()
    return torch.stack([f * s**k for f in (angle.sin(), angle.cos()) for k in range(4)], -1)


def small(learnt=True, **options):
    torch.manual_seed(0)
    model = PODDeepONet(1, 2, LINE, PLANE, **{"branch": branch.Dense((8,)), "features": 5} | options)
    if learnt:
        model.learn_basis(outputs()(PLANE.points()))
    return model


@pytest.mark.parametrize(
    ("grid", "dense", "features", "parameters"),
    [
        (Grid.periodic((128,)), branch.Dense((128, 128)), 32, 37152),
        (Grid.periodic((29, 29)), branch.Convolutional(), 115, 631155),
    ],
)
def test_published_networks_have_the_published_sizes(grid, dense, features, parameters):
    """Of the fair comparison's scripts, counted by running them."""
    model = PODDeepONet(1, 1, grid, grid, branch=dense, features=features)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_mean_and_whitened_coefficients():
    """A branch that gives the true coefficients gives the fields that the functions span."""
    model, fields = small(features=16).double(), outputs()(PLANE.points())
    model.learn_basis(fields)
    t = model.functions[..., :-1].flatten(0, -2)
    c = torch.linalg.lstsq(t, (fields - fields.mean(0)).flatten(1).mT).solution.mT
    torch.testing.assert_close(c.square().mean(0), torch.ones(16, dtype=torch.float64))
    model.branch_net = torch.nn.Flatten()
    model.grid_in = Grid([Axis("x", 16, nodes="uniform")])
    torch.testing.assert_close(model(c.unsqueeze(1)), fields, rtol=1e-9, atol=1e-9)


def test_other_lattices_and_points_by_interpolation():
    model, a = small().double(), torch.randn(3, 1, 12, dtype=torch.float64)
    model.learn_basis(outputs()(PLANE.points()))
    u, fine = model(a), PLANE.resized((14, 17))
    v = model(a, fine)
    assert v.shape == (3, 2, 14, 17)
    torch.testing.assert_close(model(a, PLANE.points().flatten(0, -2)), u.flatten(2))
    torch.testing.assert_close(model(a, fine.points().flatten(0, -2)), v.flatten(2))
    y = torch.rand(3, 7, 2, dtype=torch.float64)
    own = model(a, y)
    for i in range(3):
        torch.testing.assert_close(own[i : i + 1], model(a[i : i + 1], y[i]))
    # what the training outputs were made of is exact between the nodes as well
    nodes, target = waves(PLANE.points().flatten(0, -2)), waves(y[0])
    torch.testing.assert_close(own[0], u[0].flatten(1) @ torch.linalg.pinv(nodes).mT @ target.mT, rtol=1e-8, atol=1e-8)


def test_the_basis_travels_with_the_weights():
    model, a, file = small(), torch.randn(2, 1, 12), io.BytesIO()
    u = model(a)
    torch.save(model.state_dict(), file)
    file.seek(0)
    for state in (model.state_dict(), load(save(model.state_dict())), torch.load(file, weights_only=True)):
        for assign in (False, True):
            other = torch.nn.Sequential(from_config(to_config(model)))
            other.load_state_dict({f"0.{k}": v for k, v in state.items()}, assign=assign)
            assert torch.equal(other(a), u)
    torch.testing.assert_close(copy.deepcopy(model).double()(a.double()).float(), u)
    assert copy.deepcopy(model).to("meta")(a.to("meta")).shape == u.shape


def test_saved_and_loaded(tmp_path):
    window = Window().on(PLANE, "uv", "a")
    options = {"branch": branch.Dense((8,)), "features": 5}
    model = PODDeepONet(1, 2, PLANE, PLANE, **options)
    model.learn_basis(outputs()(PLANE.points()))
    one = Normalizer(torch.zeros(1), torch.ones(1)), Normalizer(torch.ones(2), 2 * torch.ones(2))
    surrogate, a = Surrogate(model, window, *one), torch.randn(2, 1, 10, 9)
    assert torch.equal(pdeops.load(surrogate.save(tmp_path)).predict(a), surrogate.predict(a))


def test_a_model_without_a_basis_says_so():
    model, a = small(learnt=False), torch.randn(2, 1, 12)
    with pytest.raises(InputError, match="has no basis yet: call learn_basis"):
        model(a)
    other = small()
    other.load_state_dict(model.state_dict())
    with pytest.raises(InputError, match="has no basis yet"):
        other(a)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.learn_basis(torch.randn(9, 1, 10, 9)), r"fields of shape \(9, 1, 10, 9\); wanted 2 channels"),
        (lambda m: m.learn_basis(torch.randn(9, 2, 9, 9)), r"fields of shape \(9, 2, 9, 9\); wanted"),
        (lambda m: m.learn_basis(torch.randn(5, 2, 10, 9)), "model.features=5: 5 training outputs"),
        (lambda m: m(torch.randn(2, 2, 12)), r"wanted \(batch, 1 channels, x\)"),
        (lambda m: m(torch.randn(2, 1, 12), 2 * torch.ones(3, 2)), "outside the domain of this PODDeepONet: 'y'"),
        (lambda m: m(torch.randn(2, 1, 12), LINE), "is not this PODDeepONet's output grid"),
        (lambda m: small(features=0), "model.features=0"),
        (lambda m: small(resolution="native"), "a Dense branch reads the nodes it was built for alone"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call(small())


def data(seed=0):
    """What `surrogate_on` asks of data: twelve training outputs on a plane."""
    torch.manual_seed(seed)
    statistics = torch.zeros(1), torch.ones(1), torch.ones(2), 2 * torch.ones(2)
    fields = outputs(12)(PLANE.points()).float()
    window = Window().on(PLANE, "uv", "a")
    return SimpleNamespace(
        window=window, problem=None, channel_stats=lambda: statistics, training_outputs=lambda: fields
    )


def test_training_starts_from_normalised_outputs():
    config = {"model": to_config(PODDeepONet(1, 2, PLANE, PLANE, branch=branch.Dense((8,)), features=5))}
    config["model"] = {k: v for k, v in config["model"].items() if "channels" not in k and "grid" not in k}
    given = data()
    surrogate = surrogate_on(config, given, None)
    expected = (given.training_outputs() - 1) / 2
    torch.testing.assert_close(surrogate.model.functions[..., -1], expected.mean(0), rtol=1e-5, atol=1e-6)
    # a saved one keeps its own functions, whatever the data
    given.training_outputs = None
    again = surrogate_on(config | {"init_from": "x"}, given, surrogate)
    assert torch.equal(again.model.functions, surrogate.model.functions)
