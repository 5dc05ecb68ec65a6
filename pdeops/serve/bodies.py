"""Arrays in requests and answers: JSON, .npy, HDF5; sizes are checked before anything is made of them."""

from __future__ import annotations

import io
import json
from math import prod
from typing import Any

import h5py
import numpy as np

from pdeops.errors import did_you_mean, first_line
from pdeops.serve.refusals import Refusal

JSON, NPY, HDF5, LINES = "application/json", "application/x-npy", "application/x-hdf5", "application/x-ndjson"
FORMS = (JSON, NPY, HDF5)
MOST_AXES = 8
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}


def form_of(content_type: str | None, encoding: str | None) -> str:
    """The form of a request's body; JSON where nothing is said. Raises a 415 for any other, and for compressed ones."""
    if encoding not in (None, "", "identity"):
        raise Refusal(415, "encoded", f"a body with content-encoding {encoding!r}; wanted it as it is")
    form = (content_type or JSON).partition(";")[0].strip().lower()
    if form not in FORMS:
        raise Refusal(415, "unknown_form", f"a body of {form!r}; wanted content-type {', '.join(FORMS)}")
    return form


def form_wanted(accept: str | None, given: str, offered: tuple[str, ...] = FORMS) -> str:
    """The first form of `Accept` that is offered; the body's own where anything will do. Raises a 406 if none is."""
    for part in (accept or "*/*").split(","):
        form, _, quality = part.partition(";")
        form = form.strip().lower()
        if quality.replace(" ", "") in ("q=0", "q=0.0"):
            continue
        if form in ("*/*", "application/*"):
            return given
        if form in offered:
            return form
    raise Refusal(406, "not_acceptable", f"accept: {accept}; there are {', '.join(offered)}")


def read_json(body: bytes) -> tuple[np.ndarray | None, dict[str, Any]]:
    """The array "input", and everything else that a JSON object says. Raises a 400 for anything else."""
    try:
        said = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        kind = "nested too deep" if isinstance(error, RecursionError) else first_line(error)
        raise Refusal(400, "bad_json", f"the body is not JSON: {kind}") from None
    if not isinstance(said, dict):
        raise Refusal(400, "bad_json", f'wanted a JSON object, {{"input": [...]}}; this is {_kind(said)}')
    given = said.pop("input", None)
    return None if given is None else _numbers(given), said


def _numbers(given: Any) -> np.ndarray:
    if not isinstance(given, list):
        raise Refusal(422, "bad_input", f'"input" is {_kind(given)}; wanted nested lists of numbers')
    try:
        a = np.asarray(given)
    except (ValueError, OverflowError, RecursionError):
        a = np.empty(0, dtype=object)
    if a.dtype.kind not in "iuf":
        raise Refusal(422, "bad_input", '"input": wanted nested lists of numbers, all of one depth and length')
    return a


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def read_npy(body: bytes) -> np.ndarray:
    """The array in an .npy file, a view of the body: no pickles, no structures, no size other than the header says."""
    file = io.BytesIO(body)
    try:
        read = HEADERS[np.lib.format.read_magic(file)]
        shape, fortran, dtype = read(file)
        shape = tuple(map(int, shape))  # True is a number to Python
    except Exception as error:  # headers are Python literals: what these may raise has no end
        raise Refusal(400, "bad_npy", f"the body is not an .npy file: {first_line(error)}") from None
    check_numbers(dtype, shape, "bad_npy")
    wanted, there = prod(shape) * dtype.itemsize, len(body) - file.tell()
    if wanted != there:
        raise Refusal(400, "bad_npy", f"this .npy file says {shape} of {dtype}, {wanted} bytes, and holds {there}")
    return np.frombuffer(body, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def check_numbers(dtype: np.dtype, shape: tuple[int, ...], code: str) -> None:
    """Raises a 422 unless these are real numbers, some, along a few axes."""
    if dtype.kind not in "biuf" or dtype.names or dtype.subdtype:
        raise Refusal(422, code, f"values of {dtype}; wanted real numbers")
    if not 1 <= len(shape) <= MOST_AXES or min(shape) < 1:
        raise Refusal(422, code, f"an array of shape {shape}; wanted 1 to {MOST_AXES} axes, and values along each")


def check_options(options: dict[str, Any], known: tuple[str, ...]) -> None:
    """Raises a 400 for what an endpoint does not know."""
    for name in options:
        if name not in known:
            there = ("input", *known)
            raise Refusal(400, "unknown_option", f"{name[:40]!r} is not an option. {did_you_mean(name[:40], there)}")


def write(form: str, values: np.ndarray, **words: Any) -> bytes:
    """An array called "output"; words: what else a JSON object says, and attributes of HDF5.

    Raises a 422 for JSON of values that are not finite.
    """
    if form == JSON:
        return json.dumps({"output": finite(values).tolist(), **words}).encode()
    file = io.BytesIO()
    if form == NPY:
        np.save(file, values, allow_pickle=False)
    else:
        with h5py.File(file, "w") as f:
            f["output"] = values
            f["output"].attrs.update(words)
    return file.getvalue()


def finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise Refusal(422, "not_finite", f"the answer holds values that are not finite: {NPY} can say them, JSON not")
    return values


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """What an .npy file of C order begins with; its values follow."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return file.getvalue()
