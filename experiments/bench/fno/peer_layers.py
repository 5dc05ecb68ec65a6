"""Spectral convolutions of checkouts that follow the FNO paper's code: SpectralConv1d, 2d and 3d, a weight for each
combination of signs of the axes but the last, each (C_in, C_out, *modes of one sign), complex or as pairs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

FILES = {
    "physicsnemo": "physicsnemo/nn/module/spectral_layers.py",
    "pdearena": "pdearena/modules/fourier.py",
    "Neural-Solver-Library": "layers/FNO_Layers.py",
}


def found(paths: list[str]) -> dict[str, Path]:
    """Which peer each checkout is. Says so of those that are not there."""
    files = {name: Path(path) / file for path in paths for name, file in FILES.items() if (Path(path) / file).is_file()}
    for path in paths:
        if not any(Path(path) in file.parents for file in files.values()):
            print(f"{path} is skipped: no checkout of {', '.join(FILES)}")
    for name in FILES.keys() - files.keys():
        print(f"{name} is skipped: no --peer names a checkout of it")
    return files


def layer(file: Path, width: int, modes: tuple[int, ...], weight: Tensor) -> nn.Module:
    """The peer's layer with `weight`, (C_in, C_out, *modes) complex, frequencies ascending from -modes/2 on every axis
    but the last, which has its half 0 .. modes/2. The modes of those other axes must be even."""
    spec = importlib.util.spec_from_file_location(f"peer_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = (*(k // 2 for k in modes[:-1]), modes[-1] // 2 + 1)
    conv = getattr(module, f"SpectralConv{len(modes)}d")(width, width, *kept)
    with torch.no_grad():
        for corner, theirs in enumerate(conv.parameters()):  # axis i has its negative frequencies where bit i is set
            ours = weight
            for axis, k in enumerate(kept[:-1]):
                ours = ours.narrow(2 + axis, 0 if corner >> axis & 1 else k, k)
            theirs.copy_(ours if theirs.is_complex() else torch.view_as_real(ours))
    return conv
