"""Small surrogates with random weights, and a client of a service of them."""

import asyncio
import io
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest
import torch

from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.serve.app import create_app
from pdeops.serve.limits import Limits
from pdeops.serve.served import Served
from pdeops.surrogate import Surrogate
from pdeops.window import Window

NPY = "application/x-npy"


def surrogate(problem, window=None, inputs=()):
    torch.manual_seed(0)
    window = (window or Window()).on(problem.grid, problem.out_names, inputs)
    net = FNO(window.in_channels, window.out_channels, window.grid_in, window.grid_out, width=8, modes=4, depth=2)
    c, d = window.in_channels, len(window.targets) if window.history == "time" else window.out_channels
    stats = Normalizer(torch.zeros(c), torch.full((c,), 2.0)), Normalizer(torch.zeros(d), torch.full((d,), 3.0))
    return Surrogate(net, window, *stats, problem).eval()


def made():
    """One that evolves in two dimensions from a history, one in one dimension on a time axis, a steady one, and one
    that knows no equation."""
    ns2d = NavierStokes2D(n=12, frames=8, horizon=2.0)
    burgers = Burgers1D(n=32, frames=8, viscosity=0.05)
    poisson = SpectralPoisson(n=10)
    arrays = surrogate(poisson, inputs=("source",))
    arrays.problem = None
    return [
        Served("flow", surrogate(ns2d, Window(n_in=2))),
        Served("burgers", surrogate(burgers, Window(n_in=2, n_out=4, history="time"))),
        Served("poisson", surrogate(poisson, inputs=("source",)), {"units": {"u": "m"}, "licence": "MIT"}),
        Served("arrays", arrays),
    ]


@pytest.fixture
def served():
    return made()


def npy(a):
    file = io.BytesIO()
    np.save(file, a)
    return file.getvalue()


def array(answer):
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))


class Client(httpx.AsyncClient):
    """With arrays for bodies."""

    async def ask(self, name, what, a=None, accept=NPY, **options):
        return await self.post(
            f"/v1/surrogates/{name}/{what}",
            content=None if a is None else npy(a),
            params=options,
            headers={"accept": accept} | ({} if a is None else {"content-type": NPY}),
        )


@asynccontextmanager
async def service(served, token=None, **limits):
    """A client of a service in this process, and the service."""
    app = create_app(served, Limits(**{"wait_ms": 1.0} | limits), token)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with Client(transport=transport, base_url="http://localhost", timeout=30) as client:
            while not app.state.service.ready:
                await asyncio.sleep(0.01)
            client.service = app.state.service
            yield client


def error(answer, status, code):
    """The message of a refusal in the one form that they have."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert list(said) == ["error"]
    assert set(said["error"]) == {"code", "message"}
    assert said["error"]["code"] == code, said
    return said["error"]["message"]
