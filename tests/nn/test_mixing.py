import pytest
import torch

from pdeops.errors import InputError
from pdeops.nn.mixing import mixing

Z = (3, 2, 4, 3, 6)  # batch, parts, modes, channels


@pytest.mark.parametrize("weights", ["dense", "tucker", "cp", "tt"])
def test_matrices_by_complex_arithmetic(weights):
    torch.manual_seed(0)
    mix = mixing(weights, (4, 3), 6, 5, 2, 0.5).double()
    tensor = mix.tensor if weights == "dense" else mix.tensor.to_tensor()
    re, im = tensor.chunk(2, dim=-1)
    z = torch.randn(Z, dtype=torch.float64)
    y = torch.einsum("bxyi,xyio->bxyo", torch.complex(z[:, 0], z[:, 1]), torch.complex(re, im))
    torch.testing.assert_close(mix(z, (0, 0)), torch.stack([y.real, y.imag], dim=1))


def test_separable_by_complex_arithmetic():
    mix = mixing("separable", (4, 3), 6, 6, 2, 0.5).double()
    re, im = mix.tensor.chunk(2, dim=-1)
    z = torch.randn(Z, dtype=torch.float64)
    y = torch.complex(z[:, 0], z[:, 1]) * torch.complex(re, im)
    torch.testing.assert_close(mix(z, (0, 0)), torch.stack([y.real, y.imag], dim=1))


def test_real_coefficients():
    z = torch.randn(3, 1, 4, 3, 6, dtype=torch.float64)
    dense, separable = (mixing(w, (4, 3), 6, 6, 1, 0.5).double() for w in ("dense", "separable"))
    torch.testing.assert_close(dense(z, (0, 0)), torch.einsum("bpxyi,xyio->bpxyo", z, dense.tensor))
    torch.testing.assert_close(separable(z, (0, 0)), z * separable.tensor)


def test_kept_modes_take_their_own_weights():
    mix = mixing("dense", (6, 5), 6, 5, 2, 0.5).double()
    z = torch.randn(Z, dtype=torch.float64)
    padded = torch.zeros(3, 2, 6, 5, 6, dtype=torch.float64)
    padded[:, :, 1:5, 2:5] = z
    torch.testing.assert_close(mix(z, (1, 2)), mix(padded, (0, 0))[:, :, 1:5, 2:5])


@pytest.mark.parametrize("weights", ["dense", "separable", "tucker", "cp", "tt"])
def test_initial_deviation(weights):
    torch.manual_seed(0)
    mix = mixing(weights, (8, 8), 12, 12, 2, 0.3)
    tensor = mix.tensor if weights in ("dense", "separable") else mix.tensor.to_tensor()
    assert float(tensor.std()) == pytest.approx(24**-0.5, rel=0.05)


def test_real_weights_have_the_power_of_complex_ones():
    torch.manual_seed(0)
    assert float(mixing("dense", (8, 8), 12, 12, 1, 0.3).tensor.std()) == pytest.approx(12**-0.5, rel=0.05)


@pytest.mark.parametrize("weights", ["tucker", "cp", "tt"])
def test_factors_take_the_share_of_parameters(weights):
    dense, factors = (
        sum(p.numel() for p in mixing(w, (16, 9), 32, 32, 2, 0.2).parameters()) for w in ("dense", weights)
    )
    assert 0.1 < factors / dense < 0.25


@pytest.mark.parametrize(
    ("weights", "rank", "message"),
    [("sparse", 0.5, "wanted one of"), ("tucker", 0.0, "rank"), ("separable", 0.5, "keep")],
)
def test_what_is_out_of_range_is_refused(weights, rank, message):
    with pytest.raises(InputError, match=message):
        mixing(weights, (4,), 6, 5, 2, rank)
