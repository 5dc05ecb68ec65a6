"""The learned change of coordinates."""

import torch

from pdeops.nn.deformation import Deformation


def test_begins_near_the_identity_and_keeps_the_origin():
    deformation = Deformation(2)
    x = torch.rand(3, 50, 2)
    assert 0 < (deformation(x) - x).abs().max() < 0.02
    assert deformation(torch.zeros(1, 1, 2)).count_nonzero() == 0


def test_sees_the_code_of_each_sample():
    deformation, x = Deformation(1, code=4), torch.rand(1, 6, 1).add(0.1)
    code = torch.randn(2, 4)
    both = deformation(x, code)
    assert both.shape == (2, 6, 1)
    assert (both[0] != both[1]).all()
    torch.testing.assert_close(deformation(x, code[1:]), both[1:])


def test_is_the_formula():
    deformation, x = Deformation(2), torch.rand(1, 4, 2, dtype=torch.float64)
    deformation.double()
    waves = torch.stack([2.0**j * torch.pi * x for j in range(8)], -1).flatten(-2)
    phi = deformation.phi(torch.cat([x, waves.sin(), waves.cos()], -1))
    torch.testing.assert_close(deformation(x), x * (1 + phi))
