"""Arrays in bodies: read as they are, refused in words before anything is made of them."""

import asyncio
import io
import json
import os
import pickle
import signal
import tracemalloc

import h5py
import numpy as np
import pytest

from pdeops.serve.bodies import HDF5, JSON, NPY, form_of, form_wanted, npy_header, read_json, read_npy, write
from pdeops.serve.hdf5 import Hdf5Reader
from pdeops.serve.refusals import Refusal
from tests.serve.conftest import npy


def hdf5(**datasets):
    file = io.BytesIO()
    with h5py.File(file, "w") as f:
        for name, a in datasets.items():
            f[name] = a
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i8", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(dtype, order):
    a = np.asarray(np.random.default_rng(0).integers(0, 2, (2, 3, 4)), dtype=dtype, order=order)
    read = read_npy(npy(a))
    np.testing.assert_array_equal(read, a)
    assert read.dtype == np.dtype(dtype)


def header(text, version=1):
    size = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(size, "little") + text.encode()


def said(shape, descr="'<f4'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not an .npy file"),
        (b"\x93NUMPY\x09\x00", "not an .npy file"),
        (npy(np.ones((2, 3)))[:-1], "and holds 47"),
        (npy(np.ones((2, 3))) + b"x", "and holds 49"),
        (header(said("(1000000000000, 1000000000000)")), "and holds 0"),
        (header(said("(2, -3)")) + bytes(24), "along each"),
        (header(said("(2, 0)")), "along each"),
        (header(said("()")) + bytes(4), "along each"),
        (header(said((1,) * 40)) + bytes(4), "1 to 8 axes"),
        (header(said("(2,)", "'|O'")) + pickle.dumps([1, 2]), "wanted real numbers"),
        (header(said("(2,)", "[('a', '<f4')]")) + bytes(8), "wanted real numbers"),
        (header(said("(2,)", "'<c8'")) + bytes(16), "wanted real numbers"),
        (header(said("(2,)", "'<U3'")) + bytes(24), "wanted real numbers"),
        (header(said("(True, 2)")) + bytes(9), "and holds 9"),
        (header("{" * 5000), "not an .npy file"),
        (header("__import__('os').abort()"), "not an .npy file"),
        (header(said("(2,)"), version=7) + bytes(8), "not an .npy file"),
        (header(said("(2,)") + " " * 100_000, version=2) + bytes(8), "not an .npy file"),
    ],
)
def test_npy_that_is_none(body, words):
    tracemalloc.start()
    try:
        with pytest.raises(Refusal, match=words) as refused:
            read_npy(body)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()
    assert refused.value.status in (400, 422)


def test_json():
    a, options = read_json(b'{"input": [[1, 2.5], [3, 4]], "steps": 3}')
    np.testing.assert_array_equal(a, [[1, 2.5], [3, 4]])
    assert options == {"steps": 3}
    assert read_json(b"") == (None, {})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b'{"input": ' + b"[" * 100_000, 400, "nested too deep|not JSON"),
        (b'{"input": ' + b"1" * 5000 + b"}", 400, "not JSON"),
        (b"[1, 2]", 400, "this is a list"),
        (b"3", 400, "this is a number"),
        (b'{"input": "abc"}', 422, "is a text"),
        (b'{"input": {"a": 1}}', 422, "is an object"),
        (b'{"input": [1, "2"]}', 422, "nested lists of numbers"),
        (b'{"input": [[1, 2], [3]]}', 422, "nested lists of numbers"),
        (b'{"input": [1, null]}', 422, "nested lists of numbers"),
        (b'{"input": [true, false]}', 422, "nested lists of numbers"),
        (b'{"input": [1%s]}' % (b"0" * 400), 422, "nested lists of numbers"),
        (b'{"input": ' + b"[" * 70 + b"1" + b"]" * 70 + b"}", 422, "nested lists of numbers"),
    ],
)
def test_json_that_is_none(body, status, words):
    with pytest.raises(Refusal, match=words) as refused:
        read_json(body)
    assert refused.value.status == status


def test_forms():
    assert form_of(None, None) == form_of("Application/JSON; charset=utf-8", "identity") == JSON
    for kind, encoding in [("text/plain", None), (NPY, "gzip"), (JSON, "br")]:
        with pytest.raises(Refusal) as refused:
            form_of(kind, encoding)
        assert refused.value.status == 415
    assert (
        form_wanted(None, NPY) == form_wanted("*/*", NPY) == form_wanted("text/html, application/*;q=0.8", NPY) == NPY
    )
    assert form_wanted("application/x-hdf5, application/json", NPY) == HDF5
    assert form_wanted("application/x-hdf5;q=0, application/json", NPY) == JSON
    with pytest.raises(Refusal) as refused:
        form_wanted("text/html", NPY)
    assert refused.value.status == 406


def test_written():
    a = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    np.testing.assert_array_equal(read_npy(write(NPY, a)), a)
    assert npy_header(a.shape, a.dtype) + a.tobytes() == write(NPY, a)
    found = json.loads(write(JSON, a, channels=["u"]))
    np.testing.assert_array_equal(np.array(found["output"], np.float32), a)
    assert found["channels"] == ["u"]
    with h5py.File(io.BytesIO(write(HDF5, a, channels=["u"]))) as f:
        np.testing.assert_array_equal(f["output"], a)
        assert list(f["output"].attrs["channels"]) == ["u"]
    a[0, 0] = np.nan
    with pytest.raises(Refusal, match="not finite"):
        write(JSON, a)


def test_hdf5_in_another_process(tmp_path):
    a = np.random.default_rng(0).standard_normal((2, 3))
    (tmp_path / "values").write_bytes(bytes(range(48)))

    def linked(f):
        f["input"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "input")

    def elsewhere(f):
        f.create_dataset("input", (2, 3), "f8", external=[(str(tmp_path / "values"), 0, 48)])

    def virtual(f):
        layout = h5py.VirtualLayout((2, 3), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "input", (2, 3))
        f.create_virtual_dataset("input", layout)

    def huge(f):
        f.create_dataset("input", (10**6, 10**6), "f8", chunks=(1000, 1000), compression="gzip")

    def chunked(f):
        f.create_dataset("input", (2, 3), "f8", chunks=(2**20, 2**10), maxshape=(None, None))

    def text(f):
        f["input"] = "words"

    def group(f):
        f.create_group("input")

    def several(f):
        f["a"], f["b"] = a, a

    (tmp_path / "other.h5").write_bytes(hdf5(input=a))

    async def main():
        reader = Hdf5Reader(2**20)
        np.testing.assert_array_equal(await reader.read(hdf5(input=a, more=a + 1)), a)
        np.testing.assert_array_equal(await reader.read(hdf5(only=a)), a)
        for fill, words in [
            (linked, "named input"),
            (elsewhere, "other files"),
            (virtual, "other files"),
            (huge, "more than"),
            (chunked, "more than"),
            (text, "real numbers"),
            (group, "wanted a dataset"),
            (several, "named input"),
        ]:
            file = io.BytesIO()
            with h5py.File(file, "w") as f:
                fill(f)
            with pytest.raises(Refusal, match=words):
                await reader.read(file.getvalue())
        good = hdf5(input=a)
        for damaged in (b"", b"abc", good[:500], good[:700] + bytes(900) + good[1600:]):
            with pytest.raises(Refusal, match="HDF5"):
                await reader.read(damaged)
        process = reader._process
        os.kill(process.pid, signal.SIGSTOP)  # as one that a file has caught
        reading = asyncio.ensure_future(reader.read(good))
        await asyncio.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(Refusal, match="damaged") as refused:
            await reading
        assert refused.value.status == 400
        np.testing.assert_array_equal(await reader.read(good), a)
        os.kill(reader._process.pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(good), 0.05)
        np.testing.assert_array_equal(await reader.read(hdf5(input=a + 1)), a + 1)  # not the answer to that one
        await reader.stop()

    asyncio.run(main())
