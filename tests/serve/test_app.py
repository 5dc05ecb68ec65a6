"""The endpoints: answers are those of `predict` and `rollout`, refusals have one form, nothing is mixed up."""

import asyncio
import io
import json
import os
import re
import signal
import threading

import h5py
import numpy as np
import pytest
import torch

from pdeops.nn.normalizer import Normalizer
from pdeops.serve import app as app_module
from pdeops.serve.bodies import HDF5, JSON, NPY
from pdeops.serve.refusals import Refusal
from pdeops.serve.served import Served
from pdeops.surrogate import Surrogate
from pdeops.uncertainty.ensemble import Ensemble, Part
from tests.serve.conftest import array, error, made, npy, service


def draw(one, batch=1, seed=0, nodes=None):
    window = one.surrogate.window
    shape = batch, window.in_channels, *(nodes or window.grid_in.shape)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(u, v):
    """To round-off of values about 1, before a mean is taken away; other inputs' answers are 1e-3 away and more."""
    assert u.shape == v.shape
    np.testing.assert_allclose(u, v, rtol=0, atol=1e-6 * max(1, np.abs(v).max()))


@pytest.mark.parametrize("which", range(4))
def test_predict_in_every_form(served, which):
    one = served[which]
    a = draw(one, batch=3)
    wanted = one.surrogate.predict(a)
    file = io.BytesIO()
    with h5py.File(file, "w") as f:
        f["input"] = a
    bodies = {NPY: npy(a), JSON: json.dumps({"input": a.tolist()}).encode(), HDF5: file.getvalue()}

    async def main():
        async with service(served) as client:
            for given, body in bodies.items():
                for form in (None, NPY, JSON, HDF5):
                    headers = {"content-type": given} | ({"accept": form} if form else {})
                    answer = await client.post(f"/v1/surrogates/{one.name}/predict", content=body, headers=headers)
                    assert answer.status_code == 200, answer.text
                    form = form or given
                    assert answer.headers["content-type"] == form
                    assert "model;dur=" in answer.headers["server-timing"]
                    if form == JSON:
                        assert answer.json()["channels"] == list(one.surrogate.window.out_names)
                        u = np.array(answer.json()["output"])
                    elif form == NPY:
                        u = array(answer)
                    else:
                        u = h5py.File(io.BytesIO(answer.content))["output"][()]
                    close(u, wanted)

    asyncio.run(main())


def test_many_at_once_each_get_their_own(served):
    by_name = {one.name: one for one in served}

    async def main():
        async with service(served, wait_ms=20, queue=1000) as client:

            async def ask(i):
                one = by_name[("flow", "poisson", "burgers")[i % 3]]
                nodes = (14, 14) if i % 5 == 0 and one.name != "burgers" else None
                a = draw(one, batch=1 + i % 2, seed=i, nodes=nodes)
                close(array(await client.ask(one.name, "predict", a)), one.surrogate.predict(a))

            go, batcher = threading.Event(), client.service.batcher
            held = asyncio.ensure_future(batcher.on_thread(lambda: go.wait(60)))
            asked = [asyncio.ensure_future(ask(i)) for i in range(120)]
            while len(batcher) < 100:
                await asyncio.sleep(0.01)
            go.set()
            await asyncio.gather(held, *asked)
            batches = client.service.counts.batches
            assert sum(batches.counts) < 30  # they were answered together
            assert batches.sum == sum(1 + i % 2 for i in range(120))
            assert client.service.held.bytes == 0

    asyncio.run(main())


@pytest.mark.parametrize(("name", "steps"), [("flow", 5), ("burgers", 6)])
def test_rollout_in_every_form(served, name, steps):
    one = next(one for one in served if one.name == name)
    a = draw(one, batch=2)
    wanted = np.moveaxis(one.surrogate.rollout(a, steps), 2, 0)

    async def main():
        async with service(served) as client:
            answer = await client.ask(name, "rollout", a, steps=steps)
            close(array(answer), wanted)
            assert int(answer.headers["content-length"]) == len(answer.content)
            answer = await client.ask(name, "rollout", a, accept=JSON, steps=steps)
            lines = [json.loads(line) for line in answer.text.splitlines()]
            assert [line["frame"] for line in lines] == list(range(1, steps + 1))
            assert lines[-1]["time"] == pytest.approx(steps * one.surrogate.window.time_step)
            close(np.array([line["output"] for line in lines]), wanted)
            answer = await client.ask(name, "rollout", a, accept=HDF5, steps=steps)
            close(h5py.File(io.BytesIO(answer.content))["output"][()], wanted)
            body = {"input": a.tolist(), "steps": steps}
            answer = await client.post(f"/v1/surrogates/{name}/rollout", json=body)
            assert len(answer.text.splitlines()) == steps

    asyncio.run(main())


def test_members_of_an_ensemble_roll_out_their_own(served):
    parts = []
    for seed in (1, 2, 3):
        one = made()[0].surrogate
        torch.manual_seed(seed)
        for p in one.model.parameters():
            torch.nn.init.normal_(p, std=0.3)
        parts.append(Part(one.model, one.normalize_in, one.normalize_out))
    flow = served[0].surrogate
    units = [Normalizer.identity(n) for n in (2, 1)]
    whole = Served("whole", Surrogate(Ensemble.of(parts), flow.window, *units, flow.problem).eval())
    a = draw(whole)
    wanted = np.moveaxis(whole.surrogate.rollout(a, 4), 2, 0)

    async def main():
        async with service([whole]) as client:
            close(array(await client.ask("whole", "rollout", a, steps=4)), wanted)
            close(array(await client.ask("whole", "predict", a)), whole.surrogate.predict(a))

    asyncio.run(main())


def test_a_rollout_that_leaves_the_numbers_says_so(served):
    flow = served[0]
    with np.errstate(all="ignore"):
        flow.surrogate.normalize_out.std.fill_(1e30)

    async def main():
        async with service(served) as client:
            answer = await client.ask("flow", "rollout", draw(flow), accept=JSON, steps=6)
            lines = answer.text.splitlines()
            assert 1 < len(lines) < 7
            assert json.loads(lines[-1])["error"]["code"] == "not_finite"
            assert not np.isfinite(array(await client.ask("flow", "rollout", draw(flow), steps=6))).all()

    asyncio.run(main())


def test_other_nodes_out(served):
    a = draw(served[0])
    grid = served[0].surrogate.window.grid_out.resized((20, 16))

    async def main():
        async with service(served) as client:
            close(array(await client.ask("flow", "predict", a, out="20,16")), served[0].surrogate.predict(a, grid))
            body = {"input": a.tolist(), "out": [20, 16]}
            answer = await client.post("/v1/surrogates/flow/predict", json=body)
            assert np.shape(answer.json()["output"]) == (1, 1, 20, 16)
            for out, code in [
                ("20", "bad_option"),
                ("a,b", "bad_option"),
                ("0,3", "bad_option"),
                ("4,-1", "bad_option"),
            ]:
                error(await client.ask("flow", "predict", a, out=out), 422, code)
            error(await client.ask("flow", "predict", a, out="4000,4000"), 413, "too_large")

    asyncio.run(main())


def test_what_it_says_of_itself(served):
    async def main():
        async with service(served) as client:
            assert (await client.get("/health")).json()["status"] == "ok"
            assert (await client.get("/ready")).json() == {"status": "ready"}
            told = {one["name"]: one for one in (await client.get("/v1/surrogates")).json()["surrogates"]}
            assert set(told) == {"flow", "burgers", "poisson", "arrays"}
            assert told["flow"]["inputs"] == ["vorticity[-1]", "vorticity[+0]"]
            assert told["flow"]["problem"]["parameters"] == {"viscosity": 1e-3, "drag": 0.0}
            assert told["flow"]["frames_trained"] == 7
            assert told["poisson"]["card"]["licence"] == "MIT"
            assert told["poisson"]["units"] == {"u": "m"}
            assert "problem" not in told["arrays"]
            assert told["burgers"]["grid_out"][0] == {
                "name": "time",
                "n": 4,
                "length": 0.5,
                "start": 0.0,
                "nodes": "right",
            }
            assert (await client.get("/v1/surrogates/flow")).json() == told["flow"]
            await client.ask("flow", "predict", draw(served[0]))
            await client.ask("flow", "predict", draw(served[0])[:, :1])
            text = (await client.get("/metrics")).text
            assert 'pdeops_requests_total{endpoint="predict",status="200"} 1\n' in text
            assert 'pdeops_requests_total{endpoint="predict",status="422"} 1\n' in text
            assert 'pdeops_request_seconds_bucket{endpoint="predict",le="+Inf"} 2\n' in text
            assert 'pdeops_batch_samples_bucket{le="1"} 1\n' in text
            assert "pdeops_queue_length 0\n" in text
            schema = (await client.get("/v1/openapi.json")).json()
            assert "/v1/surrogates/{name}/predict" in schema["paths"]

    asyncio.run(main())


def test_prometheus_reads_the_metrics(served):
    """Each line is a name, labels and a number; buckets only grow."""

    async def main():
        async with service(served) as client:
            for i in range(3):
                await client.ask("flow", "predict", draw(served[0], seed=i))
            last = {}
            for line in (await client.get("/metrics")).text.splitlines():
                if line.startswith("# TYPE "):
                    assert line.split()[3] in ("counter", "gauge", "histogram")
                    continue
                name, value = line.rsplit(" ", 1)
                assert float(value) >= 0
                if "_bucket" in name:
                    series = name.rsplit("le=", 1)[0]
                    assert float(value) >= last.get(series, 0)
                    last[series] = float(value)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a[:, :1], r"wanted \(batch, 2, x, y\) with the channels \['vorticity\[-1\]'"),
        (lambda a: a[0], "got an input of shape"),
        (lambda a: a[..., 0], "got an input of shape"),
        (lambda a: np.full_like(a, np.nan), "NaN or infinite"),
        (lambda a: np.full_like(a, np.inf), "NaN or infinite"),
        (lambda a: np.full(a.shape, 1e300), "beyond the range of torch.float32"),
    ],
)
def test_fields_that_do_not_fit(served, change, words):
    async def main():
        async with service(served) as client:
            a = change(draw(served[0]))
            message = error(await client.ask("flow", "predict", a), 422, "bad_input")
            assert re.search(words, message), message
            error(await client.ask("flow", "rollout", a), 422, "bad_input")
            error(await client.post("/v1/surrogates/flow/predict", json={}), 422, "bad_input")

    asyncio.run(main())


def test_what_is_not_there(served):
    async def main():
        async with service(served) as client:
            assert "Did you mean 'flow'?" in error(await client.ask("flo", "predict"), 404, "unknown_surrogate")
            error(await client.get("/v1/surrogates/flo"), 404, "unknown_surrogate")
            error(await client.get("/nowhere"), 404, "not_found")
            error(await client.get("/page/app.py"), 404, "not_found")
            error(await client.get("/v1/surrogates/flow/predict"), 405, "method_not_allowed")
            error(await client.ask("poisson", "rollout", draw(served[2])), 422, "steady")
            error(await client.ask("flow", "predict", draw(served[0]), step=3), 400, "unknown_option")
            for steps in ("0", "-1", "x", "1e3", "10001", "٣"):
                error(await client.ask("flow", "rollout", draw(served[0]), steps=steps), 422, "bad_option")
            error(await client.ask("flow", "predict", draw(served[0]), accept="text/html"), 406, "not_acceptable")
            body = npy(draw(served[0]))
            for kind, status in (("text/plain", 415), ("multipart/form-data; boundary=x", 415)):
                headers = {"content-type": kind}
                error(
                    await client.post("/v1/surrogates/flow/predict", content=body, headers=headers),
                    status,
                    "unknown_form",
                )
            headers = {"content-type": NPY, "content-encoding": "gzip"}
            error(await client.post("/v1/surrogates/flow/predict", content=body, headers=headers), 415, "encoded")

    asyncio.run(main())


def test_bodies_are_bounded_before_they_are_read(served):
    async def main():
        async with service(served, max_mb=0.01) as client:
            url, headers = "/v1/surrogates/flow/predict", {"content-type": NPY}
            error(await client.post(url, content=bytes(20_000), headers=headers), 413, "too_large")
            error(await client.post(url, content=b" " * 2000, headers={"content-type": JSON}), 413, "too_large")

            async def endless():
                sent = 0
                while sent < 10**6:  # a service that reads all of it fails here
                    sent += 1000
                    yield bytes(1000)
                raise AssertionError

            error(await client.post(url, content=endless(), headers=headers), 413, "too_large")
            error(
                await client.ask("flow", "predict", draw(served[0], batch=1), out="24,24", accept=JSON),
                413,
                "too_large",
            )
            error(await client.ask("flow", "rollout", draw(served[0]), steps=10_000), 413, "too_large")
            assert client.service.held.bytes == 0
        async with service(served) as client:
            error(await client.ask("flow", "predict", draw(served[0], nodes=(60, 60))), 413, "too_large")

    asyncio.run(main())


def test_all_bodies_together_are_bounded(served):
    async def main():
        async with service(served, max_mb=0.01, timeout=2) as client:
            go = asyncio.Event()

            async def slow():
                yield bytes(9000)
                await go.wait()

            url, headers = "/v1/surrogates/flow/predict", {"content-type": NPY}
            held = [asyncio.ensure_future(client.post(url, content=slow(), headers=headers)) for _ in range(4)]
            await asyncio.sleep(0.1)
            refused = await client.post(url, content=bytes(9000), headers=headers)
            error(refused, 503, "busy")
            assert refused.headers["retry-after"] == "2"
            go.set()
            for answer in await asyncio.gather(*held):
                error(answer, 400, "bad_npy")
            assert client.service.held.bytes == 0

    asyncio.run(main())


def test_slow_bodies_and_slow_answers_end(served):
    async def main():
        async with service(served, timeout=0.2) as client:

            async def never():
                yield b"\x93NUMPY"
                await asyncio.sleep(5)
                yield b""

            url, headers = "/v1/surrogates/flow/predict", {"content-type": NPY}
            error(await client.post(url, content=never(), headers=headers), 408, "slow")
            hdf5 = {"content-type": HDF5}
            reader = client.service.door.hdf5
            with pytest.raises(Refusal, match="no HDF5 file"):
                await reader.read(b"none")
            os.kill(reader._process.pid, signal.SIGSTOP)  # as one that a file keeps for ever
            error(await client.post(url, content=b"none", headers=hdf5), 408, "slow")
            with pytest.raises(Refusal, match="no HDF5 file"):
                await reader.read(b"none")
            release = _hold(served[0])
            error(await client.ask("flow", "predict", draw(served[0])), 504, "timeout")
            error(await client.ask("flow", "rollout", draw(served[0])), 504, "timeout")
            await asyncio.sleep(0.01)
            assert len(client.service.batcher) == 0
            release()

    asyncio.run(main())


def _hold(one):
    """Answers of a surrogate wait until what is returned is called."""
    go, own = threading.Event(), one.answer

    def held(*asked):
        go.wait(10)
        return own(*asked)

    one.answer = held
    return go.set


def test_a_full_queue(served):
    async def main():
        async with service(served, queue=2, batch=1, wait_ms=0) as client:
            release = _hold(served[0])
            asked = []
            for i in range(3):
                asked.append(asyncio.ensure_future(client.ask("flow", "predict", draw(served[0], seed=i))))
                await asyncio.sleep(0.05)
            refused = await client.ask("flow", "predict", draw(served[0]))
            error(refused, 503, "busy")
            assert int(refused.headers["retry-after"]) >= 1
            release()
            for i, answer in enumerate(await asyncio.gather(*asked)):
                close(array(answer), served[0].surrogate.predict(draw(served[0], seed=i)))

    asyncio.run(main())


def test_who_hangs_up_is_dropped(served):
    """By the protocol itself: a client that is gone before its answer."""
    seen = []
    own = served[0].answer
    served[0].answer = lambda a, *rest: (seen.append(float(a[0, 0, 0, 0])), own(a, *rest))[1]

    async def main():
        async with service(served, wait_ms=300) as client:
            seen.clear()
            body = npy(np.full((1, 2, 12, 12), 77.0))
            sent = []
            messages = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]

            async def receive():
                return messages.pop(0) if messages else await asyncio.Event().wait()

            async def send(message):
                sent.append(message)

            headers = [(b"host", b"localhost"), (b"content-type", NPY.encode())]
            path = "/v1/surrogates/flow/predict"
            scope = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": "POST",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": headers,
            }
            transport = client._transport
            await asyncio.wait_for(transport.app(scope, receive, send), 5)
            assert len(client.service.batcher) == 0
            a = draw(served[0])
            close(array(await client.ask("flow", "predict", a)), served[0].surrogate.predict(a))
            assert 77.0 not in seen
            assert client.service.counts.requests["predict", 499] == 1

    asyncio.run(main())


def test_only_its_own_machine_without_a_token(served):
    async def main():
        async with service(served) as client:
            for host in ("example.org", "example.org:8000", "127.0.0.1.example.org", ""):
                error(await client.get("/v1/surrogates", headers={"host": host}), 421, "wrong_host")
            for host in ("localhost", "localhost:8000", "127.0.0.1:80", "[::1]", "[::1]:8000"):
                assert (await client.get("/v1/surrogates", headers={"host": host})).status_code == 200
            for origin in ("https://example.org", "null", "http://localhost.example.org"):
                error(await client.get("/v1/surrogates", headers={"origin": origin}), 403, "wrong_origin")
            for origin in ("http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"):
                assert (await client.get("/v1/surrogates", headers={"origin": origin})).status_code == 200

    asyncio.run(main())


def test_a_token(served):
    async def main():
        async with service(served, token="abc-123") as client:
            headers = [
                {},
                {"authorization": "abc-123"},
                {"authorization": "Bearer abc-124"},
                {"authorization": "Bearer "},
            ]
            for path in ("/v1/surrogates", "/metrics", "/v1/openapi.json"):
                for given in headers:
                    answer = await client.get(path, headers=given)
                    error(answer, 401, "no_token")
                    assert answer.headers["www-authenticate"] == "Bearer"
                good = {"authorization": "Bearer abc-123", "host": "example.org"}
                assert (await client.get(path, headers=good)).status_code == 200
            for path in ("/", "/page/main.js", "/health", "/ready"):
                assert (await client.get(path)).status_code == 200
            error(await client.ask("flow", "predict", draw(served[0])), 401, "no_token")

    asyncio.run(main())


def test_what_fails_here_is_no_ones_secret(served, caplog):
    def broken(*asked):
        raise RuntimeError("the inner life of a server")

    async def main():
        async with service(served) as client:
            served[0].answer = broken
            message = error(await client.ask("flow", "predict", draw(served[0])), 500, "failed")
            assert "inner" not in message
            assert "the inner life" in caplog.text

    asyncio.run(main())


def test_nodes_that_a_model_does_not_take(served):
    surrogate = served[0].surrogate
    own = surrogate.forward

    def picky(a, out=None):
        if a.shape[2:] != (12, 12):
            raise RuntimeError("The size of tensor a must match the size of tensor b")
        return own(a, out)

    surrogate.forward = picky

    async def main():
        async with service(served) as client:
            message = error(await client.ask("flow", "predict", draw(served[0], nodes=(7, 9))), 422, "bad_input")
            assert "flow does not take 7 x 9 nodes; it was trained on 12 x 12" in message
            assert (await client.ask("flow", "predict", draw(served[0]))).status_code == 200

    asyncio.run(main())


def test_paths_are_counted_by_a_few_words():
    count = app_module.endpoint
    assert count("/") == count("/page/main.js") == "page"
    assert count("/v1/surrogates") == count("/v1/surrogates/x") == "surrogates"
    assert count("/v1/surrogates/x/predict") == "predict"
    for path in ("/v1/surrogates/x/anything", "/x", "/v1", "/health/x", "/metrics/1"):
        assert count(path) == "other"
