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
from pdeops.window import Window

NAMES = sorted(p.stem for p in shipped("conf").joinpath("model").glob("*.yaml"))
SMALL = {"width": 8, "modes": 4, "time_modes": 3, "latent_steps": 4, "levels": 3, "latent": 16, "features": 8}
OWN = {name: {"modes": 3, "patches": 2, "depth": 2} for name in ("vitno", "fano")}  # few nodes to a patch
OWN["nsm"] = {"nodes": 9}
OWN["nsm_published"] = OWN["sno"] = {"modes": 5, "scale": 1.0}
FRAMES = {"sfno": (3, 5)}  # in and out, of models with a time axis of their own
STENCILS = ["mgno"]
# values at points that are no lattice
ANYWHERE = [
    "deeponet",
    "fano",
    "latent_transformer",
    "nsm",
    "nsm_published",
    "pod_deeponet",
    "point_lsm",
    "sno",
    "tno",
    "vitno",
]
ODD = [n for n in NAMES if not n.startswith("neuralop")]  # neuraloperator 2.0 is wrong on odd sizes


def config_of(name):
    return OmegaConf.to_container(OmegaConf.load(shipped("conf") / "model" / f"{name}.yaml"), resolve=True)


def build(name, grid, **changes):
    config = config_of(name)
    config.pop("defaults", None)  # of the data
    grids = [grid, grid]
    if name in FRAMES:
        window = Window(*FRAMES[name], history="time").on(Grid([Axis("time", 9, nodes="left"), *grid.space]), "uv", "a")
        grids = [window.grid_in, window.grid_out]
    config |= {"in_channels": 3, "out_channels": 2, "grid_in": to_config(grids[0]), "grid_out": to_config(grids[1])}
    torch.manual_seed(0)
    model = from_config(config | {k: v for k, v in (SMALL | OWN.get(name, {}) | changes).items() if k in config})
    if hasattr(model, "learn_basis"):
        model.learn_basis(torch.randn(12, 2, *grids[1].shape))
    return model


def randn(name, batch, *shape):
    """A batch of inputs with this space."""
    return torch.randn(batch, 3, *FRAMES.get(name, ())[:1], *shape)


def out_shape(name, *shape):
    return 2, *FRAMES.get(name, ())[1:], *shape


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.mark.parametrize("shape", [(16, 16), (16, 24)])
def test_shapes(name, shape):
    model = build(name, Grid.periodic(shape))
    assert model(randn(name, 2, *shape)).shape == (2, *out_shape(name, *shape))


def test_odd_sizes_and_other_resolutions(name):
    if name not in ODD:
        pytest.skip("neuraloperator 2.0 is wrong on odd sizes")
    model = build(name, Grid.periodic((16, 16)))
    for shape in ((15, 17), (32, 32), (8, 12)):
        assert model(randn(name, 1, *shape)).shape == (1, *out_shape(name, *shape))


def test_every_parameter_gets_a_finite_gradient(name):
    model = build(name, Grid.periodic((16, 16)))
    model(randn(name, 2, 16, 16)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert (
            torch.view_as_real(parameter.grad).isfinite().all()
            if parameter.is_complex()
            else parameter.grad.isfinite().all()
        )
        assert parameter.grad.abs().sum() > 0, key


def test_state_dict_round_trip_nested_and_through_safetensors(name):
    grid, a = Grid.periodic((16, 16)), randn(name, 1, 16, 16)
    model = torch.nn.Sequential(build(name, grid))
    other = torch.nn.Sequential(build(name, grid))
    for parameter in other.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    other.load_state_dict(load(save({k: v.contiguous() for k, v in model.state_dict().items()})))
    assert torch.equal(model(a), other(a))


def test_weights_load_as_plain_tensors(name):
    """torch.save, then `weights_only=True` and a strict load, of the model inside another module."""
    grid, a, file = Grid.periodic((16, 16)), randn(name, 1, 16, 16), io.BytesIO()
    model, other = (torch.nn.ModuleDict({"model": build(name, grid)}) for _ in range(2))
    for parameter in other.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(model["model"](a), other["model"](a))


def test_pickled(name):
    model, a = build(name, Grid.periodic((16, 16))), randn(name, 1, 16, 16)
    assert torch.equal(pickle.loads(pickle.dumps(model))(a), model(a))


def test_written_down_built_again_and_copied(name):
    model = build(name, Grid.periodic((16, 16)))
    again = from_config(to_config(model))
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]
    a = randn(name, 1, 16, 16)
    assert torch.equal(copy.deepcopy(model)(a), model(a))


def test_samples_do_not_see_each_other(name):
    model = build(name, Grid.periodic((16, 16))).eval()
    a = randn(name, 3, 16, 16)
    torch.testing.assert_close(model(a)[1:2], model(a[1:2]), rtol=1e-4, atol=1e-5)


def test_autocast_stays_close(name):
    model = build(name, Grid.periodic((16, 16)))
    a = randn(name, 2, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(a).float()
    full = model(a)
    assert (half - full).norm() / full.norm() < 0.1


def test_gradients_under_autocast_stay_close(name):
    """`trainer.precision=bf16-mixed`: of all parameters together."""
    model, found = build(name, Grid.periodic((16, 16))), []
    a = randn(name, 2, 16, 16)
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            u = model(a)
        u.float().square().mean().backward()
        assert all(p.grad.dtype == p.dtype for p in model.parameters())
        found.append(torch.cat([torch.view_as_real(p.grad + 0j).flatten() for p in model.parameters()]))
    full, half = found
    assert (half - full).norm() < 0.1 * full.norm()


def test_a_wrong_input_is_refused_with_both_shapes(name):
    model = build(name, Grid.periodic((16, 16)))
    axes = "time, x, y" if name in FRAMES else "x, y"
    for wrong in (randn(name, 1, 16, 16)[:, 1:], randn(name, 1, 16, 16)[0]):
        with pytest.raises(InputError, match=rf"wanted \(batch, 3 channels, {axes}\)"):
            model(wrong)


def test_points_are_refused_or_served(name):
    model, a, points = build(name, Grid.periodic((16, 16))), randn(name, 1, 16, 16), torch.rand(5, 2)
    if name in ANYWHERE:
        assert model(a, points).shape == (1, 2, 5)
        for wrong in (torch.rand(5, 3), torch.rand(5), torch.rand(2, 5, 2)):  # dimensions, places, samples
            with pytest.raises(InputError, match="points"):
                model(a, wrong)
        return
    with pytest.raises(InputError):
        model(a, points)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_dimensions(name, d):
    model = build(name, Grid.periodic((8,) * d))
    assert model(randn(name, 1, *(8,) * d)).shape == (1, *out_shape(name, *(8,) * d))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(FRAMES)))
def test_time_is_an_axis_like_others(name):
    model = build(name, Grid((Axis("time", 8, nodes="right"), *Grid.periodic((8, 8)))))
    assert model(torch.randn(1, 3, 8, 8, 8)).shape == (1, 2, 8, 8, 8)


@pytest.mark.parametrize("name", [n for n in NAMES if "modes" in config_of(n)])
def test_wrong_number_of_modes_is_refused(name):
    if name in STENCILS:
        pytest.skip("it has no modes")
    with pytest.raises(InputError, match="one for each of"):
        build(name, Grid.periodic((16, 16)), modes=[4, 4, 4])
