"""Krylov methods for linear systems: one signature, one result, every product counted."""

from pdeops.solvers.krylov.fgmres import fgmres
from pdeops.solvers.krylov.gcrodr import gcrodr
from pdeops.solvers.krylov.gmres import gmres
from pdeops.solvers.krylov.recycle import RecycleSpace

__all__ = ["RecycleSpace", "fgmres", "gcrodr", "gmres"]
