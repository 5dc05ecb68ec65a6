"""Small systems, and operators that count what is asked of them."""

import numpy as np
import torch

from pdeops.solvers.krylov import bicgstab, cg, fgmres, gcrodr, gmres, minres, rminres

METHODS = [cg, minres, rminres, bicgstab, gmres, fgmres, gcrodr]
SHORT = {gmres: {"m": 12}, fgmres: {"m": 12}, gcrodr: {"m": 12, "k": 5}}  # so that they restart


class Counting:
    """A function on arrays of b's kind, and how often it was called."""

    def __init__(self, matrix):
        self.matrix, self.calls = matrix, 0

    def __call__(self, v):
        self.calls += 1
        matrix = torch.from_numpy(self.matrix).to(v) if isinstance(v, torch.Tensor) else self.matrix
        return (matrix @ v.reshape(-1)).reshape(v.shape)


def unitary(n, kind=float, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if kind is complex else 0)
    return np.linalg.qr(X)[0]


def with_eigenvalues(values, kind=float, seed=0):
    Q = unitary(len(values), kind, seed)
    return (Q * values) @ Q.conj().T


def definite(n=40, kind=float, condition=50.0, seed=0):
    return with_eigenvalues(np.geomspace(1, condition, n), kind, seed)


def indefinite(n=40, kind=float, seed=0):
    return with_eigenvalues(np.concatenate([-np.geomspace(1, 5, n // 8), np.geomspace(1, 20, n - n // 8)]), kind, seed)


def general(n=40, kind=float, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if kind is complex else 0)
    return 3 * np.eye(n) + 1.5 * X / np.sqrt(n)


def vector(n=40, kind=float, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(n) + (1j * rng.standard_normal(n) if kind is complex else 0)


def matrix_for(method, n=40, kind=float):
    return {cg: definite, minres: indefinite, rminres: indefinite}.get(method, general)(n, kind)


def laplacian(n, shift=0.0):
    """The 1D Laplacian with Dirichlet ends, dense, eigenvalues 4 sin^2(pi j / (2 n + 2)) - shift."""
    return 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1) - shift * np.eye(n)
