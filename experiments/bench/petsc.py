"""PETSc's solvers on the systems of a file, for elliptic.py: python petsc.py systems.npz rtol definite -> JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np
import petsc4py

petsc4py.init([])
from petsc4py import PETSc  # noqa: E402

GENERAL = {"gmres(40)": ("gmres", "none"), "gmres(40) + ILU(0)": ("gmres", "ilu")}
DEFINITE = {"cg + ICC(0)": ("cg", "icc"), "cg + gamg": ("cg", "gamg")}


def main() -> None:
    path, rtol, definite = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "1"
    with np.load(path) as data:
        arrays = {k: data[k] for k in data.files}
    count = sum(k.startswith("b") for k in arrays)
    out = {}
    if np.iscomplexobj(arrays["data0"]):  # a real build
        print(json.dumps(out))
        return
    for name, (method, preconditioner) in (GENERAL | (DEFINITE if definite else {})).items():
        seconds, left = [], 0.0
        for i in range(count):
            csr = tuple(arrays[f"{k}{i}"] for k in ("indptr", "indices", "data"))
            b = arrays[f"b{i}"]
            A = PETSc.Mat().createAIJ((len(b), len(b)), csr=csr)
            rhs, x = PETSc.Vec().createWithArray(b), PETSc.Vec().createSeq(len(b))
            start = time.perf_counter()
            ksp = PETSc.KSP().create()
            ksp.setOperators(A)
            ksp.setType(method)
            if method == "gmres":
                ksp.setGMRESRestart(40)
                ksp.setPCSide(PETSc.PC.Side.RIGHT)
            ksp.getPC().setType(preconditioner)
            ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
            ksp.setTolerances(rtol=rtol, max_it=10_000)
            ksp.solve(rhs, x)
            seconds.append(time.perf_counter() - start)
            residual = rhs.duplicate()
            A.mult(x, residual)
            residual.aypx(-1.0, rhs)
            left = max(left, residual.norm() / rhs.norm())
        out[f"PETSc {name}"] = (statistics.median(seconds), left)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
