"""Ten thousand malformed requests: each gets a clear 4xx or is hung up on, and the service is right afterwards.

    python experiments/serving/malformed.py [--requests 10000]

Bodies that are damaged, of foreign types, with foreign sizes, too deep, compressed, or pickles; headers that lie;
paths, methods and options that do not exist; bytes that are no HTTP; clients that hang up. After each ten of them comes
a good request, whose answer is compared with the surrogate's own prediction: all must be right, and no status may be
5xx but the 503 and 504 that the service means.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import io
import json
import pickle
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from service import NPY, Answer, Connection, Question, npy, questions, resident, running, surrogates

HDF5, JSON = "application/x-hdf5", "application/json"
PATH = "/v1/surrogates/ns2d/predict"
Rng = np.random.Generator


class Mark:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def good_array(rng: Rng) -> np.ndarray:
    return rng.standard_normal((1, 1, 64, 64), dtype=np.float32)


def good_hdf5(rng: Rng, **options) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as f:
        f.create_dataset("input", data=good_array(rng), **options)
    return file.getvalue()


def mutated(rng: Rng, body: bytes, first: int) -> bytes:
    """Some bytes among the first ones changed, and perhaps the end cut off."""
    found = bytearray(body)
    for _ in range(int(rng.integers(1, 12))):
        found[int(rng.integers(0, min(first, len(found))))] = int(rng.integers(0, 256))
    return bytes(found[: int(rng.integers(1, len(found)))] if rng.random() < 0.3 else found)


def header(shape: object, descr: str = "<f4") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def random_bytes(rng: Rng) -> tuple[bytes, str]:
    kind = [NPY, HDF5, JSON][int(rng.integers(3))]
    return rng.bytes(int(rng.integers(0, 3000))), kind


def npy_cut(rng: Rng) -> tuple[bytes, str]:
    body = npy(good_array(rng))
    return body[: int(rng.integers(0, len(body)))], NPY


def npy_mutated(rng: Rng) -> tuple[bytes, str]:
    return mutated(rng, npy(good_array(rng)), 100), NPY


def npy_shapes(rng: Rng) -> tuple[bytes, str]:
    shapes = [
        (10**12, 10**12),
        (2**63, 2),
        (-1, 4),
        (0,),
        (),
        (1,) * 60,
        (1, 1, 10**9, 64),
        (1, 1, 64.5, 64),
        "(1, 1)",
        None,
    ]
    return header(shapes[int(rng.integers(len(shapes)))]) + rng.bytes(int(rng.integers(0, 20_000))), NPY


def npy_types(rng: Rng) -> tuple[bytes, str]:
    kinds = ["<c8", "|O", "<U4", "<M8[s]", "|V8", "|S3", "junk", "<f4,<f4"]
    return header((1, 1, 64, 64), kinds[int(rng.integers(len(kinds)))]) + rng.bytes(4 * 64 * 64), NPY


def npy_values(rng: Rng) -> tuple[bytes, str]:
    a = good_array(rng).astype(np.float64)
    a[0, 0, int(rng.integers(64)), int(rng.integers(64))] = [np.nan, np.inf, -np.inf, 1e300][int(rng.integers(4))]
    return npy(a), NPY


def npy_sizes(rng: Rng) -> tuple[bytes, str]:
    shape = tuple(int(n) for n in rng.integers(1, 7, int(rng.integers(1, 6))))
    shape = shape if shape[1:2] != (1,) or len(shape) != 4 else (1, 2, *shape[2:])
    return npy(np.ones(shape, np.float32)), NPY


def json_values(rng: Rng) -> tuple[bytes, str]:
    texts = [
        "NaN",
        '{"input": NaN}',
        '{"input": [NaN, Infinity]}',
        '{"input": [[[[1e999]]]]}',
        '{"input": [[1, 2], [3]]}',
        '{"input": ["1.0"]}',
        '{"input": [null]}',
        '{"input": {"a": {"b": []}}}',
        '{"input": []}',
        '{"input": [[[[true]]]]}',
        '{"input": 3, "input": 4}',
        '{"inputs": [[[[1]]]]}',
        '{"__class__": "os.system"}',
        '{"input": [[[[1]]]], "out": "x"}',
        '{"input": [[[[1]]]], "out": [1e9, 1]}',
        '{"input": [' + "1," * int(rng.integers(1, 5000)),
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ]
    return texts[int(rng.integers(len(texts)))].encode("utf-8", "replace"), JSON


def json_deep(rng: Rng) -> tuple[bytes, str]:
    deep = int(rng.integers(50, 200_000))
    opening, closing = [(b"[", b"]"), (b'{"a":', b"}")][int(rng.integers(2))]
    return b'{"input": ' + opening * deep + (b"1" + closing * deep + b"}" if rng.random() < 0.5 else b""), JSON


def hdf5_cut(rng: Rng) -> tuple[bytes, str]:
    body = good_hdf5(rng)
    return body[: int(rng.integers(0, len(body)))], HDF5


def hdf5_mutated(rng: Rng) -> tuple[bytes, str]:
    options = [{}, {"compression": "gzip"}, {"chunks": (1, 1, 8, 8), "shuffle": True}][int(rng.integers(3))]
    return mutated(rng, good_hdf5(rng, **options), 3000), HDF5


def hdf5_elsewhere(rng: Rng) -> tuple[bytes, str]:
    """Values that lie in the service's own files, or are more than there is memory for."""
    file = io.BytesIO()
    with h5py.File(file, "w") as f:
        match int(rng.integers(5)):
            case 0:
                f["input"] = h5py.ExternalLink("/etc/passwd", "/")
            case 1:
                f.create_dataset("input", (1, 1, 16, 16), "u1", external=[("/etc/passwd", 0, 256)])
            case 2:
                layout = h5py.VirtualLayout((1, 1, 16, 16), "f4")
                layout[:] = h5py.VirtualSource("/etc/passwd", "x", (1, 1, 16, 16))
                f.create_virtual_dataset("input", layout)
            case 3:
                f.create_dataset("input", (1, 1, 2**20, 2**20), "f8", chunks=(1, 1, 1024, 1024), compression="gzip")
            case 4:
                f["input"] = h5py.SoftLink("/input")
    return file.getvalue(), HDF5


BODIES: list[Callable[[Rng], tuple[bytes, str]]] = [
    random_bytes,
    npy_cut,
    npy_mutated,
    npy_shapes,
    npy_types,
    npy_values,
    npy_sizes,
    json_values,
    json_deep,
    hdf5_cut,
    hdf5_mutated,
    hdf5_elsewhere,
]


class Fuzz:
    def __init__(self, port: int, marked: Path) -> None:
        self.port, self.marked = port, marked
        self.seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.bad: list[str] = []

    def note(self, kind: str, answer: Answer) -> None:
        self.seen[kind][str(answer.status)] += 1
        told = answer.headers.get("content-type", "") == JSON and b'"error"' in answer.body
        if answer.status >= 500 and not (answer.status in (503, 504) and told):
            self.bad.append(f"{kind}: {answer.status} {answer.body[:200]!r}")
        elif answer.status >= 400 and not told:
            self.bad.append(f"{kind}: {answer.status} without a reason, {answer.body[:200]!r}")

    async def ask(self, kind: str, connection: Connection, *request, **options) -> None:
        """What is malformed may be answered, or hung up on."""
        try:
            async with asyncio.timeout(60):
                self.note(kind, await connection.ask(*request, **options))
        except (OSError, asyncio.IncompleteReadError):
            self.seen[kind]["hung up"] += 1
        except TimeoutError:
            self.bad.append(f"{kind}: no answer in 60 s")

    async def body(self, rng: Rng, connection: Connection) -> None:
        make = BODIES[int(rng.integers(len(BODIES)))]
        body, form = make(rng)
        what = ["predict", "rollout", "solve", "compare"][int(rng.integers(4))] if rng.random() < 0.3 else "predict"
        await self.ask(make.__name__, connection, "POST", f"/v1/surrogates/ns2d/{what}", body, [("content-type", form)])

    async def pickled(self, rng: Rng, connection: Connection) -> None:
        file = io.BytesIO()
        if rng.random() < 0.5:
            np.save(file, np.array([Mark(self.marked)], dtype=object), allow_pickle=True)
        else:
            pickle.dump(Mark(self.marked), file)
        await self.ask("pickled", connection, "POST", PATH, file.getvalue(), [("content-type", NPY)])

    async def compressed(self, rng: Rng, connection: Connection) -> None:
        bomb = gzip.compress(bytes(10**7))
        coding = ["gzip", "br", "deflate", "gzip, gzip"][int(rng.integers(4))]
        headers = [("content-type", NPY), ("content-encoding", coding)]
        await self.ask("compressed", connection, "POST", PATH, bomb, headers)

    async def headers(self, rng: Rng, connection: Connection) -> None:
        choices = [
            [("content-type", "x" * 5000)],
            [("content-type", NPY), ("content-type", JSON)],
            [("accept", ",;=" * 100)],
            [("accept", "image/png;q=0")],
            [("x" * 30_000, "y")],
            [("content-type", "\xe4\xff")],
            [("transfer-encoding", "chunked")],
            [("transfer-encoding", "gzip, chunked")],
            [("expect", "100-continue")],
            [("upgrade", "websocket"), ("connection", "upgrade")],
            [("host", "evil.example")],
            [("range", "bytes=0-1")],
            [(f"a{i}", "b") for i in range(500)],
        ]
        body = npy(good_array(rng))[: int(rng.integers(0, 200))]
        await self.ask("headers", connection, "POST", PATH, body, choices[int(rng.integers(len(choices)))])

    async def lengths(self, rng: Rng, connection: Connection) -> None:
        said = ["-1", "abc", "1e3", str(10**12), "9" * 5000, "0x10", "+5", "5, 6"][int(rng.integers(8))]
        await self.ask("lengths", connection, "POST", PATH, b"12345", [("content-type", NPY)], length=said)

    async def addresses(self, rng: Rng, connection: Connection) -> None:
        paths = [
            "/../../etc/passwd",
            "/page/../run.py",
            "/page/%2e%2e%2frun.py",
            "/v1/surrogates/%00/predict",
            "/v1/surrogates/" + "n" * 3000 + "/predict",
            "/v1/surrogates/ns2d/predict?out=%FF",
            "/v1/surrogates/ns2d/predict?out=" + "9" * 3000,
            "/v1/surrogates/ns2d/rollout?steps=-5",
            "/v1/surrogates/ns2d/rollout?steps=1e9",
            "/v1/surrogates/ns2d/sample?seed=99999999999999999999",
            "/v1/surrogates/ns2d/solve?steps=10001",
            "/v1/surrogates/burgers1d/predict?" + "a=b&" * 1000,
            "//",
            "*",
            "/%",
        ]
        method = ["POST", "GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW", "post"][int(rng.integers(9))]
        path = paths[int(rng.integers(len(paths)))] if rng.random() < 0.7 else PATH
        body = npy(good_array(rng)) if rng.random() < 0.5 else b""
        if method == "POST" and path == PATH and body:
            path += "?unknown=1"
        await self.ask("addresses", connection, method, path, body, [("content-type", NPY)])

    async def no_http(self, rng: Rng, connection: Connection) -> None:
        starts = [
            b"",
            b"GET ",
            b"POST / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\r\n" * 50,
        ]
        sent = starts[int(rng.integers(len(starts)))] + rng.bytes(int(rng.integers(1, 2000))) + b"\r\n\r\n"
        connection.close()
        try:
            async with asyncio.timeout(2):
                self.note("no_http", await connection.send(sent))
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
            self.seen["no_http"]["hung up"] += 1
        except TimeoutError:
            self.seen["no_http"]["waits for more"] += 1

    async def hangs_up(self, rng: Rng, connection: Connection) -> None:
        body = npy(good_array(rng))
        head = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {NPY}\r\ncontent-length: {len(body)}\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sent = head.encode() + body
        writer.write(sent[: int(rng.integers(1, len(sent) + 1))])
        await writer.drain()
        writer.close()
        self.seen["hangs_up"]["gone"] += 1

    async def good(self, question: Question, connection: Connection) -> None:
        answer = await connection.ask("POST", question.path, question.body, [("content-type", NPY)])
        right = answer.status == 200 and question.right(answer)
        self.seen["good"]["right" if right else f"wrong: {answer.status}"] += 1
        if not right:
            self.bad.append(f"good: {answer.status} {answer.body[:200]!r}")


async def fuzz(port: int, pid: int, asked: list[Question], requests: int, marked: Path) -> Fuzz:
    tried, memory, begin = Fuzz(port, marked), [], time.perf_counter()
    kinds = [
        tried.pickled,
        tried.compressed,
        tried.headers,
        tried.lengths,
        tried.addresses,
        tried.no_http,
        tried.hangs_up,
    ]

    async def client(k: int, clients: int) -> None:
        connection, own = Connection(port), Connection(port)  # a lie about a length may spoil the next request
        for i in range(k, requests, clients):
            rng = np.random.default_rng(i)
            await (tried.body if rng.random() < 0.6 else kinds[int(rng.integers(len(kinds)))])(rng, connection)
            if i % 10 == 0:
                await tried.good(asked[i // 10 % len(asked)], own)
            if i % (requests // 10 or 1) == 0:
                memory.append(resident(pid))

    await asyncio.gather(*(client(k, 8) for k in range(8)))
    print(f"{requests} malformed requests in {time.perf_counter() - begin:.0f} s")
    print("memory of the service in MB, along the way: " + ", ".join(f"{m:.0f}" for m in memory))
    return tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    served = surrogates()
    asked = questions(served, 32)
    with tempfile.TemporaryDirectory() as folder, running(served, "--timeout", "5") as (pid, port):
        marked = Path(folder) / "a pickle was opened"
        asyncio.run(fuzz(port, pid, asked, 100, marked))  # everything that is loaded once
        tried = asyncio.run(fuzz(port, pid, asked, options.requests, marked))
        for kind, seen in sorted(tried.seen.items()):
            print(f"{kind:15s} " + ", ".join(f"{n} x {what}" for what, n in sorted(seen.items())))
        metrics = asyncio.run(Connection(port).ask("GET", "/metrics")).body.decode()
        print("\n".join(line for line in metrics.splitlines() if "queue_length" in line or "body_bytes" in line))
        print("bad answers: " + ("none" if not tried.bad else json.dumps(tried.bad[:20], indent=1)))
        print(f"a pickle was opened: {marked.exists()}")
        assert not tried.bad
        assert not marked.exists()


if __name__ == "__main__":
    main()
