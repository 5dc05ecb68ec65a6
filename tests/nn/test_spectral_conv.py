"""The layer against a dense float64 operator written with complex exponentials."""

from math import pi

import pytest
import torch

from pdeops.bases.tables import bases
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.spectral_conv import SpectralConv


def dense(conv, v, n_out):
    """y(x) = Re sum_f R(f) c_f exp(2 pi i f x), c the interpolant's coefficients: a Nyquist mode +-n/2 is two
    halves, and the half axis stands for itself and its conjugate."""
    d = v.ndim - 2
    n_in = v.shape[1:-1]
    c = v.to(torch.complex128)
    for axis in range(d):
        n, k, half = n_in[axis], conv.stored[axis], axis == d - 1
        f = torch.arange(k) if half else torch.arange(-(k // 2), k - k // 2)
        j = torch.arange(n)
        table = torch.exp(-2j * pi * torch.outer(f, j).double() / n) / n
        table[2 * f.abs() == n] /= 2
        table[2 * f.abs() > min(n, n_out[axis])] = 0  # not resolved on both grids
        c = torch.movedim(torch.tensordot(table, c, dims=([1], [axis + 1])), 0, axis + 1)
    re, im = conv.weight.tensor.double().chunk(2, dim=-1)
    y = torch.einsum("b...i,...io->b...o", c, torch.complex(re, im))
    for axis in range(d):
        n, k, half = n_out[axis], conv.stored[axis], axis == d - 1
        f = torch.arange(k) if half else torch.arange(-(k // 2), k - k // 2)
        table = torch.exp(2j * pi * torch.outer(torch.arange(n), f).double() / n)
        if half:
            table[:, 1:] *= 2
        else:
            if k == n == n_in[axis] and n % 2 == 0:  # the only one of the two halves that is kept
                table[:, 2 * f == -n] *= 2
        y = torch.movedim(torch.tensordot(table, y, dims=([1], [axis + 1])), 0, axis + 1)
    return y.real


SHAPES = [
    ((16,), (6,)),
    ((15,), (6,)),
    ((31, 40), (12, 8)),
    ((33, 33), (7, 10)),
    ((8, 8), (8, 8)),
    ((9, 11, 6), (4, 5, 4)),
]


@pytest.mark.parametrize(("n", "modes"), SHAPES)
def test_equals_the_dense_operator(n, modes):
    torch.manual_seed(0)
    conv = SpectralConv(3, 2, modes).double()
    v = torch.randn(2, *n, 3, dtype=torch.float64)
    torch.testing.assert_close(conv(v, n), dense(conv, v, n))


@pytest.mark.parametrize(
    ("n_in", "n_out"), [((16, 16), (32, 32)), ((32, 30), (16, 20)), ((33, 40), (50, 77)), ((8, 8), (16, 15))]
)
def test_evaluated_on_another_grid(n_in, n_out):
    torch.manual_seed(0)
    conv = SpectralConv(2, 2, (8, 8)).double()
    v = torch.randn(2, *n_in, 2, dtype=torch.float64)
    torch.testing.assert_close(conv(v, n_out), dense(conv, v, n_out))


def test_one_wave_by_hand():
    """cos(2 pi 3 x) becomes Re R(3) cos - Im R(3) sin."""
    conv = SpectralConv(1, 1, (8,)).double()
    x = Axis("x", 32).points()
    re, im = conv.weight.tensor[3, 0].tolist()
    y = conv(torch.cos(2 * pi * 3 * x).view(1, 32, 1), (32,))
    torch.testing.assert_close(y.flatten(), re * torch.cos(2 * pi * 3 * x) - im * torch.sin(2 * pi * 3 * x))


@pytest.mark.parametrize("n", [(15, 17), (6, 6), (7, 32)])
def test_too_coarse_a_grid_uses_each_frequencys_own_weight(n):
    torch.manual_seed(0)
    conv = SpectralConv(1, 1, (16, 16)).double()
    v = torch.randn(1, *n, 1, dtype=torch.float64)
    torch.testing.assert_close(conv(v, n), dense(conv, v, n))


def test_added_onto_a_field():
    conv = SpectralConv(2, 2, (4, 4))
    v, base = torch.randn(2, 8, 9, 2), torch.randn(2, 8, 9, 2)
    torch.testing.assert_close(conv(v, (8, 9), onto=base), base + conv(v, (8, 9)))


def test_commutes_with_translations():
    conv = SpectralConv(2, 3, (6, 6))
    v = torch.randn(1, 16, 15, 2)
    moved = conv(v.roll((3, 5), (1, 2)), (16, 15))
    torch.testing.assert_close(moved, conv(v, (16, 15)).roll((3, 5), (1, 2)), rtol=1e-4, atol=1e-5)


def test_gradients_by_differences():
    conv = SpectralConv(2, 2, (3, 4)).double()
    v = torch.randn(1, 5, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(conv, {"weight.tensor": w}, (x, (5, 6))), (v, conv.weight.tensor)
    )


def test_single_precision_is_as_good_as_an_fft():
    conv = SpectralConv(8, 8, (16, 16))
    v = torch.randn(2, 64, 64, 8)
    exact = dense(conv, v.double(), (64, 64))
    assert (conv(v, (64, 64)) - exact).norm() / exact.norm() < 1e-6


@pytest.mark.parametrize(("n", "modes"), [*SHAPES, ((15, 17), (16, 16)), ((8, 6), (9, 6)), ((12, 12), (12, 11))])
def test_transforms_by_fft_are_the_same(n, modes):
    torch.manual_seed(0)
    tables, fft = (SpectralConv(3, 2, modes, method=m).double() for m in ("gemm", "fft"))
    fft.load_state_dict(tables.state_dict())
    v, base = torch.randn(2, *n, 3, dtype=torch.float64), torch.randn(2, *n, 2, dtype=torch.float64)
    torch.testing.assert_close(fft(v, n), tables(v, n))
    torch.testing.assert_close(fft(v, n, onto=base), base + tables(v, n))
    finer = [m + 3 for m in n]
    torch.testing.assert_close(fft(v, finer), tables(v, finer))


@pytest.mark.parametrize(("modes", "fft"), [((254, 4), False), ((260, 4), True), ((4, 252), False), ((4, 258), True)])
def test_many_modes_take_the_fft(monkeypatch, modes, fft):
    calls = []
    for name in ("rfft", "fft"):
        real = getattr(torch.fft, name)
        monkeypatch.setattr(torch.fft, name, lambda *a, real=real, **k: calls.append(1) or real(*a, **k))
    n = (512, 8) if modes[0] > 4 else (8, 512)
    SpectralConv(1, 1, modes)(torch.randn(1, *n, 1), n)
    assert bool(calls) == fft
    SpectralConv(1, 1, modes, method="fft").bfloat16()(torch.randn(1, *n, 1).bfloat16(), n)  # no FFT in half precision


@pytest.mark.parametrize("nodes", ["cell", "right"])
def test_fft_on_other_nodes_takes_tables_back(nodes):
    axes = bases(Grid((Axis("x", 9), Axis("y", 10, nodes=nodes))), ["fourier", "fourier"])
    tables, fft = (SpectralConv(1, 1, (4, 4), bases=axes, method=m).double() for m in ("gemm", "fft"))
    fft.load_state_dict(tables.state_dict())
    v = torch.randn(1, 9, 10, 1, dtype=torch.float64)
    torch.testing.assert_close(fft(v, (9, 15)), tables(v, (9, 15)))


@pytest.mark.parametrize("method", ["gemm", "fft"])
def test_a_limit_at_the_nyquist_mode_is_the_layer_with_the_other_weights_zero(method):
    conv = SpectralConv(2, 2, (16, 4), method=method).double()
    weight = conv.weight.tensor.data
    weight[:4], weight[12:] = 0, 0
    v = torch.randn(1, 8, 12, 2, dtype=torch.float64)
    whole = conv(v, (8, 12))
    conv.limit = (8, 3)
    torch.testing.assert_close(conv(v, (8, 12)), whole)


def test_one_more_node_in_than_out():
    conv = SpectralConv(1, 1, (9, 4)).double()
    v = torch.randn(1, 9, 8, 1, dtype=torch.float64)
    torch.testing.assert_close(conv(v, (8, 8)), dense(conv, v, (8, 8)))


MIXED = Grid((Axis("x", 10), Axis("y", 9, nodes="uniform"), Axis("z", 8)))


@pytest.mark.parametrize(
    ("grid", "names"),
    [
        (Grid((Axis("x", 9, nodes="cell"), Axis("y", 8, nodes="uniform"))), ("cosine", "sine")),
        (Grid((Axis("x", 9, nodes="chebyshev"), Axis("y", 8))), ("chebyshev", "fourier")),
        (Grid((Axis("x", 9, nodes="chebyshev"), Axis("y", 8, nodes="cell"))), ("legendre", "cosine")),
        (Grid((Axis("x", 9, nodes="chebyshev", bc="dirichlet"), Axis("y", 8))), ("eigen", "fourier")),
        (Grid((Axis("x", 9), Axis("y", 8, nodes="cell"))), ("fourier", "cosine")),
        (MIXED, ("fourier", "cosine", "fourier")),
    ],
)
def test_other_bases_by_dense_matrices(grid, names):
    """Per mode of the tensor basis, with complex matrices and einsum."""
    torch.manual_seed(0)
    axes = bases(grid, names)
    conv = SpectralConv(2, 3, (4,) * grid.ndim, bases=axes).double()
    v = torch.randn(2, *grid.shape, 2, dtype=torch.float64)
    c = v.to(torch.complex128)
    for i, (basis, k) in enumerate(zip(axes, conv.stored, strict=True)):
        re, im = basis.analysis(grid.shape[i], k)
        table = torch.complex(re, torch.zeros_like(re) if im is None else im)
        c = torch.tensordot(table, c, dims=([1], [i + 1])).movedim(0, i + 1)
    weight = conv.weight.tensor
    if conv.transform.parts == 2:
        weight = torch.complex(*weight.chunk(2, dim=-1))
    y = torch.einsum("b...i,...io->b...o", c, weight.to(c.dtype))
    for i, (basis, k) in enumerate(zip(axes, conv.stored, strict=True)):
        re, im = basis.synthesis(grid.shape[i] + 2, k, grid.shape[i], k)
        table = torch.complex(re, torch.zeros_like(re) if im is None else im)
        y = torch.tensordot(table, y, dims=([1], [i + 1])).movedim(0, i + 1)
    out = [n + 2 for n in grid.shape]
    torch.testing.assert_close(conv(v, out), y.real)
    torch.testing.assert_close(conv.transform.interpolate(v, grid.shape), v)


def test_a_limit_above_what_is_stored_is_none():
    conv, v = SpectralConv(1, 1, (4, 4)), torch.randn(1, 8, 8, 1)
    whole = conv(v, (8, 8))
    conv.limit = (9, 9)
    torch.testing.assert_close(conv(v, (8, 8)), whole)


def test_a_limit_is_the_layer_of_fewer_modes():
    torch.manual_seed(0)
    conv, small = SpectralConv(2, 2, (8, 8)).double(), SpectralConv(2, 2, (4, 4)).double()
    small.weight.tensor.data = conv.weight.tensor.data[2:6, :3].clone()
    conv.limit = (4, 3)
    v = torch.randn(1, 16, 16, 2, dtype=torch.float64)
    torch.testing.assert_close(conv(v, (16, 16)), small(v, (16, 16)))


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 1.5e-2), (torch.float16, 2e-3)])
@pytest.mark.parametrize("n", [(64, 48), (1024,)])
def test_half_precision(dtype, error, n):
    """On a field with a large mean as well: tables in half precision would lose it, were they summed so."""
    torch.manual_seed(0)
    conv = SpectralConv(8, 8, (16,) * len(n))
    v = torch.randn(2, *n, 8) + 5
    exact = dense(conv, v.double(), n)
    half = conv.to(dtype)(v.to(dtype), n).double()
    assert half.isfinite().all()
    assert (half - exact).norm() / exact.norm() < error


def test_imaginary_parts_without_a_meaning_are_ignored():
    """Those of the mean and of the Nyquist mode of a real field: the output is real by construction, exactly."""
    for method in ("gemm", "fft"):
        conv = SpectralConv(1, 1, (8,), method=method).double()
        v = torch.randn(1, 8, 1, dtype=torch.float64)
        before = conv(v, (8,))
        conv.weight.tensor.data[[0, 4], 0, 1] += 3.0  # Im R of f = 0 and f = n / 2
        torch.testing.assert_close(conv(v, (8,)), before)


def test_no_modes_are_refused():
    with pytest.raises(InputError, match="at least one mode"):
        SpectralConv(1, 1, (4, 0))
    with pytest.raises(InputError, match="wanted one of"):
        SpectralConv(1, 1, (4, 4), method="fast")


def test_initial_deviation():
    torch.manual_seed(0)
    assert float(SpectralConv(12, 36, (8, 8)).weight.tensor.std()) == pytest.approx(48**-0.5, rel=0.02)


def test_modes_that_the_output_grid_cannot_hold_are_dropped():
    conv = SpectralConv(1, 1, (8, 8)).double()
    v = torch.randn(1, 16, 16, 1, dtype=torch.float64)
    c = torch.fft.fft2(conv(v, (16, 16))[0, ..., 0])
    low = conv(v, (5, 5))[0, ..., 0]
    torch.testing.assert_close(torch.fft.fft2(low)[:3, :3] / 25, c[:3, :3] / 256)


def test_a_coarser_output_is_the_finer_one_sampled():
    """On an output lattice that holds the kept modes exactly, its Nyquist mode included."""
    torch.manual_seed(0)
    conv = SpectralConv(2, 2, (8, 4)).double()
    v = torch.randn(1, 16, 16, 2, dtype=torch.float64)
    torch.testing.assert_close(conv(v, (8, 16)), conv(v, (16, 16))[:, ::2])


def test_a_bias_is_a_field_of_its_own():
    """A coefficient per mode and channel, also of modes that v's lattice does not hold."""
    torch.manual_seed(0)
    conv = SpectralConv(3, 2, (7, 6), bias=True).double()
    v = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    plain = conv(v, (16, 20))
    torch.nn.init.normal_(conv.bias)
    x, y = Grid.periodic((16, 20)).points().unbind(-1)
    waves = torch.zeros(16, 20, 2, dtype=torch.float64)
    for i, j in [(i, j) for i in range(-3, 4) for j in range(4)]:
        re, im = conv.bias[:, i + 3, j]
        angle = (2 * pi * (i * x + j * y))[..., None]
        waves += (1 if j == 0 else 2) * (re * angle.cos() - im * angle.sin())
    torch.testing.assert_close(conv(v, (16, 20)) - plain, waves.expand(2, -1, -1, -1))
    conv.limit = (3, 2)
    silent = torch.randn_like(conv.bias)
    silent[:, 2:5, :2] = 0
    before = conv(v, (16, 20))
    conv.bias.data += silent
    torch.testing.assert_close(conv(v, (16, 20)), before)


@pytest.mark.parametrize("modes", [(6, 6), (8, 7), (11, 12)])
def test_lifted_to_more_modes_it_is_the_same_function(modes):
    conv, v = SpectralConv(3, 2, (6, 6), bias=True), torch.randn(2, 15, 16, 3)
    torch.nn.init.normal_(conv.bias)
    wide = conv.lifted(modes)
    assert wide.modes == modes
    torch.testing.assert_close(wide(v, (20, 16)), conv(v, (20, 16)))
    wide(v, (20, 16)).square().sum().backward()
    for name, parameter in conv.named_parameters():
        new = wide.get_parameter(name)
        assert new.requires_grad
        assert float(new.detach().norm()) == pytest.approx(float(parameter.detach().norm()))
        assert (new.grad.abs() > 0).sum() >= parameter.numel() / 2


def test_what_cannot_be_lifted_is_refused():
    with pytest.raises(InputError, match="fewer than"):
        SpectralConv(3, 2, (6, 6)).lifted((8, 4))
    with pytest.raises(InputError, match="only dense weights"):
        SpectralConv(3, 3, (6, 6), weights="separable").lifted((8, 8))
