"""A small surrogate, and places to load it from."""

import pytest
import torch

from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.burgers1d import Burgers1D
from pdeops.surrogate import Surrogate
from pdeops.window import Window
from tests.sources.fake_hub import FakeHub


@pytest.fixture
def surrogate():
    problem = Burgers1D(n=16)
    window = Window().on(problem.grid, problem.out_names, ())
    model = FNO(1, 1, window.grid_in, window.grid_out, width=4, modes=4, depth=1)
    return Surrogate(
        model, window, Normalizer(torch.zeros(1), torch.ones(1)), Normalizer(torch.ones(1), torch.ones(1)), problem
    )


@pytest.fixture
def same(surrogate):
    """Whether another surrogate is this one, bit for bit."""
    a = torch.randn(2, 1, 16)

    def check(other):
        assert torch.equal(other.predict(a), surrogate.predict(a))

    return check


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub on this machine, an empty cache, and a login."""
    from huggingface_hub import constants

    fake = FakeHub()
    for module, name, value in [
        (constants, "ENDPOINT", fake.url),
        (constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake.url + "/{repo_id}/resolve/{revision}/{filename}"),
        (constants, "HF_HUB_CACHE", str(tmp_path / "cache")),
        (constants, "HF_HUB_OFFLINE", False),
        (constants, "HF_HUB_DISABLE_XET", True),
    ]:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setenv("HF_TOKEN", fake.token)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    yield fake
    fake.close()
