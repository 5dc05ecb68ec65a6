"""The command: a process that serves, refuses to be open to others, and ends when told."""

import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from pdeops.errors import InputError
from pdeops.serve.limits import Limits
from pdeops.serve.run import check_names, check_token, listening, name_of, one_of
from tests.pages import ROOT, fences
from tests.serve.conftest import NPY, npy


@contextmanager
def process(folder, *arguments):
    """A process that serves, and its address."""
    command = [sys.executable, "-m", "pdeops", "serve", "--port", "0", "--threads", "1", *arguments]
    one = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    try:
        url = re.match(r"(http://\S+) serves", one.stdout.readline())[1]
        ready(url)
        yield one, url
    finally:
        one.kill()
        one.wait()


def ready(url):
    for _ in range(400):
        try:
            if httpx.get(url + "/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("not ready")


def test_a_process_serves_and_ends(served, tmp_path):
    for one in served:
        one.surrogate.save(tmp_path / one.name)
    with process(tmp_path, "flow", "mine=poisson") as (one, url):
        _strangers(url)
        flow = served[0].surrogate
        a = np.random.default_rng(0).standard_normal((2, 2, 12, 12))
        with httpx.Client(base_url=url) as client:
            names = [told["name"] for told in client.get("/v1/surrogates").json()["surrogates"]]
            assert names == ["flow", "mine"]
            answer = client.post("/v1/surrogates/flow/predict", content=npy(a), headers={"content-type": NPY})
            np.testing.assert_allclose(np.load(io.BytesIO(answer.content)), flow.predict(a), atol=1e-6)
            np.testing.assert_allclose(
                _client_of_the_docs()(f"{url}/v1/surrogates/flow/predict", a), flow.predict(a), atol=1e-6
            )
            lines = 0
            with client.stream("POST", "/v1/surrogates/flow/rollout?steps=50", json={"input": a.tolist()}) as answer:
                for line in answer.iter_lines():
                    if not lines:
                        one.send_signal(signal.SIGTERM)  # what has begun is finished
                    lines += bool(line)
            assert lines == 50
        assert one.wait(30) in (0, -signal.SIGTERM)
        assert one.stderr.read() == ""


def _client_of_the_docs():
    scope = {}
    for fence in fences((ROOT / "docs" / "serving.md").read_text()):
        if fence.language == "python":
            exec(fence.code, scope)
    return scope["predict"]


def _strangers(url):
    """What is not HTTP, half of it, and connections that are dropped do not harm the others."""
    host, port = url.removeprefix("http://").split(":")
    half = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1"
    for sent in (b"\x00\xff\x00", b"GET / HTTP/9\r\n\r\n", b"GET /health HTTP/1.1\r\n", half):
        with socket.create_connection((host, int(port))) as s:
            s.sendall(sent)
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n")
        said = s.recv(1000)
        assert said.startswith(b"HTTP/1.1 400 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_http"
    assert httpx.get(url + "/health").status_code == 200


def test_settings_reach_the_service(run, monkeypatch):
    told = {}
    monkeypatch.setattr(
        "pdeops.serve.run.run", lambda sources, limits, **others: told.update(others, of=sources, to=limits)
    )
    monkeypatch.setenv("PDEOPS_TOKEN", "from the environment")
    words = "--batch 3 --wait-ms 2 --queue 5 --max-mb 7 --timeout 11 --threads 2 --device cuda --port 99 --host ::1"
    assert run("serve", "a", "b", *words.split())[0] == 0
    assert told == {
        "of": ["a", "b"],
        "to": Limits(3, 2.0, 5, 7.0, 11.0),
        "host": "::1",
        "port": 99,
        "token": "from the environment",
        "threads": 2,
        "device": "cuda",
    }
    run("serve", "a", "--token", "given")
    assert told["token"] == "given"


def test_it_is_not_open_to_others_without_a_token(run, monkeypatch):
    monkeypatch.delenv("PDEOPS_TOKEN", raising=False)
    status, _, err = run("serve", "nowhere", "--host", "0.0.0.0")
    assert status == 2
    assert "give --token, or set PDEOPS_TOKEN" in err
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1"):
        check_token(host, None)
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        check_token(host, "abc")
        with pytest.raises(InputError, match="reached from other machines"):
            check_token(host, None)
    for token in ("", "a b", "ä", "a\nb"):
        with pytest.raises(InputError, match="wanted visible ASCII"):
            check_token("127.0.0.1", token)


def test_bad_settings(run, tmp_path, monkeypatch):
    monkeypatch.delenv("PDEOPS_TOKEN", raising=False)
    for option, words in [
        (("--batch", "0"), "--batch=0: wanted at least 1"),
        (("--queue", "-1"), "--queue=-1"),
        (("--max-mb", "nan"), "--max-mb=nan"),
        (("--timeout", "0"), "--timeout=0"),
        (("--wait-ms", "-1"), "--wait-ms=-1"),
        (("--threads", "0"), "--threads=0"),
        ((), "there is no such folder or file, and no such name in the zoo"),
    ]:
        status, _, err = run("serve", "nowhere", *option)
        assert status == 2
        assert re.search(words, err), err


def test_without_its_packages(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    status, _, err = run("serve", "nowhere")
    assert status == 2
    assert "pdeops serve needs the package fastapi: pip install 'pdeops[serve]'" in err


def test_names(served, tmp_path):
    folder = served[0].surrogate.save(tmp_path / "runs" / "mine" / "surrogate")
    (folder / "card.json").write_text('{"licence": "MIT"}')
    assert one_of(str(folder), "cpu").name == "mine"
    assert one_of(str(folder.parent), "cpu").card == {"licence": "MIT"}
    (folder / "card.json").write_text("{")
    with pytest.raises(InputError, match=r"card\.json is not valid JSON"):
        one_of(str(folder), "cpu")
    (folder / "card.json").unlink()
    assert one_of(str(folder), "cpu").card == {}
    assert one_of(f"other={folder}", "cpu").name == "other"
    for source in (
        "some-fno",
        "hub:owner/some-fno@1a2b",
        "wandb:entity/project/some-fno:v3",
        "zoo:some-fno",
        "a/some-fno/",
    ):
        assert name_of(source) == "some-fno"
    with pytest.raises(InputError, match="the name 'a b'"):
        one_of(f"a b={folder}", "cpu")
    with pytest.raises(InputError, match="--device=cuda"):
        one_of(str(folder), "cuda:77")
    with pytest.raises(InputError, match="2 surrogates are called mine"):
        check_names(["mine", "other", "mine"])


def test_nothing_to_serve(run, monkeypatch):
    monkeypatch.setattr("pdeops.sources.zoo.names", list)
    assert "nothing to serve" in run("serve")[2]


def test_a_taken_port():
    with listening("127.0.0.1", 0) as taken, pytest.raises(InputError, match="--port=0 takes any"):
        listening("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError):
        listening("127.0.0.1", 70_000)


def test_limits():
    limits = Limits(max_mb=8)
    assert (limits.body, limits.json) == (2**23, 2**20)
