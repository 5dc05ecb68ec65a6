"""What tests of several models ask of them."""

import copy

import torch


def check_transforms(model, a):
    """Derivatives forwards, gradients of a functional call and vmap agree with what they stand for; in double
    precision."""
    da, h = torch.randn_like(a), 1e-6
    _, forwards = torch.func.jvp(lambda a: model(a), (a,), (da,))
    torch.testing.assert_close(forwards, (model(a + h * da) - model(a - h * da)) / (2 * h), atol=1e-7, rtol=1e-6)
    weights = dict(model.named_parameters())
    found = torch.func.grad(lambda w: torch.func.functional_call(model, w, (a,)).square().sum())(weights)
    model.zero_grad()
    model(a).square().sum().backward()
    for name, p in weights.items():
        torch.testing.assert_close(found[name], p.grad, msg=name)
    torch.testing.assert_close(torch.func.vmap(lambda one: model(one.unsqueeze(0)).squeeze(0))(a), model(a))


def check_half(model, a):
    """Weights and inputs in half precision, values at points included."""
    full, x = model(a), model.grid_in.points().flatten(0, -2)[:5]
    for dtype in (torch.bfloat16, torch.float16):
        half = copy.deepcopy(model).to(dtype)
        u = half(a.to(dtype))
        assert u.dtype == dtype
        assert (u.to(full) - full).norm() < 6 * torch.finfo(dtype).eps * full.norm()
        assert half(a.to(dtype), x).isfinite().all()
