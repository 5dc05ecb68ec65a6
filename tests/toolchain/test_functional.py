"""torch.func over the model: weights as arguments, directional derivatives, ensembles."""

import copy

import torch
from torch.func import functional_call, jvp, stack_module_state, vmap


def test_other_weights_as_arguments(fno, a):
    other = {key: 2 * p.detach() for key, p in fno.named_parameters()}
    expected = copy.deepcopy(fno)
    expected.load_state_dict(other)
    torch.testing.assert_close(functional_call(fno, other, (a,)), expected(a))


def test_directional_derivative(fno, a):
    """The central difference of a smooth map, in float64, to its order."""
    fno, a = fno.double(), a.double()
    da, eps = torch.randn_like(a), 1e-5
    u, du = jvp(fno, (a,), (da,))
    torch.testing.assert_close(u, fno(a))
    difference = (fno(a + eps * da) - fno(a - eps * da)) / (2 * eps)
    assert (du - difference).norm() < 1e-8 * du.norm()


def test_an_ensemble_by_vmap(fno, a):
    members = [fno, copy.deepcopy(fno)]
    for p in members[1].parameters():
        torch.nn.init.normal_(p, std=0.3)
    parameters, buffers = stack_module_state(members)
    u = vmap(lambda p, b: functional_call(fno, (p, b), (a,)))(parameters, buffers)
    torch.testing.assert_close(u, torch.stack([m(a) for m in members]), rtol=1e-4, atol=1e-5)


def test_samples_by_vmap(fno, a):
    u = vmap(lambda x: fno(x[None])[0])(a)
    torch.testing.assert_close(u, fno(a), rtol=1e-4, atol=1e-5)
