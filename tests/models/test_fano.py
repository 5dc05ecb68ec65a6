"""FANO: attention in coefficients against attention of values at nodes; other sizes; translations."""

import copy

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.models.fano import FANO, FourierAttention, hermitian
from pdeops.nn.patches import Patches
from tests.models.test_vitno import KINDS, grid_of, order_of, smooth


def small(grid, **options):
    torch.manual_seed(0)
    sizes = {"width": 8, "heads": 2, "depth": 2, "hidden": 16, "patches": (2, 3, 2)[: grid.ndim], "modes": 5}
    model = FANO(2, 2, grid, grid, **(sizes | options)).double()
    with torch.no_grad():  # so that attention chooses
        for layer in model.attentions:
            layer.temperature.fill_(2)
    return model


def dense(layer, v, lattice, patches):
    """Q u, K u and V u as fields at nodes, the score by quadrature over these, the mean of the values' fields."""
    each, heads, d = v.shape[-1] // layer.heads, layer.heads, lattice.ndim
    sizes, last = patches.sizes(lattice), d - 1
    x = patches.places(lattice, v)[0] * torch.tensor(patches.counts)  # in the first patch, [0, 1]^d
    tops = patches.tops
    lines = [torch.arange(-t, t + 1) if i != last else torch.arange(t + 1) for i, t in enumerate(tops)]
    f = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).double().flatten(0, -2)
    waves = torch.exp(2j * torch.pi * torch.einsum("nd,fd->nf", x.flatten(0, -2).double(), f)).to(torch.complex128)
    w = patches.weights(lattice, v.double())
    w = torch.full((x[..., 0].numel(),), 1 / x[..., 0].numel(), dtype=torch.float64) if w is None else w
    twice = torch.where(f[:, -1] > 0, 2.0, 1.0).double()
    r = torch.complex(*layer.weight.double().unbind(-2)).flatten(0, d - 1).flatten(2)
    u = layer.norm(v).flatten(2, -2).double()
    z = torch.einsum("n,nf,bpnc->bpfc", w.to(waves.dtype), waves.conj(), u.to(waves.dtype))
    y = torch.einsum("f,nf,fcy,bpfc->bpny", twice.to(waves.dtype), waves, r, z).real
    q, k, values = y.unflatten(-1, (3, heads, each)).unbind(3)
    score = torch.einsum("bpnhd,bqnhd,n->bhpq", q, k, w) / each**0.5
    score = score * layer.temperature.double().exp().view(-1, 1, 1)
    mean = torch.einsum("bhpq,bqnhd->bpnhd", score.softmax(-1), values).flatten(-2)
    return v + (mean @ layer.out.weight.double().T).unflatten(2, sizes)


@pytest.mark.parametrize("nodes", ["cell", "uniform", "periodic"])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equals_attention_of_fields_at_nodes(nodes, d, dtype, error):
    """Also where the modes just fit a patch, of five intervals."""
    grid = Grid(axis.resized(5 * count + (nodes == "uniform"))
                for axis, count in zip(grid_of(12, nodes, d), (2, 3, 1), strict=False))  # fmt: skip
    patches = Patches(grid, (2, 3, 1)[:d], 5)
    torch.manual_seed(0)
    layer = FourierAttention(8, 2, patches.bases(), patches.frequencies()).to(dtype)
    with torch.no_grad():
        layer.temperature.copy_(torch.tensor([1.0, 2.0]))
    v = patches.cut(torch.randn(2, *grid.shape, 8, dtype=dtype), grid)
    found, wanted = layer(v), dense(layer, v, grid, patches)
    assert (wanted - v).norm() > 0.1 * v.norm()
    torch.testing.assert_close(found.double(), wanted, atol=error, rtol=0)


def test_real_fields_go_to_real_ones():
    given = torch.randn(5, 3, 4, 3, 2, 2, 6)  # modes, channels, (query, key, value), heads, parts, channels
    w = hermitian(given)
    assert torch.equal(w[:, 1:], given[:, 1:])
    plane = torch.complex(*w[:, 0].unbind(-2))
    torch.testing.assert_close(plane, plane.flip(0).conj())
    torch.testing.assert_close(hermitian(w), w)
    line = hermitian(given[0])
    assert line[0, ..., 1, :].count_nonzero() == 0
    assert torch.equal(line[1:], given[0, 1:])


@pytest.mark.parametrize("nodes", KINDS)
@pytest.mark.parametrize("d", [1, 2])
def test_the_untrained_operator_is_one_of_second_order_in_the_mesh_width(nodes, d):
    assert 1.9 < order_of(small(grid_of(12, nodes, d)), nodes, d) < 2.5


def test_a_forward_pass_changes_nothing():
    fine, coarse = grid_of(24, "cell"), grid_of(12, "cell")
    model = small(coarse)
    state, u, v = copy.deepcopy(model.state_dict()), model(smooth(fine)), model(smooth(coarse))
    assert torch.equal(model(smooth(fine)), u)
    assert torch.equal(model(smooth(coarse)), v)
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert not any(p.is_complex() for p in state.values())


@pytest.mark.parametrize("nodes", KINDS)
def test_translations_by_a_patch(nodes):
    grid = grid_of(12, nodes)
    model, a = small(grid, coordinates=False), torch.randn(1, 2, *grid.shape, dtype=torch.float64)
    difference = (model(a.roll((6, 6), (2, 3))) - model(a).roll((6, 6), (2, 3))).abs().max()
    assert difference < 1e-12 if nodes in ("periodic", "cell") else difference > 1e-6


def test_outputs_elsewhere():
    grid = grid_of(24, "periodic")
    model, a = small(grid), smooth(grid)
    u = model(a)
    torch.testing.assert_close(model(a, grid.points().flatten(0, 1)), u.flatten(2), atol=1e-12, rtol=0)
    there = model(a, grid.resized((48, 72)))
    torch.testing.assert_close(there[..., ::2, ::2], u, atol=1e-12, rtol=0)
    assert model.told((24, 36)) is None
    assert model.told((23, 36)) == "FANO has 2 x 3 patches, and 23 x 36 nodes are interpolated to 24 x 36 and back"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modes": 7}, "modes of frequencies up to 3 need 7: wanted .* model.modes at most 5, or 14 nodes"),
        ({"heads": 3}, "model.heads=3: wanted a divisor of model.width=8"),
        ({"depth": 0}, "model.depth=0: wanted at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        small(grid_of(12, "cell"), **options)


def test_exported_for_any_batch_and_compiled():
    model, a = small(grid_of(12, "uniform")), torch.randn(3, 2, 13, 19, dtype=torch.float64)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    exported = torch.export.export(model, (a[:2],), dynamic_shapes=(batch,)).module()
    torch.testing.assert_close(exported(a), model(a))
    torch.testing.assert_close(torch.compile(model, backend="eager")(a), model(a))
    assert copy.deepcopy(model).to("meta")(a.to("meta")).shape == a.shape
