"""The space that GCRO-DR hands from one system to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.krylov.system import System


class RecycleSpace:
    """Approximate eigenvectors of A M that outlive a system. Hand one object to a sequence of solves.

    U: the space, rows (k, n) in the variable t of x = x0 + M t, or None; systems: how many solves have left theirs;
    applications: products with A spent on images of U so far, the price of recycling; dropped: directions that the
    last solve left out as singular. After a change of problem, call `reset`.
    """

    def __init__(self, U: Tensor | None = None) -> None:
        self.reset(U)

    @property
    def dimension(self) -> int:
        return 0 if self.U is None else len(self.U)

    def reset(self, U: Tensor | None = None) -> None:
        """As new: without a space, or with the rows of U."""
        self.U = U
        self._images: Tensor | None = None
        self._owner: tuple[Any, Any] = (None, None)
        self.systems = self.applications = self.dropped = 0

    def save(self, path: str | Path) -> None:
        """The space alone, as an .npy file."""
        if self.U is None:
            raise InputError("this RecycleSpace is empty; solve a system with it before saving")
        np.save(Path(path), self.U.numpy(force=True), allow_pickle=False)

    @classmethod
    def load(cls, path: str | Path) -> RecycleSpace:
        return cls(torch.from_numpy(np.load(Path(path), allow_pickle=False)))

    def carried(self, system: System, most: int) -> tuple[Tensor, Tensor]:
        """U and its images A M U, at most `most` rows each. The images cost a product a row, or a single one, that
        checks them, if A and M are the objects of the last solve and still the same operators."""
        if self.U is None or most == 0:
            empty = system.b.new_empty((0, system.n))
            return empty, empty
        if self.U.shape[1] != system.n or (self.U.is_complex() and not system.b.is_complex()):
            raise InputError(
                f"the RecycleSpace is of vectors of {self.U.shape[1]} entries of {self.U.dtype}, the system of "
                f"{system.n} of {system.b.dtype}. Call its reset(), or use one for each kind of system"
            )
        U, spent = self.U[:most].to(system.b), system.applications
        images = None
        if self._images is not None and self._owner[0] is system.A and self._owner[1] is system.M:
            images = self._images[:most].to(system.b)
            # of a combination that no change of A is likely to be blind to
            mix = torch.from_numpy(np.random.default_rng(len(U)).standard_normal((1, len(U)))).to(U)
            image = system.products(mix @ U)[0]
            error = torch.linalg.vector_norm(image - (mix @ images)[0])
            if not error <= system.eps**0.75 * torch.linalg.vector_norm(image):  # changed in place
                images = None
        if images is None:
            images = system.products(U)
        self.applications += system.applications - spent
        return U, images

    def keep(
        self, system: System, U: Tensor, images: Tensor, dropped: int, *, most: int, solution: list[Tensor]
    ) -> None:
        """What a solve leaves; nothing if its space is empty or not finite.

        U, images: rows in the order of their worth, images orthogonal in the system's inner product. solution: those
        of all attempts; a single one from x = 0 takes the place of the last of `most` rows, as its image b - r is
        known, and as it starts a next system with a like right-hand side where this one ended.
        """
        self.systems, self.dropped = self.systems + 1, dropped
        if system.x0 is None and len(solution) == 1 and system.rest is not None and most > 1:
            t, image = solution[0], system.b - system.rest
            rows, C = U[: most - 1], images[: most - 1]
            for _ in range(2):
                squares = torch.stack([system.dots(c[None], c)[0] for c in C]) if len(C) else C[:, 0]
                c = system.dots(C, image) / squares
                t, image = t - c @ rows, image - c @ C
            if system.norm(image) > system.eps**0.5 * system.size:
                U, images = torch.cat([rows, t[None]]), torch.cat([C, image[None]])
        if len(U) and U.isfinite().all():
            self.U, self._images, self._owner = U, images, (system.A, system.M)


def check_recycle(recycle: Any) -> None:
    """Raises InputError on anything but a RecycleSpace or None."""
    if not isinstance(recycle, RecycleSpace | None):
        raise InputError(f"recycle={recycle!r}: wanted a RecycleSpace(), one for all solves of a sequence, or None")
