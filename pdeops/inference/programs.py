"""Surrogates as programs that run without pdeops: ONNX, torch.export, AOTInductor."""

from __future__ import annotations

import copy
import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from pdeops import __version__
from pdeops.compilers import check_compiler
from pdeops.config import to_config
from pdeops.errors import InputError, first_line
from pdeops.files import atomically
from pdeops.inference.outputs import check_target
from pdeops.surrogate import Surrogate

Program = Callable[[Tensor], Tensor]

ONNX, PACKAGE, TORCH = ".onnx", ".aoti.pt2", ".pt2"
METADATA = "pdeops"  # under which the description stands in a file
BATCHES = (1, 2, 5)  # that are verified; it is exported at another
TRACED, MOST = 3, 2**16  # samples: of the example, and of a batch at most
TOLERANCE = 1e-4  # of verification, relative to the largest value


class Exported(NamedTuple):
    """path: the file; difference: the largest of verification, relative to the largest value; description: what the
    file says of itself."""

    path: Path
    difference: float
    description: dict[str, Any]


def export(
    surrogate: Surrogate,
    path: str | Path,
    *,
    nodes: Sequence[int] | None = None,
    any_nodes: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write the whole surrogate, from physical units to physical units with the conditions imposed, as a program
    u = f(a), (batch, C_in, *grid_in) -> (batch, C_out, *grid_out), of any batch.

    path: `.onnx` (ONNX Runtime and others), `.pt2` (`torch.export.load`, any device and further compilers) or
    `.aoti.pt2` (compiled for this kind of processor by AOTInductor: `torch._inductor.aoti_load_package`). The file
    describes itself, as JSON under the name "pdeops": channels, shapes, grids, versions.
    nodes: of the input, per axis in space; None: the trained lattice. any_nodes: as many as one likes.

    It is kept once the file, loaded again, agrees with the surrogate in single precision on other batches than it was
    made with (and other lattices). Raises InputError, with the reason, where a model cannot be exported so, where it
    does not agree, and without the packages or the compiler that are needed.
    """
    path = Path(path)
    check_target(path, overwrite, (ONNX, TORCH))
    if nodes is not None and any_nodes:
        raise InputError("nodes fix a lattice, and any_nodes asks for all of them: give one of the two")
    suffix = next(s for s in (ONNX, PACKAGE, TORCH) if path.name.endswith(s))
    _check_tools(suffix)
    whole = copy.deepcopy(surrogate).cpu().float().eval().requires_grad_(False)
    shape = _shape(surrogate, nodes)
    program = _traced(whole, shape, any_nodes)
    description = _described(whole, shape, program)
    with TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own doing
        file = Path(folder) / f"program{suffix}"
        with _exportable(whole, any_nodes):
            _WRITERS[suffix](program, file, description)
            difference = _verified(whole, _LOADERS[suffix](file), shape, any_nodes)
        with atomically(path, overwrite=overwrite) as temporary:
            shutil.copyfile(file, temporary)
    return Exported(path, difference, description)


def _check_tools(suffix: str) -> None:
    if suffix == PACKAGE:
        check_compiler(f"a package {PACKAGE}", f"export to {TORCH} or {ONNX}")
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if suffix == ONNX and find_spec(name) is None]
    if missing:
        raise InputError(f"exporting to ONNX needs the package {missing[0]}: pip install 'pdeops[onnx]'")


def _shape(surrogate: Surrogate, nodes: Sequence[int] | None) -> tuple[int, ...]:
    """Of the input without its batch."""
    window = surrogate.window
    grid, space = window.grid_in, window.grid_in.space
    if nodes is not None:
        each = tuple(nodes) * space.ndim if len(nodes) == 1 else tuple(nodes)
        grid = grid.resized_in_space(each)
    return window.in_channels, *grid.shape


def _traced(whole: Surrogate, shape: Sequence[int], any_nodes: bool) -> ExportedProgram:
    """The program of any batch."""
    a = _example(whole, (TRACED, *shape))
    dynamic: dict[int, Any] = {0: Dim("batch", min=1, max=MOST)}
    if any_nodes:
        dynamic |= dict.fromkeys(range(a.ndim - whole.window.grid_in.space.ndim, a.ndim), Dim.DYNAMIC)
    with torch.no_grad():
        whole(a)  # tables
        with _exportable(whole, any_nodes):
            return torch.export.export(whole, (a,), dynamic_shapes=(dynamic,))


@contextmanager
def _exportable(whole: Surrogate, any_nodes: bool) -> Iterator[None]:
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:  # of many kinds, from tracing a model's own code, and writing what came of it
        what, advice = ("any number of nodes", ": export it for one lattice") if any_nodes else ("any batch", "")
        name = type(whole.model).__name__
        raise InputError(f"{name} cannot be exported with {what}{advice}. {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The sentence of an exporter's error that says what is wrong."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    found = (line for line in lines if "specialized" in line or "guard" in line)
    return next(found, first_line(error)).split(". ")[0]


def _example(whole: Surrogate, shape: Sequence[int]) -> Tensor:
    """Inputs such as the data's, without their smoothness."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return whole.normalize_in.inverse(noise)


def _described(whole: Surrogate, shape: Sequence[int], program: ExportedProgram) -> dict[str, Any]:
    window, out = whole.window, whole(_example(whole, (1, *shape)))
    axes = ["batch", "channel", *window.grid_in.names]
    (a,) = (node for node in program.graph.nodes if node.op == "placeholder" and node.name == "a")
    ranges = {
        axis: [int(bounds.lower), None if bounds.upper > MOST else int(bounds.upper)]
        for axis, n in zip(axes, a.meta["val"].shape, strict=True)
        if not isinstance(n, int) and (bounds := program.range_constraints[n.node.expr])
    }
    return {
        "model": type(whole.model).__name__,
        "problem": whole.problem.name if whole.problem else None,
        "inputs": list(window.in_names),
        "outputs": list(window.out_names),
        "units": "those of the training data",
        "axes": axes,
        "input_shape": [None, *shape],
        "output_shape": [None, *out.shape[1:]],
        "dynamic": ranges,
        "dtype": "float32",
        "grid_in": to_config(window.grid_in.resized(shape[1:])),
        "grid_out": to_config(window.grid_out.resized(out.shape[2:])),
        "time_step": window.time_step if window.evolves else None,
        "pdeops": __version__,
        "torch": torch.__version__,
    }


def _verified(whole: Surrogate, program: Program, shape: Sequence[int], any_nodes: bool) -> float:
    """The largest difference from the surrogate, relative to its largest value."""
    channels, *nodes = shape
    lattices = [tuple(nodes)]
    if any_nodes:
        fixed = len(nodes) - whole.window.grid_in.space.ndim
        lattices += [(*nodes[:fixed], *(f(i, n) for i, n in enumerate(nodes[fixed:]))) for f in (_finer, _uneven)]
    worst = 0.0
    for lattice in lattices:
        for batch in BATCHES:
            a = _example(whole, (batch, channels, *lattice))
            u = whole(a)
            difference = float((program(a) - u).abs().max() / u.abs().max())
            if not difference <= TOLERANCE:
                raise InputError(
                    f"the exported {type(whole.model).__name__} differs from the surrogate by {difference:.1e} of its "
                    f"largest value on {batch} samples of {lattice} nodes; nothing was written"
                )
            worst = max(worst, difference)
    return worst


def _finer(i: int, n: int) -> int:
    return 2 * n


def _uneven(i: int, n: int) -> int:
    return n + 2 * i + 5


def _write_onnx(program: ExportedProgram, path: Path, description: dict[str, Any]) -> None:
    told = logging.getLogger("torch.onnx._internal.exporter")  # of packages that are not needed, as warnings
    level = told.level
    told.setLevel(logging.ERROR)
    try:
        made: Any = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["a"], output_names=["u"])
    finally:
        told.setLevel(level)
    made.model.metadata_props[METADATA] = json.dumps(description)
    made.save(path, external_data=False)


def _load_onnx(path: Path) -> Program:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda a: torch.from_numpy(session.run(None, {"a": a.numpy()})[0])


def _write_torch(program: ExportedProgram, path: Path, description: dict[str, Any]) -> None:
    torch.export.save(program, path, extra_files={METADATA: json.dumps(description)})


def _load_torch(path: Path) -> Program:
    return torch.export.load(path).module()


def _write_package(program: ExportedProgram, path: Path, description: dict[str, Any]) -> None:
    settings = {"aot_inductor.metadata": {METADATA: json.dumps(description)}}
    torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=settings)


def _load_package(path: Path) -> Program:
    return torch._inductor.aoti_load_package(str(path))


_WRITERS = {ONNX: _write_onnx, TORCH: _write_torch, PACKAGE: _write_package}
_LOADERS = {ONNX: _load_onnx, TORCH: _load_torch, PACKAGE: _load_package}
