"""What every model of `conf/model` must satisfy; the configurations themselves say which models there are."""

import copy
import io
import pickle

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load, save

from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.overrides import shipped

NAMES = sorted(p.stem for p in shipped("conf").joinpath("model").glob("*.yaml"))
SMALL = {"width": 8, "modes": 4}
ODD = [n for n in NAMES if not n.startswith("neuralop")]  # neuraloperator 2.0 is wrong on odd sizes


def build(name, grid, in_channels=2, out_channels=3, **changes):
    config = OmegaConf.to_container(OmegaConf.load(shipped("conf") / "model" / f"{name}.yaml"))
    config |= {"in_channels": in_channels, "out_channels": out_channels}
    config |= {"grid_in": to_config(grid), "grid_out": to_config(grid)}
    torch.manual_seed(0)
    return from_config(config | {k: v for k, v in (SMALL | changes).items() if k in config})


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.mark.parametrize("shape", [(16, 16), (16, 24)])
def test_shapes(name, shape):
    model = build(name, Grid.periodic(shape))
    assert model(torch.randn(2, 2, *shape)).shape == (2, 3, *shape)


def test_odd_sizes_and_other_resolutions(name):
    if name not in ODD:
        pytest.skip("neuraloperator 2.0 is wrong on odd sizes")
    model = build(name, Grid.periodic((16, 16)))
    for shape in ((15, 17), (32, 32), (8, 12)):
        assert model(torch.randn(1, 2, *shape)).shape == (1, 3, *shape)


def test_every_parameter_gets_a_finite_gradient(name):
    model = build(name, Grid.periodic((16, 16)))
    model(torch.randn(2, 2, 16, 16)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert (
            torch.view_as_real(parameter.grad).isfinite().all()
            if parameter.is_complex()
            else parameter.grad.isfinite().all()
        )
        assert parameter.grad.abs().sum() > 0, key


def test_state_dict_round_trip_nested_and_through_safetensors(name):
    grid, a = Grid.periodic((16, 16)), torch.randn(1, 2, 16, 16)
    model = torch.nn.Sequential(build(name, grid))
    other = torch.nn.Sequential(build(name, grid))
    for parameter in other.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    other.load_state_dict(load(save({k: v.contiguous() for k, v in model.state_dict().items()})))
    assert torch.equal(model(a), other(a))


def test_weights_load_as_plain_tensors(name):
    """torch.save, then `weights_only=True` and a strict load, of the model inside another module."""
    grid, a, file = Grid.periodic((16, 16)), torch.randn(1, 2, 16, 16), io.BytesIO()
    model, other = (torch.nn.ModuleDict({"model": build(name, grid)}) for _ in range(2))
    for parameter in other.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(model["model"](a), other["model"](a))


def test_pickled(name):
    model, a = build(name, Grid.periodic((16, 16))), torch.randn(1, 2, 16, 16)
    assert torch.equal(pickle.loads(pickle.dumps(model))(a), model(a))


def test_written_down_built_again_and_copied(name):
    model = build(name, Grid.periodic((16, 16)))
    again = from_config(to_config(model))
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]
    a = torch.randn(1, 2, 16, 16)
    assert torch.equal(copy.deepcopy(model)(a), model(a))


def test_samples_do_not_see_each_other(name):
    model = build(name, Grid.periodic((16, 16))).eval()
    a = torch.randn(3, 2, 16, 16)
    torch.testing.assert_close(model(a)[1:2], model(a[1:2]), rtol=1e-4, atol=1e-5)


def test_autocast_stays_close(name):
    model = build(name, Grid.periodic((16, 16)))
    a = torch.randn(2, 2, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(a).float()
    full = model(a)
    assert (half - full).norm() / full.norm() < 0.1


def test_a_wrong_input_is_refused_with_both_shapes(name):
    model = build(name, Grid.periodic((16, 16)))
    for shape in ((1, 3, 16, 16), (2, 16, 16)):
        with pytest.raises(InputError, match=r"wanted \(batch, 2 channels, x, y\)"):
            model(torch.randn(*shape))


def test_points_are_refused_or_served(name):
    model = build(name, Grid.periodic((16, 16)))
    with pytest.raises(InputError):
        model(torch.randn(1, 2, 16, 16), torch.rand(5, 2))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_dimensions_and_time(name, d):
    grid = Grid.periodic((8,) * d) if d < 3 else Grid((Axis("time", 8, nodes="right"), *Grid.periodic((8, 8))))
    model = build(name, grid)
    assert model(torch.randn(1, 2, *grid.shape)).shape == (1, 3, *grid.shape)


def test_wrong_number_of_modes_is_refused(name):
    with pytest.raises(InputError, match="one for each of"):
        build(name, Grid.periodic((16, 16)), modes=[4, 4, 4])
