"""torch.export, AOTInductor and ONNX: programs without Python, at sizes they were not exported at."""

import pytest
import torch
from torch.export import Dim

SIZES = [(1, 24, 24), (2, 31, 512), (5, 65, 40), (3, 48, 27)]


def export(model, a, dynamic):
    return torch.export.export(model.eval(), (a,), dynamic_shapes={"a": dynamic})


def any_size():
    return {0: Dim("batch", min=1, max=64), 2: Dim("x", min=24, max=512), 3: Dim("y", min=24, max=512)}


def close(u, v):
    assert (u - v).norm() <= 1e-6 * v.norm()


@pytest.mark.slow
def test_exported_with_any_batch_and_grid(fno, tmp_path):
    program = export(fno, torch.randn(3, 2, 33, 40), any_size())
    torch.export.save(program, tmp_path / "fno.pt2")
    again = torch.export.load(tmp_path / "fno.pt2").module()
    for batch, *grid in SIZES:
        a = torch.randn(batch, 2, *grid)
        close(again(a), fno(a))


@pytest.mark.slow
def test_an_aotinductor_package_takes_any_batch(fno, a, tmp_path):
    program = export(fno, a, {0: Dim("batch", min=1, max=64)})
    package = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "fno.pt2"))
    load = torch._inductor.aoti_load_package(package)
    for batch in (1, 3, 17):
        a = torch.randn(batch, 2, 12, 16)
        close(load(a), fno(a))


def onnx_session(model, a, path, dynamic=None):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    shapes = None if dynamic is None else {"a": dynamic}
    torch.onnx.export(model.eval(), (a,), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "any batch"])
def test_onnx(fno, a, tmp_path, dynamic):
    program = onnx_session(fno, a, tmp_path / "fno.onnx", {0: Dim("batch", min=1, max=64)} if dynamic else None)
    for batch in (1, 3, 17) if dynamic else (3,):
        a = torch.randn(batch, 2, 12, 16)
        close(program(a), fno(a))
