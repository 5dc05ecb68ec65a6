"""Krylov methods for linear systems: one signature, one result (`Solve`), every product counted.

`System` says what their arguments are. An x that leaves a larger residual than the start is not returned.
"""

from pdeops.solvers.krylov.bicgstab import bicgstab
from pdeops.solvers.krylov.cg import cg
from pdeops.solvers.krylov.fgmres import fgmres
from pdeops.solvers.krylov.gcrodr import gcrodr
from pdeops.solvers.krylov.gmres import gmres
from pdeops.solvers.krylov.minres import minres
from pdeops.solvers.krylov.recycle import RecycleSpace
from pdeops.solvers.krylov.rminres import rminres
from pdeops.solvers.krylov.system import System

__all__ = ["RecycleSpace", "System", "bicgstab", "cg", "fgmres", "gcrodr", "gmres", "minres", "rminres"]
