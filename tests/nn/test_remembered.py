"""Results given again."""

import copy
import pickle
import threading

import torch
from torch import nn

from pdeops.nn.remembered import Remembered


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.calls, self.kept = nn.Linear(2, 3), 0, Remembered()

    def made(self, x):
        self.calls += 1
        return self.net(x)

    def forward(self, x):
        return self.kept(lambda: self.made(x), x, self.net)


def calls(model, x):
    before = model.calls
    with torch.no_grad():
        y = model(x)
    assert torch.equal(y, model.net(x))
    return model.calls - before


def test_once_for_equal_inputs_and_weights():
    model, x = Counted().eval(), torch.randn(4, 2)
    assert [calls(model, x), calls(model, x), calls(model, x.clone())] == [1, 0, 0]
    assert [calls(model, x + 1), calls(model, x[:3]), calls(model, x)] == [1, 1, 1]


def test_anew_where_weights_change():
    model, x = Counted().eval(), torch.randn(4, 2)
    assert calls(model, x) == 1
    for change in (
        lambda: model.net.weight.data.mul_(2),
        lambda: model.load_state_dict(Counted().state_dict()),
        lambda: model.load_state_dict(Counted().state_dict(), assign=True),
        lambda: step(model, x),
    ):
        change()
        assert [calls(model, x), calls(model, x)] == [1, 0]
    model.double()
    assert [calls(model, x.double()), calls(model, x.double())] == [1, 0]


def step(model, x):
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    model(x).sum().backward()
    optimizer.step()


def test_never_with_gradients_or_under_a_transform():
    model, x = Counted().eval(), torch.randn(4, 2)
    model(x), model(x)
    assert model.calls == 2
    with torch.no_grad():
        torch.func.vmap(model)(x)
    assert model.calls == 3


def test_never_in_training():
    """Which may be random, as dropout is."""
    model, x = Counted().eval(), torch.randn(4, 2)
    model.net.train()
    assert [calls(model, x), calls(model, x)] == [1, 1]
    model.net.eval()
    assert [calls(model, x), calls(model, x)] == [1, 0]


def test_autocast_has_results_of_its_own():
    model, x = Counted().eval(), torch.randn(4, 2)
    assert calls(model, x) == 1
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
    assert calls(model, x) == 1


def test_copies_begin_anew():
    model, x = Counted().eval(), torch.randn(4, 2)
    calls(model, x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [calls(other, x), calls(other, x)] == [1, 0]


def test_threads_get_results_of_their_own():
    kept, mixed = Remembered(), []

    def ask(z):
        with torch.no_grad():
            mixed.extend(not torch.equal(kept(lambda: z + 1, z), z + 1) for _ in range(2000))

    threads = [threading.Thread(target=ask, args=(torch.full((2,), float(i)),)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mixed) == 4000
    assert not any(mixed)
