"""Fields beyond the ends of their axes."""

import pytest
import torch
from torch.func import jvp, vmap

from pdeops.errors import InputError
from pdeops.grid import Axis
from pdeops.nn.extension import ends, extended

WRAP, WALL, NODE, ZERO, LEFT = (
    ("wrap", "wrap"),
    ("wall", "wall"),
    ("node", "node"),
    ("zero", "zero"),
    ("node", "wall"),
)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (WRAP, [3, 1, 2, 3, 1]),
        (WALL, [1, 1, 2, 3, 3]),
        (NODE, [2, 1, 2, 3, 2]),
        (LEFT, [2, 1, 2, 3, 3]),
        (ZERO, [1, 2, 3]),  # convolutions append zeros themselves
    ],
)
def test_one_axis(kind, expected):
    v = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1)
    assert extended(v, (kind,)).flatten().tolist() == expected


@pytest.mark.parametrize("kind", [WRAP, WALL, NODE])
def test_a_single_node_is_constant(kind):
    assert extended(torch.full((1, 1, 1), 2.0), (kind,)).flatten().tolist() == [2.0, 2.0, 2.0]


def test_corners_follow_both_axes():
    v = torch.arange(6.0).view(1, 2, 3, 1)
    wide = extended(v, (WRAP, NODE))[0, :, :, 0]
    rows = torch.stack([v[0, i, :, 0] for i in (1, 0, 1, 0)])
    assert torch.equal(wide, rows[:, [1, 0, 1, 2, 1]])
    assert extended(v, (ZERO, WALL)).shape == (1, 2, 5, 1)


def test_derivatives():
    kinds = (WRAP, LEFT, NODE)
    v = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(extended, (v, kinds), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(extended, (v, kinds))
    tangent = torch.randn_like(v)
    assert torch.equal(jvp(lambda x: extended(x, kinds), (v,), (tangent,))[1], extended(tangent, kinds))
    assert torch.equal(vmap(lambda x: extended(x[None], kinds)[0])(v), extended(v, kinds))


def test_the_kind_follows_the_nodes():
    found = {nodes: ends(Axis("x", 8, nodes=nodes), "neumann") for nodes in ("cell", "uniform", "left", "right")}
    assert found == {"cell": WALL, "uniform": NODE, "left": LEFT, "right": LEFT[::-1]}
    assert ends(Axis("x", 8), "periodic") == WRAP
    assert ends(Axis("x", 8, nodes="cell"), "dirichlet") == ZERO


def test_boundaries_that_do_not_go_with_the_nodes():
    for axis, boundary in ((Axis("x", 8), "neumann"), (Axis("x", 8, nodes="cell"), "periodic")):
        with pytest.raises(InputError, match="periodic nodes and a periodic boundary go together"):
            ends(axis, boundary)
    with pytest.raises(InputError, match="wanted dirichlet, neumann or periodic"):
        ends(Axis("x", 8, nodes="cell"), "robin")
