"""The service: its endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import prod

import numpy as np
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from pdeops import __version__
from pdeops.serve import page
from pdeops.serve.asked import SMALL, Asked, within
from pdeops.serve.bodies import JSON, LINES, write
from pdeops.serve.comparison import comparison
from pdeops.serve.frames import length, stream
from pdeops.serve.guard import Guard
from pdeops.serve.limits import STEPS, Limits
from pdeops.serve.refusals import Refusal
from pdeops.serve.served import Served
from pdeops.serve.service import Service
from pdeops.serve.truths import Truths

SEEDS = 2**32 - 1
OF_ONE = "/v1/surrogates/{name}"
ASKED = ("predict", "rollout", "sample", "input", "solve", "compare")


def create_app(served: Sequence[Served], limits: Limits, token: str | None = None) -> FastAPI:
    """The service of these surrogates. token: wanted of everything but the page and the probes."""
    service = Service(served, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.ensure_future(service.start())
        yield
        starting.cancel()
        await service.stop()

    app = FastAPI(
        title="pdeops",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages take their scripts from elsewhere
        redoc_url=None,
    )

    def admit(path: str) -> None:
        if endpoint(path) in ("predict", "rollout"):
            service.batcher.check_room()

    app.add_middleware(
        Guard, counts=service.counts, endpoint=endpoint, admit=admit, token=token, patience=limits.timeout
    )
    app.add_exception_handler(HTTPException, _no_such)
    app.include_router(_probes(service))
    app.include_router(_surrogates(service))
    app.include_router(_truths(service))
    app.state.service = service
    return app


def endpoint(path: str) -> str:
    """What a path is counted as: one of a few words, whatever is asked for."""
    parts = path.strip("/").split("/")
    if parts[:2] == ["v1", "surrogates"]:
        last = parts[3] if len(parts) == 4 else "surrogates"
        return last if last in (*ASKED, "surrogates") else "other"
    return parts[0] if path in ("/health", "/ready", "/metrics") else "page" if parts[0] in ("", "page") else "other"


async def _no_such(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    path = request.url.path[:80]
    return Refusal(error.status_code, code, f"{request.method} {path}: {error.detail}", error.headers).response()


def _probes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def index() -> Response:
        return page.file("index.html")

    @router.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        return page.file(name)

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok", "version": __version__}

    @router.get("/ready")
    async def ready() -> dict[str, str]:
        """Its surrogates have answered once; 503 before."""
        if not service.ready:
            raise Refusal(503, "not_ready", "surrogates are being prepared", {"retry-after": "1"})
        return {"status": "ready"}

    @router.get("/metrics")
    async def metrics() -> Response:
        """Counts, latencies, the queue and batch sizes, for Prometheus."""
        text = service.counts.text(queue_length=len(service.batcher), body_bytes=service.held.bytes)
        return Response(text, media_type="text/plain; version=0.0.4")

    return router


def _surrogates(service: Service) -> APIRouter:
    router, limits = APIRouter(), service.limits

    @router.get("/v1/surrogates")
    async def surrogates() -> JSONResponse:
        """All of them: names, channels, grids, units, problems, cards."""
        return JSONResponse({"surrogates": [one.description() for one in service.served.values()]})

    @router.get(OF_ONE)
    async def surrogate(name: str) -> JSONResponse:
        return JSONResponse(service.of(name).description())

    @router.post(OF_ONE + "/predict")
    async def predict(name: str, request: Request) -> Response:
        """input (batch, channel, *axes) -> output, in physical units. Option: out, the output's nodes."""
        one = service.of(name)
        async with service.door.asked(request, "out") as asked:
            form, out = asked.wanted(), one.out(asked.options.get("out"))
            a = one.checked(asked.array)
            service.check_answer(form, one.values_out(a, out), a.itemsize)
            answer = await within(request, limits.timeout, service.ask(one, a, out))
        timing = {"queue": answer.waited, "model": answer.seconds}
        channels = list(one.surrogate.window.out_names)
        return await _answered(form, answer.u.numpy(), timing, channels=channels)

    @router.post(OF_ONE + "/rollout")
    async def rollout(name: str, request: Request) -> Response:
        """input -> the next frames (steps, batch, channel, *space), as they are computed. Option: steps."""
        one = service.of(name)
        window = one.surrogate.window
        if not window.evolves:
            raise Refusal(422, "steady", f"{name} maps fields to fields; there is no time to roll out. Use predict.")
        async with service.door.asked(request, "steps") as asked:
            form = asked.wanted(LINES)
            form, steps = LINES if form == JSON else form, asked.whole("steps", window.n_out, 1, STEPS)
            a = one.checked(asked.array)
        outputs = service.outputs(one, a, steps)
        first = await within(request, limits.timeout, anext(outputs))
        frame = first.u[:, :, 0].numpy()
        shape = steps, *frame.shape
        if form != LINES:
            service.check_answer(form, prod(shape), frame.itemsize)

        async def frames() -> AsyncIterator[np.ndarray]:
            for frame in first.u.unbind(2):
                yield frame.numpy()
            async for answer in outputs:
                for frame in answer.u.unbind(2):
                    yield frame.numpy()

        content = stream(form, shape, frame.dtype, frames(), window.time_step)
        headers = length(form, shape, frame.dtype) | _timing({"queue": first.waited, "model": first.seconds})
        return StreamingResponse(content, headers=headers, media_type=form)

    return router


def _truths(service: Service) -> APIRouter:
    router, limits = APIRouter(), service.limits

    def seed_of(asked: Asked) -> int:
        return asked.whole("seed", 0, 0, SEEDS)

    @router.post(OF_ONE + "/sample")
    async def sample(name: str, request: Request) -> Response:
        """The problem's inputs (1, channel, *space) of a seed. Option: seed."""
        truths = Truths(service.of(name).surrogate)
        async with service.door.asked(request, "seed") as asked:
            form = asked.wanted()
            a = await asyncio.to_thread(truths.sample, seed_of(asked))
        return await _answered(form, a.numpy(), {}, channels=list(truths.problem.in_names))

    @router.post(OF_ONE + "/input")
    async def input_of(name: str, request: Request) -> Response:
        """The problem's inputs (1, channel, *space), by default the seed's -> the surrogate's input. Option: seed."""
        truths = Truths(service.of(name).surrogate)
        async with service.door.asked(request, "seed") as asked:
            form, seed, fields = asked.wanted(), seed_of(asked), asked.array
            work = service.solving.solve(lambda progress: truths.input(seed, fields, progress))
            a, seconds = await within(request, limits.timeout, work)
        channels = list(truths.window.in_names)
        return await _answered(form, a.numpy(), {"solver": seconds}, channels=channels)

    @router.post(OF_ONE + "/solve")
    async def solve(name: str, request: Request) -> Response:
        """The problem's inputs, by default the seed's -> the solver's truth: a field (1, channel, *axes), or the frames
        (steps, 1, channel, *space) after the surrogate's input. Options: seed, steps."""
        truths = Truths(service.of(name).surrogate)
        async with service.door.asked(request, "seed", "steps") as asked:
            form, seed, fields = asked.wanted(), seed_of(asked), asked.array
            steps = asked.whole("steps", truths.window.n_out, 1, STEPS)
            service.check_answer(form, truths.values(steps), 8)
            work = service.solving.solve(lambda progress: truths.solve(seed, fields, steps, progress))
            u, seconds = await within(request, limits.timeout, work)
        return await _answered(form, u.numpy(), {"solver": seconds}, channels=list(truths.window.targets))

    @router.post(OF_ONE + "/compare")
    async def compare(name: str, request: Request) -> JSONResponse:
        """A prediction and the truth (2, ..., channel, *space) -> relative L2 errors and spectra."""
        space = service.of(name).surrogate.window.grid_out.space
        async with service.door.asked(request) as asked:
            if asked.array is None:
                raise Refusal(
                    422, "bad_input", "no input; wanted a prediction and the truth, (2, ..., channel, *space)"
                )
            return JSONResponse(await asyncio.to_thread(comparison, asked.array, space))

    return router


async def _answered(form: str, values: np.ndarray, seconds: dict[str, float], *, channels: list[str]) -> Response:
    if values.nbytes <= SMALL:
        content = write(form, values, channels=channels)
    else:
        content = await asyncio.to_thread(write, form, values, channels=channels)
    return Response(content, media_type=form, headers=_timing(seconds))


def _timing(seconds: dict[str, float]) -> dict[str, str]:
    """The header that says what took how long."""
    said = ", ".join(f"{what};dur={1000 * t:.3f}" for what, t in seconds.items())
    return {"server-timing": said} if said else {}
