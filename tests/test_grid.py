"""Nodes, quadrature, and grids as values."""

from math import pi

import pytest
import torch
from torch.utils import _pytree as pytree

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid, equally_spaced

NODES = ("periodic", "cell", "uniform", "left", "right", "chebyshev")


@pytest.mark.parametrize("nodes", NODES)
def test_weights_sum_to_the_length_and_points_stay_inside(nodes):
    axis = Axis("x", 9, length=2.5, nodes=nodes, start=-1.0)
    assert axis.weights().sum() == pytest.approx(2.5, rel=1e-14)
    assert (axis.points() >= -1.0).all()
    assert (axis.points() <= 1.5 + 1e-14).all()


def test_where_the_nodes_sit():
    def at(nodes):
        return Axis("x", 4, 2.0, nodes, start=1.0).points().tolist()

    assert at("periodic") == [1, 1.5, 2, 2.5]
    assert at("left") == [1, 1.5, 2, 2.5]
    assert at("right") == [1.5, 2, 2.5, 3]
    assert at("cell") == [1.25, 1.75, 2.25, 2.75]
    assert at("uniform") == pytest.approx([1, 5 / 3, 7 / 3, 3])
    assert at("chebyshev") == pytest.approx([1, 1.5, 2.5, 3])


@pytest.mark.parametrize(("nodes", "order"), [("cell", 2), ("uniform", 2), ("left", 1), ("right", 1)])
def test_quadrature_order(nodes, order):
    def error(n):
        axis = Axis("x", n, nodes=nodes)
        return abs(float((axis.weights() * axis.points().exp()).sum()) - (torch.e - 1))

    assert torch.log2(torch.tensor(error(40) / error(80))) == pytest.approx(order, abs=0.05)


def test_clenshaw_curtis_is_exact_for_polynomials_below_its_size():
    axis = Axis("x", 8, length=3.0, nodes="chebyshev", start=-1.0)
    x, w = axis.points(), axis.weights()
    for k in range(8):
        assert float((w * x**k).sum()) == pytest.approx((2 ** (k + 1) - (-1) ** (k + 1)) / (k + 1), rel=1e-12)


def test_periodic_quadrature_is_exact_for_resolved_waves():
    axis = Axis("x", 8, length=2.0)
    wave = torch.cos(2 * pi / 2.0 * 3 * axis.points())
    assert float((axis.weights() * wave**2).sum()) == pytest.approx(1.0)


def test_tensor_product():
    grid = Grid((Axis("x", 3, 2.0, "uniform"), Axis("y", 4, 3.0)))
    assert grid.shape == (3, 4)
    assert grid.points().shape == (3, 4, 2)
    assert torch.equal(grid.points()[1, 2], torch.tensor([1.0, 1.5], dtype=torch.float64))
    assert grid.weights().sum() == pytest.approx(6.0)
    assert grid.volume == 6.0


def test_slices_sums_and_resizing_are_grids():
    grid = Grid((Axis("time", 5, 1.0, "uniform"), *Grid.periodic((4, 6))))
    assert isinstance(grid[1:], Grid)
    assert grid.space == Grid.periodic((4, 6))
    assert grid[:1] + grid.space == grid
    assert grid.resized((3, 8, 8)).shape == (3, 8, 8)
    assert hash(grid) == hash(Grid(tuple(grid)))


@pytest.mark.parametrize(
    ("nodes", "strides"),
    [
        ("periodic", (1, 2, 3, 4, 6)),
        ("left", (1, 2, 3, 4, 6)),
        ("right", (1, 2, 3, 4, 6)),
        ("cell", (1, 3)),
        ("uniform", (1, 2, 3, 4, 6)),
        ("chebyshev", (1, 2, 3, 4, 6)),
    ],
)
def test_strides_are_those_whose_nodes_are_the_resized_axis_own(nodes, strides):
    """All that do, and no others: tried out one by one."""
    axis = Axis("x", 13 if nodes in ("uniform", "chebyshev") else 12, 2.5, nodes, start=-1.0)
    nested = []
    for stride in range(1, 13):
        taken = axis.points()[axis.every(stride)]
        fewest = 3 if nodes in ("uniform", "chebyshev") else 2  # two intervals
        fits = len(taken) >= fewest and torch.allclose(taken, axis.resized(len(taken)).points(), rtol=0, atol=1e-12)
        nested += [stride] * fits
    assert axis.strides == strides == tuple(nested)


def test_every_second_node_of_a_grid_is_a_grid():
    grid = Grid((Axis("x", 9, 2.0, "uniform"), Axis("y", 6, 3.0, "right"), Axis("z", 5, nodes="chebyshev")))
    points = grid.points().movedim(-1, 0)[grid.every(2)].movedim(0, -1)
    torch.testing.assert_close(points, grid.resized((5, 3, 3)).points())


def test_a_stride_of_other_nodes_names_those_that_serve():
    grid = Grid((Axis("x", 24), Axis("y", 18, nodes="left")))
    with pytest.raises(InputError, match=r"axis 'y', 18 left nodes: a stride of 4 .*: 1, 2, 3, 6$"):
        grid.every(4)


def test_time_keeps_its_nodes():
    grid = Grid((Axis("time", 5, 1.0, "uniform"), *Grid.periodic((4, 6))))
    assert grid.resized_in_space((8, 3)) == grid.resized((5, 8, 3))
    assert grid.space.resized_in_space((8, 3)) == grid.space.resized((8, 3))
    with pytest.raises(InputError, match="cannot resize"):
        grid.resized_in_space((5, 8, 3))


def test_a_grid_is_a_constant_of_a_pytree():
    grid = Grid.periodic((4, 6))
    leaves, spec = pytree.tree_flatten({"out": grid})
    assert leaves == []
    assert pytree.tree_unflatten(leaves, spec)["out"] == grid
    restored = pytree.treespec_loads(pytree.treespec_dumps(spec))
    assert pytree.tree_unflatten([], restored)["out"] == grid


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": "lattice"}, "wanted one of"),
        ({"nodes": "cell", "bc": "periodic"}, "go together"),
        ({"bc": "walls"}, "wanted one of"),
        ({"n": 0}, "need n >= 1"),
        ({"n": 1, "nodes": "uniform"}, "need n >= 2"),
        ({"length": 0.0}, "positive"),
    ],
)
def test_bad_axes_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Axis(**({"name": "x", "n": 4} | arguments))


def test_bad_grids_are_refused():
    with pytest.raises(InputError, match="own name"):
        Grid((Axis("x", 4), Axis("x", 4)))
    with pytest.raises(InputError, match="time must be the first"):
        Grid((Axis("x", 4), Axis("time", 4, nodes="uniform")))
    with pytest.raises(InputError, match="cannot resize"):
        Grid.periodic((4, 4)).resized((4,))


def test_resized_keeps_the_domain():
    g = Grid((Axis("x", 4, 3.0, "cell", start=2.0), Axis("y", 5, 2.0)))
    assert g.resized((8, 7)) == Grid((Axis("x", 8, 3.0, "cell", start=2.0), Axis("y", 7, 2.0)))


def test_walls_are_not_time():
    g = Grid((Axis("x", 4, nodes="cell"), Axis("y", 5)))
    assert g.time is None
    assert g.space == g


def test_volume_in_three_dimensions():
    assert Grid((Axis("x", 2, 2.0), Axis("y", 2, 3.0), Axis("z", 2, 5.0))).volume == 30


@pytest.mark.parametrize("nodes", ["periodic", "cell", "uniform", "left", "right"])
def test_an_axis_is_found_again_from_its_points(nodes):
    axis = Axis("x", 7, 2.5, nodes, start=-1.0)
    found = equally_spaced("x", axis.points().tolist(), nodes)
    assert (found.n, found.nodes) == (7, nodes)
    assert (found.length, found.start) == (pytest.approx(2.5), pytest.approx(-1.0))


@pytest.mark.parametrize("points", [[0.0, 0.1, 0.3], [3.0, 2.0, 1.0], [1.0]])
def test_points_at_unequal_distances_are_refused(points):
    with pytest.raises(InputError, match="not equally spaced and increasing"):
        equally_spaced("x", points, "uniform")


@pytest.mark.parametrize("nodes", ["periodic", "cell", "uniform", "left", "right"])
def test_a_node_alone_is_that_of_all(nodes):
    axis = Axis("x", 7, 0.3, nodes, -1.7)
    assert [axis.node(j) for j in range(7)] == axis.points().tolist()


def test_chebyshev_nodes_are_not_told_one_by_one():
    with pytest.raises(InputError, match="take points"):
        Axis("x", 7, nodes="chebyshev").node(1)
