import pytest
import torch

from pdeops.errors import InputError
from pdeops.tasks.schedules import WarmupCosine


def rates(n=20, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule, found = WarmupCosine(optimizer, n, **options), []
    for _ in range(n + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_up_on_a_line_and_down_on_a_cosine():
    found = rates(warmup=0.2, final=0.1)  # four steps up, sixteen down
    assert found[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert found[12] == pytest.approx(2 * (0.1 + 0.9 / 2))  # half way down
    assert found[8] == pytest.approx(2 * (0.1 + 0.9 * (1 + 0.5**0.5) / 2))
    assert found[20] == pytest.approx(0.2)
    assert rates(warmup=0)[0] == 2.0


@pytest.mark.parametrize("options", [{"warmup": 1.0}, {"warmup": -0.1}, {"final": 1.1}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(InputError, match=r"wanted 0 <= warmup < 1 and 0 <= final <= 1"):
        rates(**options)
