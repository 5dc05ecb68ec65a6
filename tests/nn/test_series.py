from math import pi

import torch
from torch.autograd import gradcheck, gradgradcheck

from pdeops.nn.series import Series


def test_it_is_its_formula_with_its_gradients():
    z, w = torch.randn(5, 3, dtype=torch.float64), torch.randn(2 * 12 - 1, 3, dtype=torch.float64)
    i = torch.arange(12).double().view(-1, 1, 1)
    sines, cosines = torch.sin(pi / 12 * i * z), torch.cos(pi / 12 * i * z)
    wanted = z + (w[:11, None] * sines[1:]).sum(0) + (w[11:, None] * cosines).sum(0)
    torch.testing.assert_close(Series.apply(z, w), wanted)
    inputs = z[:2].requires_grad_(), w[:7].requires_grad_()
    assert gradcheck(Series.apply, inputs)
    assert gradgradcheck(Series.apply, inputs)


def test_only_its_inputs_are_kept():
    z, w = torch.randn(100, 8, requires_grad=True), torch.randn(23, 8, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()), lambda x: x):
        Series.apply(z, w)
    assert kept == [800, 184]


def test_batches_by_vmap():
    z, w = torch.randn(4, 5, 3), torch.randn(7, 3)
    torch.testing.assert_close(torch.vmap(Series.apply, (0, None))(z, w), Series.apply(z, w))
