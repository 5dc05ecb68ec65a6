"""Sine, cosine and Fourier transforms of a whole lattice: the eigenvectors of its second differences.

Per axis, h the spacing, with the ghost values that the boundary type implies:

    nodes    bc         unknowns            eigenvectors at node j          eigenvalues 4/h^2 sin^2(.)   exact
    periodic periodic   n                   cas(2 pi k j / n)               pi k / n                     2 pi k / L
    uniform  dirichlet  n - 2, interior     sin(pi k j / (n - 1))           pi k / (2 (n - 1)), k >= 1   pi k / L
    uniform  neumann    n                   cos(pi k j / (n - 1))           pi k / (2 (n - 1))           pi k / L
    cell     dirichlet  n                   sin(pi k (j + 1/2) / n)         pi k / (2 n), k >= 1         pi k / L
    cell     neumann    n                   cos(pi k (j + 1/2) / n)         pi k / (2 n)                 pi k / L

cas = cos + sin (Hartley): real, like the others, so that every transform is a real matrix. On cells a Dirichlet
value stands on the face half a spacing away (ghost -u_0), a Neumann ghost is u_0; on uniform nodes it is u_1.
Source: Strang, The discrete cosine transform, SIAM Review 41 (1999); Bracewell, J. Opt. Soc. Am. 73 (1983).
"""

from __future__ import annotations

from functools import lru_cache
from math import pi

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


class Trigonometric:
    """The eigenvectors of -Laplace_h, the sum over the axes of second differences, and their transforms.

    They are orthonormal in <u, v> = sum_j w_j u_j v_j with w = 1, but 1/2 at both ends of a uniform Neumann axis (a
    product over axes): the product in which the second difference there is symmetric. So `to_values` inverts
    `to_modes`, is its transpose where all w are 1 (and is its adjoint always), and sum |c|^2 = <u, u>.

    dense: transforms by (n, n) matrices, one product per axis, instead of SciPy's fast ones; differentiable. Tensors
    that are not on the CPU are transformed so in any case.
    Attributes: `shape`, of the unknowns and of the modes; `unknowns`, the slices that cut them from the grid's lattice;
    `weights` (*shape), the w; `eigenvalues` (*shape), those of -Laplace_h; `k2` (*shape), those of -Laplace with the
    same modes; all float64 on the CPU.
    Raises InputError on an axis of another kind than those above, and on a Dirichlet axis without inner nodes.
    """

    def __init__(self, grid: Grid, *, dense: bool = False) -> None:
        for axis in grid:
            _check(axis)
        self.grid = grid
        self.unknowns = tuple(slice(1, -1) if _kind(axis) == "uniform dirichlet" else slice(None) for axis in grid)
        self.shape = tuple(len(range(axis.n)[cut]) for axis, cut in zip(grid, self.unknowns, strict=True))
        self.weights = torch.ones((), dtype=torch.float64)
        self.eigenvalues = torch.zeros((), dtype=torch.float64)
        self.k2 = torch.zeros((), dtype=torch.float64)
        for axis in grid:
            self.weights = self.weights.unsqueeze(-1) * _weights(axis)
            self.eigenvalues = self.eigenvalues.unsqueeze(-1) + eigenvalues(axis)
            self.k2 = self.k2.unsqueeze(-1) + wavenumbers(axis).square()
        self._dense = dense
        self._matrices: dict[tuple[Axis, bool, torch.device, torch.dtype], Tensor] = {}

    def points(self) -> Tensor:
        """Coordinates of the unknowns (*shape, ndim), float64."""
        return self.grid.points()[self.unknowns]

    def embed(self, u: Tensor) -> Tensor:
        """Unknowns (..., *shape) -> values on the grid's lattice (..., *grid.shape), zero where they are prescribed."""
        self._check(u)
        out = u.new_zeros(*u.shape[: u.ndim - len(self.shape)], *self.grid.shape)
        out[(..., *self.unknowns)] = u
        return out

    def to_modes(self, u: Tensor) -> Tensor:
        """Values of the unknowns (..., *shape) -> coefficients (..., *shape), of u's dtype.

        Raises InputError on another shape, and on a dtype that is neither a single nor a double precision one.
        """
        return self._transform(u, inverse=False)

    def to_values(self, c: Tensor) -> Tensor:
        """Coefficients (..., *shape) -> values of the unknowns. Raises as `to_modes` does."""
        return self._transform(c, inverse=True)

    def _transform(self, u: Tensor, inverse: bool) -> Tensor:
        self._check(u)
        if self._dense or u.device.type != "cpu":
            for dim, axis in enumerate(self.grid, -self.grid.ndim):
                matrix = self._matrix(axis, inverse, u)
                u = (u.movedim(dim, -1) @ matrix.mT).movedim(-1, dim)
            return u
        values = u.detach().numpy()
        for dim, axis in enumerate(self.grid, -self.grid.ndim):
            values = _along(values, axis, dim, inverse)
        return torch.from_numpy(values)

    def _matrix(self, axis: Axis, inverse: bool, like: Tensor) -> Tensor:
        key = (axis, inverse, like.device, like.dtype)
        if key not in self._matrices:
            self._matrices[key] = torch.from_numpy(_dense(axis, inverse)).to(like)
        return self._matrices[key]

    def _check(self, u: Tensor) -> None:
        if u.shape[-len(self.shape) :] != self.shape:
            raise InputError(
                f"a tensor {tuple(u.shape)} on {self.grid}: wanted (..., {', '.join(map(str, self.shape))}), the "
                "unknowns alone. Cut them out with `unknowns`."
            )
        if u.dtype not in DTYPES:
            raise InputError(f"a trigonometric transform of {u.dtype}: wanted one of {', '.join(map(str, DTYPES))}")


def eigenvalues(axis: Axis) -> Tensor:
    """Those of -d^2/dx^2 by second differences, (unknowns,), float64: 4/h^2 sin^2(kappa h / 2)."""
    h = spacing(axis)
    return 4 / h**2 * torch.sin(wavenumbers(axis) * h / 2).square()


def wavenumbers(axis: Axis) -> Tensor:
    """kappa of each mode, (unknowns,), float64: pi k / length; on a circle 2 pi min(k, n - k) / length."""
    _check(axis)
    if axis.periodic:
        k = torch.arange(axis.n, dtype=torch.float64)
        return 2 * pi / axis.length * torch.minimum(k, axis.n - k)
    n = axis.n - 2 if _kind(axis) == "uniform dirichlet" else axis.n
    return pi / axis.length * (torch.arange(n, dtype=torch.float64) + (axis.bc == "dirichlet"))


def spacing(axis: Axis) -> float:
    """h between nodes that are equally spaced."""
    return axis.length / (axis.n - 1 if axis.nodes == "uniform" else axis.n)


def cosine_values(c: np.ndarray, grid: Grid) -> np.ndarray:
    """sum_k c_k prod_i cos(pi k_i (x_i - start_i) / length_i), 0 <= k_i < n_i, at every node of cell and uniform axes.

    c (..., *grid.shape) -> values of the same shape. The axes' boundary types do not matter: cosines are coefficients
    of equations as well as solutions. Raises InputError on other nodes.
    """
    for dim, axis in enumerate(grid, -grid.ndim):
        if axis.nodes not in ("cell", "uniform"):
            raise InputError(f"axis {axis.name!r} has {axis.nodes} nodes; a cosine series is for cell and uniform ones")
        # SciPy's sums count every term but the first (and, on uniform nodes, the last) twice
        once = np.full(axis.n, 0.5)
        once[[0, -1] if axis.nodes == "uniform" else 0] = 1
        c = scipy.fft.dct(c * once.reshape(-1, *(1,) * (-dim - 1)), 1 if axis.nodes == "uniform" else 3, axis=dim)
    return c


def _kind(axis: Axis) -> str:
    return f"{axis.nodes} {axis.bc}"


KINDS = ("periodic periodic", "uniform dirichlet", "uniform neumann", "cell dirichlet", "cell neumann")


def _check(axis: Axis) -> None:
    if _kind(axis) not in KINDS:
        raise InputError(
            f"axis {axis.name!r}: {axis.nodes} nodes with bc={axis.bc!r} have no trigonometric basis; wanted periodic, "
            "or uniform or cell nodes with bc='dirichlet' or 'neumann'"
        )
    if _kind(axis) == "uniform dirichlet" and axis.n < 3:
        raise InputError(f"axis {axis.name!r}: n={axis.n} uniform nodes with Dirichlet ends have no unknowns; n >= 3")


def _weights(axis: Axis) -> Tensor:
    if _kind(axis) == "uniform neumann":
        return axis.weights() / spacing(axis)
    return torch.ones_like(wavenumbers(axis))


def _along(u: np.ndarray, axis: Axis, dim: int, inverse: bool) -> np.ndarray:
    """The orthonormal transform along one negative dimension, real or complex, of single or double precision."""
    match _kind(axis):
        case "uniform dirichlet":  # its own inverse
            return scipy.fft.dst(u, 1, axis=dim, norm="ortho")
        case "cell dirichlet":
            return scipy.fft.dst(u, 3 if inverse else 2, axis=dim, norm="ortho")
        case "cell neumann":
            return scipy.fft.dct(u, 3 if inverse else 2, axis=dim, norm="ortho")
        case "uniform neumann":  # orthonormal without weights is the transform of sqrt(w) u
            roots = np.sqrt(_weights(axis).numpy()).astype(u.real.dtype).reshape(-1, *(1,) * (-dim - 1))
            return (
                scipy.fft.dct(u, 1, axis=dim, norm="ortho") / roots
                if inverse
                else scipy.fft.dct(u * roots, 1, axis=dim, norm="ortho")
            )
    if np.iscomplexobj(u):
        return _along(u.real, axis, dim, inverse) + 1j * _along(u.imag, axis, dim, inverse)
    c = scipy.fft.fft(u, axis=dim, norm="ortho")  # Hartley's, its own inverse
    return c.real - c.imag


@lru_cache(maxsize=16)
def _dense(axis: Axis, inverse: bool) -> np.ndarray:
    """The matrix (unknowns, unknowns) of `_along`."""
    return _along(np.eye(len(wavenumbers(axis))), axis, -2, inverse)
