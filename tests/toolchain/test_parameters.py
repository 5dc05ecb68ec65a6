"""What follows from parameters that are real, ordinary tensors: casts, fused optimisers."""

import copy

import pytest
import torch


def test_parameters_and_buffers_are_real(fno):
    tensors = [*fno.parameters(), *fno.buffers()]
    assert tensors
    assert all(t.is_floating_point() for t in tensors)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-6), (torch.bfloat16, 0.05)])
def test_casts(fno, a, dtype, error):
    """float64 differs from float32 by float32's rounding, bfloat16 by its own: 8 bits."""
    cast = copy.deepcopy(fno).to(dtype)
    u, v = cast(a.to(dtype)), fno(a)
    assert u.dtype == dtype
    assert (u.float() - v).norm() < error * v.norm()
    u.float().square().sum().backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in cast.parameters())


def test_fused_adamw_steps_as_the_plain_one(fno, a):
    fused = copy.deepcopy(fno)
    for model, flag in ((fno, False), (fused, True)):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=flag)
        for _ in range(5):
            optimizer.zero_grad()
            model(a).square().mean().backward()
            optimizer.step()
    for (key, p), q in zip(fno.named_parameters(), fused.named_parameters(), strict=True):
        torch.testing.assert_close(q[1], p, rtol=1e-4, atol=1e-5, msg=key)
