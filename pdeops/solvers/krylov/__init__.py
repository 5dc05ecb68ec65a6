"""Krylov methods for linear systems: one signature, one result, every product counted."""

from pdeops.solvers.krylov.bicgstab import bicgstab
from pdeops.solvers.krylov.cg import cg
from pdeops.solvers.krylov.fgmres import fgmres
from pdeops.solvers.krylov.gcrodr import gcrodr
from pdeops.solvers.krylov.gmres import gmres
from pdeops.solvers.krylov.minres import minres
from pdeops.solvers.krylov.recycle import RecycleSpace
from pdeops.solvers.krylov.rminres import rminres

__all__ = ["RecycleSpace", "bicgstab", "cg", "fgmres", "gcrodr", "gmres", "minres", "rminres"]
