"""The FNO beside neuraloperator's, with its weights."""

import copy

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.fno import FNO

GRID = Grid.periodic((16, 16))
LEFT = Grid((Axis("x", 16, nodes="left"), Axis("y", 16)))
WALLS = Grid((Axis("x", 16, nodes="cell"), Axis("y", 16)))


def neuralop(modes=(8, 8), out_channels=3, **options):
    from neuralop.models import FNO as Theirs

    torch.manual_seed(0)
    return Theirs(n_modes=modes, in_channels=2, out_channels=out_channels, hidden_channels=8, **options)


def ours(grid=GRID, out_channels=3, **options):
    return FNO(2, out_channels, grid, grid, **{"width": 8, "modes": 8} | options)


def error(u, v):
    return (u - v).norm() / v.norm()


@pytest.mark.parametrize(
    ("shape", "modes", "out_channels"),
    [
        ((64,), (16,), 3),
        ((32, 40), (12, 8), 1),
        ((16, 16), (16, 16), 3),
        ((16, 15), (8, 7), 3),
        ((8, 12, 10), (4, 6, 4), 3),
    ],
)
def test_values_and_all_gradients_are_neuraloperators(shape, modes, out_channels):
    theirs = neuralop(modes, out_channels)
    mine = ours(Grid.periodic(shape), out_channels, modes=modes).load_neuralop(theirs.state_dict())
    a = torch.randn(3, 2, *shape)
    inputs, outputs = [a.clone().requires_grad_() for _ in range(2)], []
    for model, x in zip((mine, theirs), inputs, strict=True):
        outputs.append(model(x))
        outputs[-1].square().sum().backward()
    assert error(*outputs) < 1e-6
    assert error(*(x.grad for x in inputs)) < 5e-6
    gradients = copy.deepcopy(mine).load_neuralop({name: p.grad for name, p in theirs.named_parameters()})
    for (name, p), expected in zip(mine.named_parameters(), gradients.parameters(), strict=True):
        assert error(p.grad, expected) < 5e-6, name
    count = sum(p.numel() * (2 if p.is_complex() else 1) for p in theirs.parameters())
    assert sum(p.numel() for p in mine.parameters()) == count


@pytest.mark.parametrize("grid", [LEFT, WALLS])
def test_other_nodes_are_equal_where_coordinates_are(grid):
    coordinates = grid is LEFT
    theirs = neuralop(positional_embedding="grid" if coordinates else None)
    mine = ours(grid, coordinates=coordinates).load_neuralop(theirs.state_dict())
    a = torch.randn(2, 2, 16, 16)
    assert error(mine(a), theirs(a)) < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_channel_mlp": False}, "use_channel_mlp=False"),
        ({"preactivation": True}, "preactivation=True"),
        ({"non_linearity": torch.nn.functional.relu}, "non_linearity=<function relu"),
        ({"domain_padding": 0.25}, "domain_padding=0.25"),
        ({"domain_padding": [0.25, 0.25]}, "domain_padding="),
        ({"resolution_scaling_factor": 2}, "resolution_scaling_factor=2"),
        ({"complex_data": True}, "complex_data=True"),
        ({"stabilizer": "tanh"}, "stabilizer='tanh'"),
        ({"fno_block_precision": "mixed"}, "fno_block_precision='mixed'"),
        ({"max_n_modes": (12, 12)}, "max_n_modes"),
        ({"positional_embedding": None}, "positional_embedding=None"),
        ({"norm": "instance_norm"}, "norm='instance_norm'"),
        ({"norm": "group_norm"}, "norm='group_norm'"),
        ({"fno_skip": "soft-gating"}, "fno_skip='soft-gating'"),
        ({"fno_skip": "identity"}, "fno_skip='identity'"),
        ({"channel_mlp_skip": "linear"}, "channel_mlp_skip='linear'"),
        ({"channel_mlp_skip": None}, "channel_mlp_skip=None"),
        ({"separable": True}, "separable=True"),
        ({"lifting_channel_ratio": 0}, r"no 'lifting.fcs.1.weight'"),
        ({"factorization": "tucker", "rank": 0.5}, "no dense spectral weight"),
        ({"channel_mlp_expansion": 1}, "sizes differ in blocks.0.mlp.0.weight"),
        ({"modes": (6, 6)}, "sizes differ in blocks.0.spectral.weight"),
        ({"modes": (8,)}, "of another grid|sizes differ"),
        ({"n_layers": 3}, r"no 'fno_blocks|no dense spectral weight of block 3"),
        ({"n_layers": 5}, "parts that our FNO has not"),
    ],
)
def test_models_that_are_no_fno_of_ours_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ours().load_neuralop(neuralop(**options).state_dict())


def test_arguments_by_position_are_read_too():
    from neuralop.models import FNO as Theirs

    theirs = Theirs((8, 8), 2, 3, 8, 4, 2, 2, "grid", torch.nn.functional.relu)
    with pytest.raises(InputError, match="non_linearity=<function relu"):
        ours().load_neuralop(theirs.state_dict())


def test_other_convolutions_are_refused():
    from neuralop.layers.spectral_convolution import SpectralConv

    class Other(SpectralConv):
        pass

    with pytest.raises(InputError, match="conv_module"):
        ours().load_neuralop(neuralop(conv_module=Other).state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_channel_mlp": False}, "no 'fno_blocks.channel_mlp.0.fcs.0.weight'"),
        ({"fno_skip": "soft-gating"}, "no 'fno_blocks.fno_skips.0.conv.weight'"),
        ({"fno_skip": "identity"}, "no 'fno_blocks.fno_skips.0.conv.weight'"),
        ({"channel_mlp_skip": "linear"}, "no 'fno_blocks.channel_mlp_skips.0.weight'"),
        ({"separable": True}, "spectral weight of block 0 is torch.complex64 of shape"),
        ({"norm": "group_norm"}, "parts that our FNO has not"),
        ({"positional_embedding": None}, "sizes differ in lifting.0.weight: .16, 2., not .16, 4."),
    ],
)
def test_weights_alone_tell_most_of_it(options, message):
    state = neuralop(**options).state_dict()
    del state["_metadata"]
    with pytest.raises(InputError, match=message):
        ours().load_neuralop(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "group"}, "model.norm=group"),
        ({"basis": ["cosine", "fourier"], "grid": WALLS}, "model.basis="),
        ({"grid": WALLS}, "axis 'x' has cell nodes"),
        ({"grid": LEFT, "padding": 0.25}, "model.padding=0.25"),
        ({"weights": "separable"}, "model.weights=separable"),
        ({"mlp_ratio": 0}, "leaves no MLP"),
        ({"mlp_ratio": 0.01}, "mlp_ratio=0.01 with model.width=8 leaves no MLP"),
    ],
)
def test_models_of_ours_that_theirs_cannot_be_refuse(options, message):
    with pytest.raises(InputError, match=message):
        ours(**options).load_neuralop(neuralop().state_dict())


def test_nothing_is_no_model():
    with pytest.raises(InputError, match="no dense spectral weight"):
        ours().load_neuralop({})
