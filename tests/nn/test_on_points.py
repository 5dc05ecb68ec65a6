"""Windows in time of models that are asked at points: the output's places follow the input's, and are taken for its
own."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.fano import FANO
from pdeops.models.latent_transformer import LatentTransformer
from pdeops.models.point_lsm import PointLSM
from pdeops.models.tno import TNO
from pdeops.models.vitno import ViTNO
from pdeops.window import Window

SMALL = {
    TNO: {"width": 8, "heads": 2, "depth": 1, "hidden": 8},
    ViTNO: {"width": 8, "heads": 2, "depth": 1, "hidden": 8, "patches": [1, 2], "modes": [1, 3], "smoothing": 3},
    FANO: {"width": 8, "heads": 2, "depth": 1, "hidden": 8, "patches": [1, 2], "modes": [1, 3]},
    LatentTransformer: {"width": 4, "patches": 2, "latent": 8, "heads": 2, "depth": 1, "hidden": 8, "projection": 8},
    PointLSM: {"width": 8, "latent": 16, "modes": 4, "levels": 2, "projection": 8},
}


def window(n_in, n_out):
    space = Grid((Axis("x", 12, 2.0, "uniform", -1.0),))
    return Window(n_in, n_out, history="time").on(Grid((Axis("time", 20, 2.0, "uniform"), *space)), ["u"], [])


def small(kind, grid_in, grid_out):
    torch.manual_seed(0)
    return kind(1, 1, grid_in, grid_out, **SMALL[kind]).double()


@pytest.mark.parametrize("kind", SMALL)
def test_a_window_in_time_is_taken_for_the_history(kind):
    """Frames that follow are where the same operator has its own, not continued from them."""
    bound = window(4, 4)
    a = torch.randn(2, 1, *bound.grid_in.shape, dtype=torch.float64)
    u = small(kind, bound.grid_in, bound.grid_out)(a)
    same = small(kind, bound.grid_in, bound.grid_in)(a)
    torch.testing.assert_close(u, same, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 4), (2, 5), (1, 3)])
@pytest.mark.parametrize("kind", SMALL)
def test_points_of_a_window_in_time_have_the_units_of_the_output(kind, n_in, n_out):
    bound = window(n_in, n_out)
    model = small(kind, bound.grid_in, bound.grid_out)
    a = torch.randn(2, 1, *bound.grid_in.shape, dtype=torch.float64)
    u, places = model(a), bound.grid_out.points().flatten(0, -2)
    assert u.shape == (2, 1, *bound.grid_out.shape)
    torch.testing.assert_close(model(a, places), u.flatten(2), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(model(a, places.expand(2, -1, -1)), u.flatten(2), atol=1e-12, rtol=1e-12)
    with pytest.raises(InputError, match=r"points outside the domain .* 'time' from -0\.\d+ .*wanted \[0, "):
        model(a, bound.grid_in.points().flatten(0, -2) - places.new_tensor([0.01, 0.0]))
