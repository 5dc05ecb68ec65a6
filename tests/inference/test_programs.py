"""Exported programs: the whole surrogate, of any batch, checked before they are kept, run where there is no pdeops."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pdeops
from pdeops.config import from_config
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.inference import programs
from pdeops.inference.programs import export
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.darcy import Darcy
from pdeops.sources import zoo
from pdeops.surrogate import Surrogate
from pdeops.window import Window
from tests.inference.cases import surrogate_of
from tests.models.test_contract import NAMES
from tests.test_surrogate import make

REFUSED = ["neuralop_fno", "neuralop_tfno", "neuralop_uno"]
ANY_NODES = ["fno", "point_lsm", "tno"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    torch._dynamo.reset()


def close(u, v):
    assert (torch.as_tensor(u) - v).abs().max() <= 1e-5 * v.abs().max()


def walled():
    """Darcy flow, whose values on the walls are imposed."""
    problem = Darcy(n=9, nodes="uniform")
    window = Window().on(problem.grid, problem.out_names, problem.in_names)
    model = FNO(1, 1, window.grid_in, window.grid_out, width=8, modes=4, depth=1)
    units = [Normalizer(torch.full((1,), m), torch.full((1,), s)) for m, s in ((5.0, 2.0), (1.0, 3.0))]
    return Surrogate(model, window, *units, problem)


def test_the_whole_surrogate_in_physical_units():
    surrogate = walled()
    made = export(surrogate, "s.pt2")
    assert made.difference < 1e-5
    extra = {"pdeops": ""}
    program = torch.export.load(made.path, extra_files=extra).module()
    for batch in (1, 4, 17):
        a = 5 + 2 * torch.randn(batch, 1, 9, 9)
        u = program(a)
        close(u, surrogate.predict(a))
        assert (u[..., 0] == 0).all()
        assert u.abs().max() > 0.1
    described = json.loads(extra["pdeops"])
    assert described == json.loads(json.dumps(made.description))
    assert (described["inputs"], described["outputs"]) == (["permeability"], ["pressure"])
    assert (described["input_shape"], described["output_shape"]) == ([None, 1, 9, 9], [None, 1, 9, 9])
    assert from_config(described["grid_in"]) == surrogate.window.grid_in
    assert list(described["dynamic"]) == ["batch"]


def test_tables_are_in_the_program_not_made_by_it():
    export(make(), "s.pt2")
    program = torch.export.load("s.pt2")
    assert not made_in_calls(program)


def made_in_calls(program):
    """Operators by which a table would be made anew in every call, and those of FFTs."""
    names = {part for node in program.graph.nodes for part in str(node.target).split(".")}
    return {name for name in names if name in ("cos", "sin", "remainder") or "fft" in name}


def test_windows_in_time_of_a_problem():
    surrogate = make(history="time")
    made = export(surrogate, "s.pt2")
    assert made.description["axes"] == ["batch", "channel", "time", "x", "y"]
    assert made.description["time_step"] == 0.5


def test_many_modes_are_products_too():
    """Which take the FFT elsewhere: ONNX has no complex numbers."""
    window = Window().on(Grid.periodic((1024,)), "u", "a")
    model = FNO(1, 1, window.grid_in, window.grid_out, width=2, modes=520, depth=1)
    units = [Normalizer(torch.zeros(1), torch.ones(1)) for _ in range(2)]
    assert export(Surrogate(model, window, *units), "s.pt2").difference < 1e-5
    program = torch.export.load("s.pt2")
    assert not made_in_calls(program)


def test_refused_with_the_reason():
    with pytest.raises(InputError, match=r"NeuralOp cannot be exported with any batch\. .*batch.*constant"):
        export(surrogate_of("neuralop_fno"), "s.pt2")
    with pytest.raises(InputError, match=r"FANO cannot be exported with any number of nodes: .*Guard failed"):
        export(surrogate_of("fano"), "s.pt2", any_nodes=True)
    with pytest.raises(InputError, match="MgNO cannot be exported with any number of nodes: export it for one lattice"):
        export(surrogate_of("mgno"), "s.pt2", any_nodes=True)
    assert not list(Path().iterdir())


def test_bad_requests(monkeypatch):
    surrogate = make()
    Path("s.pt2").write_text("mine")
    for path, settings, message in (
        ("s.pt2", {}, "already there; replace it with"),
        ("s.pth", {}, "wanted a name that ends in .onnx or .pt2"),
        ("t.pt2", {"nodes": [8], "any_nodes": True}, "give one of the two"),
    ):
        with pytest.raises(InputError, match=message):
            export(surrogate, path, **settings)
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package onnx: pip install 'pdeops\[onnx\]'"):
        export(surrogate, "s.onnx")
    assert Path("s.pt2").read_text() == "mine"


@pytest.mark.parametrize("wrong", [lambda u: 1.001 * u, lambda u: u.nan_to_num() * torch.nan])
def test_a_program_that_differs_is_not_kept(wrong, monkeypatch):
    load = programs._LOADERS[".pt2"]
    monkeypatch.setitem(programs._LOADERS, ".pt2", lambda path: lambda a: wrong(load(path)(a)))
    with pytest.raises(InputError, match="the exported FNO differs from the surrogate by"):
        export(make(), "s.pt2")
    assert not list(Path().iterdir())


BLOCKED = """
import sys
for name in {blocked}: sys.modules[name] = None  # importing it fails
import numpy as np
a = np.load("a.npy")
{run}
np.save("u.npy", u)
"""
RUN = {
    "onnx": "import onnxruntime; s = onnxruntime.InferenceSession('s.onnx'); u = s.run(None, {'a': a})[0]\n"
    "import json; print(json.loads(s.get_modelmeta().custom_metadata_map['pdeops'])['model'])",
    "pt2": "import torch; u = torch.export.load('s.pt2').module()(torch.from_numpy(a)).detach().numpy()",
    "aoti.pt2": "import torch; p = torch._inductor.aoti_load_package('s.aoti.pt2'); "
    "u = p(torch.from_numpy(a)).numpy()\n"
    "import json; print(json.loads(p.get_metadata()['pdeops'])['model'])",
}


@pytest.mark.parametrize(
    "suffix", ["pt2", pytest.param("onnx", marks=pytest.mark.slow), pytest.param("aoti.pt2", marks=pytest.mark.slow)]
)
def test_run_without_the_framework(suffix):
    if suffix == "onnx":
        pytest.importorskip("onnxscript"), pytest.importorskip("onnxruntime")
    surrogate = walled()
    export(surrogate, f"s.{suffix}")
    a = 5 + 2 * torch.randn(6, 1, 9, 9)
    np.save("a.npy", a.numpy())
    blocked = ["pdeops", "numba"] + ["torch"] * (suffix == "onnx")
    code = BLOCKED.format(blocked=blocked, run=RUN[suffix])
    out = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env={})
    assert out.returncode == 0, out.stderr
    close(np.load("u.npy"), surrogate.predict(a))
    assert suffix == "pt2" or out.stdout == "FNO\n"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in REFUSED])
def test_every_model(name, suffix):
    made = export(surrogate_of(name), f"s.{suffix}")
    assert made.difference < 1e-4
    assert list(made.description["dynamic"]) == ["batch"]


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_models_of_neuraloperator_are_refused(name):
    with pytest.raises(InputError, match="NeuralOp cannot be exported"):
        export(surrogate_of(name), "s.pt2")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fno", "mgno", "sfno", "latent_transformer"])
def test_packages(name):
    assert export(surrogate_of(name), "s.aoti.pt2").difference < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
@pytest.mark.parametrize("name", ANY_NODES)
def test_any_number_of_nodes(name, suffix):
    surrogate = surrogate_of(name)
    made = export(surrogate, f"s.{suffix}", any_nodes=True)
    assert list(made.description["dynamic"]) == ["batch", "x", "y"]
    program = programs._LOADERS[f".{suffix}"](made.path)
    for batch, *nodes in ((1, 24, 24), (2, 19, 40)):
        a = torch.randn(batch, 3, *nodes)
        close(program(a), surrogate.predict(a))


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_the_zoo(name):
    assert export(pdeops.load(name), "s.pt2").difference < 1e-4


@pytest.mark.slow
def test_another_lattice_through_the_trained_one():
    surrogate = surrogate_of("mgno")
    made = export(surrogate, "s.pt2", nodes=[24, 20])
    assert made.description["input_shape"] == [None, 3, 24, 20]
    a = torch.randn(2, 3, 24, 20)
    close(torch.export.load("s.pt2").module()(a), surrogate.predict(a))
