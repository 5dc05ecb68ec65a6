import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from pdeops.constants import constant


def make():
    calls = []

    @constant
    def build(what, sizes, dtype, device):
        calls.append(what)
        return torch.full(sizes, 2.0, dtype=dtype, device=device)

    return build, calls


CPU = torch.device("cpu")


def test_built_once_for_each_key():
    build, calls = make()
    first = build("a", (2, 3), torch.float32, CPU)
    assert build("a", (2, 3), torch.float32, CPU) is first
    others = [("b", (2, 3), torch.float32), ("a", (3, 2), torch.float32), ("a", (2, 3), torch.float64)]
    assert all(build(*key, CPU) is not first for key in others)
    assert build("a", (2, 3), torch.float32, torch.device("meta")).device.type == "meta"
    assert len(calls) == 5


def test_never_an_inference_tensor():
    build, _ = make()
    with torch.inference_mode():
        made = build("a", (2,), torch.float32, CPU)
    (made * torch.ones(2, requires_grad=True)).sum().backward()


def in_fake_mode(function, x):
    with FakeTensorMode(allow_non_fake_inputs=True):
        function(x)


def as_fake_graph(function, x):
    make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(x)


def functionalized(function, x):
    torch.func.functionalize(function)(x)


@pytest.mark.parametrize("trace", [in_fake_mode, as_fake_graph, functionalized])
def test_tracers_leave_nothing_behind(trace):
    build, _ = make()
    trace(lambda x: x + build("a", (2,), torch.float32, CPU), torch.ones(2))
    made = build("a", (2,), torch.float32, CPU)
    assert type(made) is torch.Tensor
    assert not torch._is_functional_tensor(made)
    assert made.tolist() == [2.0, 2.0]
