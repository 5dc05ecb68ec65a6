"""Products of several outputs."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.nn.outputs import combined, shares

N, P = 3, 12


@pytest.mark.parametrize(("own", "places"), [(False, 7), (True, 7), (True, 70)])
@pytest.mark.parametrize(
    ("outputs", "features", "functions", "terms"),
    [
        ("independent", P, P, P),
        ("split_both", P, P, P // N),
        ("split_branch", N * P, P, P),
        ("split_trunk", P, N * P, P),
    ],
)
def test_all_are_one_product(outputs, features, functions, terms, own, places):
    """Beside loops over outputs, of what branch and trunk give in one row."""
    found = shares(outputs, P, N)
    members = N if outputs == "independent" else 1
    assert (found.members, found.features, found.functions, found.terms) == (members, features, functions, terms)
    b = torch.randn(5, members * features, dtype=torch.float64)
    t = torch.randn(*([5] if own else []), places, members * functions, dtype=torch.float64)
    u = combined(b.unflatten(1, (found.branch, terms)), t.unflatten(-1, (found.trunk, terms)).movedim(-2, -3))
    for o in range(N):
        mine = slice(o * terms, (o + 1) * terms)
        bo = b if outputs == "split_trunk" else b[:, mine]
        to = t if outputs == "split_branch" else t[..., mine]
        expected = (bo.unsqueeze(1) * to).sum(-1)
        torch.testing.assert_close(u[:, o], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("both", P, N), "model.outputs='both'; wanted one of"),
        (("split_both", 10, N), "take a multiple of 3"),
        (("split_trunk", 0, N), "model.features=0: wanted at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        shares(*arguments)
