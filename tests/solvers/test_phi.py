"""The phi functions against arithmetic of fifty digits."""

import mpmath
import pytest
import torch

from pdeops.solvers.phi import phi


def exact(k, z):
    with mpmath.workdps(50):
        z = mpmath.mpmathify(z)
        if z == 0:
            return complex(1 / mpmath.factorial(k))
        series = mpmath.exp(z) - mpmath.fsum(z**j / mpmath.factorial(j) for j in range(k))
        return complex(series / z**k)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_real_arguments(k):
    z = [0.0, -1e-12, 1e-5, -0.3, 0.999, -0.999, -1.0, 1.001, -1.5, 4.0, -30.0, -1e5]
    values = phi(k, torch.tensor(z, dtype=torch.float64))
    torch.testing.assert_close(
        values, torch.tensor([exact(k, v).real for v in z], dtype=torch.float64), rtol=2e-14, atol=0
    )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_imaginary_and_complex_arguments(k):
    z = [1e-9j, 0.7j, -0.99j, 1.01j, -3 + 4j, 200j, -0.5 + 0.5j]
    values = phi(k, torch.tensor(z, dtype=torch.complex128))
    expected = torch.tensor([exact(k, v) for v in z], dtype=torch.complex128)
    assert ((values - expected).abs() <= 2e-14 * expected.abs()).all()


def test_single_precision_stays_single():
    assert phi(2, torch.zeros(3)).dtype == torch.float32
