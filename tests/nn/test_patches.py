"""Patches: the same parts of the domain at every size, their rules, their series."""

from math import pi

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.patches import Patches, patch_nodes, patch_weights
from pdeops.nn.spectral_conv import Transform

MIXED = Grid([Axis("x", 12), Axis("y", 16, nodes="uniform"), Axis("z", 8, nodes="cell")])


def test_patches_are_parts_of_the_field():
    patches, v = Patches(MIXED, (3, 5, 2), 1), torch.randn(2, 12, 16, 8, 3)
    cut = patches.cut(v, MIXED)
    assert cut.shape == (2, 30, 5, 4, 4, 3)
    cut = cut.unflatten(1, (3, 5, 2))
    assert torch.equal(cut[:, 1, 2, 1], v[:, 4:9, 6:10, 4:])
    assert torch.equal(cut[:, 2, 0, 0, 4], v[:, 0, :4, :4])  # the period's end is its start


def test_seams_become_continuous_by_lines():
    v = torch.tensor([[0.0, 1, 2, 3], [5, 6, 7, 8]]).view(1, 2, 4, 1)  # a jump by 2
    grid = Grid([Axis("y", 7, nodes="uniform")])
    found = Patches(grid, 2, 1).join(v, grid).flatten()
    torch.testing.assert_close(found, torch.tensor([0, 4 / 3, 8 / 3, 4, 16 / 3, 20 / 3, 8]))
    circle = Grid([Axis("x", 6)])  # and another one by 8, to 4
    found = Patches(circle, 2, 1).join(v, circle).flatten()
    torch.testing.assert_close(found, torch.tensor([4.0, 4, 4, 4, 4, 4]))
    cells = Grid([Axis("z", 8, nodes="cell")])  # a jump by 5 - 3 - 1 between the ends that lines have
    found = Patches(cells, 2, 1).join(v, cells).flatten()
    torch.testing.assert_close(found, torch.arange(8) + torch.cat([x := (torch.arange(4) + 0.5) / 8, x - 0.5 + 1]))


@pytest.mark.parametrize("nodes", ["cell", "uniform", "periodic"])
def test_fields_put_together_are_continuous_in_every_direction(nodes):
    """At all shared nodes of two axes, corners among them; and what is continuous stays."""
    grid = Grid([Axis("x", 8 + (nodes == "uniform"), nodes=nodes), MIXED[1]])
    patches = Patches(grid, (2, 3), 1)
    u = patches.join(torch.randn(1, 6, *patches.sizes(grid), 2, dtype=torch.float64), grid)
    again = patches.join(patches.cut(u, grid), grid)
    torch.testing.assert_close(again, u)
    line = grid.points().sum(-1).view(1, *grid.shape, 1)
    if nodes == "periodic":
        line = (2 * pi * line).sin()
    torch.testing.assert_close(patches.join(patches.cut(line, grid), grid), line)


def test_places_are_the_nodes_and_continue_to_the_end():
    patches = Patches(MIXED, (3, 5, 2), 1)
    wanted = patches.cut(MIXED.points().unsqueeze(0), MIXED)[0]
    found = patches.places(MIXED, wanted)
    ends = wanted[..., 0] == 0
    ends[: 5 * 2, 0] = False  # but for the first patches' first nodes
    torch.testing.assert_close(found[..., 1:], wanted[..., 1:])
    torch.testing.assert_close(found[..., 0], torch.where(ends, 1.0, wanted[..., 0]))


@pytest.mark.parametrize("shared", [True, False])
def test_a_patch_has_the_series_of_its_modes(shared):
    """Coefficients of a cubic are exact, where sums over nodes are wrong by tens of percents; those of waves are of
    fourth order; what is put together are the waves themselves."""
    basis = Patches(Grid([Axis("x", 7, nodes="uniform" if shared else "cell")]), 1, 5).bases()
    transform = Transform(basis)
    assert [basis[0].resolved(k + shared) for k in (2, 3, 4, 5)] == [1, 2, 2, 3]

    def coefficients(v, k):
        return torch.complex(*transform.analyse(v.view(1, -1, 1), (k,)).view(2, k))

    t = patch_nodes(7, shared)
    exact = [torch.tensor([1.0, 0, 0], dtype=torch.complex128)]  # of t^m: by parts, from those of t^(m - 1)
    for m in (1, 2, 3):
        waves = (m * exact[-1][1:] - 1) / (2j * pi * torch.arange(1, 3))
        exact.append(torch.cat([waves.new_tensor([1 / (m + 1)]), waves]))
    torch.testing.assert_close(coefficients(1 - 2 * t**2 + 5 * t**3, 3), exact[0] - 2 * exact[2] + 5 * exact[3])
    wanted = torch.tensor([2, 0.5, 1.5j], dtype=torch.complex128)
    errors = []
    for n in (20, 60):
        t = patch_nodes(n + shared, shared)
        v = 2 + (2 * pi * t).cos() - 3 * (4 * pi * t).sin()
        errors.append((coefficients(v, 3) - wanted).norm())
        series = transform.synthesise(torch.view_as_real(wanted).mT.reshape(1, 2, 3, 1), t.shape, t.shape, (3,))
        torch.testing.assert_close(series.flatten(), v)
    assert 60 < errors[0] / errors[1] < 110  # 3^4


@pytest.mark.parametrize("shared", [True, False])
def test_weights_integrate_cubics(shared):
    for n, degree in ((7, 3), (2, 1), (1, 0)):
        w, t = patch_weights(n + shared, shared), patch_nodes(n + shared, shared)
        found = [(w * t**k).sum().item() for k in range(degree + 1)]
        assert found == pytest.approx([1 / (k + 1) for k in range(degree + 1)])
    patches = Patches(MIXED, (3, 5, 2), 1)
    inner = patches.cut(MIXED.points()[..., 1:].unsqueeze(0).double(), MIXED)[0].flatten(1, -2)
    means = (patches.weights(MIXED, inner).unsqueeze(-1) * inner).sum(1).unflatten(0, (3, 5, 2))
    torch.testing.assert_close(means[0, :, 0, 0], (torch.arange(5).double() + 0.5) / 5)
    torch.testing.assert_close(means[0, 0, :, 1], (torch.arange(2).double() + 0.5) / 2)
    cells = Grid([Axis("x", 8, nodes="cell")])
    assert Patches(cells, 2, 1).weights(cells, inner) is None


@pytest.mark.parametrize(
    ("nodes", "n", "there", "kind"),
    [
        ("cell", 12, 12, "cell"), ("cell", 13, 16, "cell"), ("cell", 8, 12, "cell"),
        ("uniform", 13, 13, "uniform"), ("uniform", 12, 13, "uniform"), ("periodic", 18, 20, "periodic"),
        ("right", 12, 13, "uniform"), ("left", 14, 17, "uniform"), ("chebyshev", 15, 17, "uniform"),
    ],
)  # fmt: skip
def test_the_lattice_is_the_next_that_patches_divide_and_modes_fit(nodes, n, there, kind):
    grid = Grid([Axis("x", 24, nodes=nodes)])
    (axis,) = Patches(grid, 4, 3).lattice(grid.resized((n,)))
    assert (axis.n, axis.nodes, axis.length, axis.start) == (there, kind, 1.0, 0.0)


def test_patches_are_checked():
    with pytest.raises(InputError, match=r"at most 2, model.modes at most 3, or 20 nodes"):
        Patches(Grid([Axis("x", 12)]), 4, 5)
    Patches(Grid([Axis("x", 20)]), 4, 5)
    with pytest.raises(InputError, match="wanted one or 1"):
        Patches(Grid([Axis("x", 12)]), (2, 2), 3)
