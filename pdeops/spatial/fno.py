"""A Fourier neural operator of fields that are dealt over several processes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.models.fno import FNO, padded
from pdeops.nn.coordinates import coordinates
from pdeops.nn.distributed import share
from pdeops.nn.distributed_conv import DistributedSpectralConv
from pdeops.nn.distributed_norm import DistributedGroupNorm
from pdeops.nn.on_grids import check_input, nodes_wanted


class DistributedFNO(nn.Module):
    """An `FNO` on fields whose first axis is dealt over a mesh of P processes (`nn.distributed.share`):
    (B, in_channels, n_p, *n) -> (B, out_channels, n_p, *n), each process with its nodes, as one process computes them.

    Spectral convolutions send coefficients (`DistributedSpectralConv`), norms three numbers a group, all else acts on
    every node alike. What pads the first axis is the last process'. Spectral weights are dealt by modes, all others
    are the same in all processes: after a backward pass `reduce_gradients` adds up what each found for its nodes.

    fno: the operator that is dealt, the same in all processes; its weights are read, not changed. It answers on the
    lattice of its input. Raises InputError on one that does not, on weights that are not dense, and where a process
    would have no nodes or no modes.
    """

    def __init__(self, fno: FNO, mesh: DeviceMesh) -> None:
        super().__init__()
        if nodes_wanted(fno, fno.grid_in.shape, None) != fno.grid_in.shape:
            raise InputError(
                f"a distributed FNO answers on the lattice of its input; this one maps {fno.grid_in.shape} nodes to "
                f"{fno.grid_out.shape}"
            )
        share(fno.grid_in[0].n, mesh)
        self.mesh, self.description = mesh, to_config(fno)
        self.part = deepcopy(fno)
        block: Any
        for block in self.part.blocks:
            block.spectral = DistributedSpectralConv(block.spectral, mesh)
            block.norms = nn.ModuleList(DistributedGroupNorm(norm, mesh) for norm in block.norms)

    def forward(self, a: Tensor, n: int | None = None) -> Tensor:
        """a: this process' share of a field of n nodes along the first axis; None: as many as the grid's."""
        fno = self.part
        lattice = (fno.grid_in[0].n if n is None else n, *a.shape[3:])
        check_input(fno, a, lattice)
        own = share(lattice[0], self.mesh)
        if a.shape[2] != own.stop - own.start:
            raise InputError(
                f"an input of {a.shape[2]} nodes along {fno.grid_in[0].name!r}; of {lattice[0]} this process, number "
                f"{self.mesh.get_local_rank()} of {self.mesh.size()}, has {own.start} to {own.stop - 1}"
            )
        v = a
        if fno.coordinates:
            x = coordinates(fno.grid_in, lattice, a, own)
            v = torch.cat([a, x.expand(a.shape[0], *x.shape)], dim=1)
        first, *others = fno.extra(lattice)
        here = slice(own.start, own.stop + first if own.stop == lattice[0] else own.stop)
        v = padded(fno.run(fno.lifting, v.movedim(1, -1)), [here.stop - own.stop, *others])
        for block in fno.blocks:
            v = fno.run(partial(_through, block, here, lattice[0] + first), v)
        for dim, size in enumerate(a.shape[2:], start=1):
            if size < v.shape[dim]:
                v = v.narrow(dim, 0, size)
        return fno.run(fno.projection, v).movedim(-1, 1)

    def reduce_gradients(self, others: DeviceMesh | None = None) -> None:
        """After a backward pass, in all processes: sum the gradients of those weights that all have; with `others`, the
        processes that have the same nodes of other samples, then take the mean of all gradients over these."""
        dealt = {conv.weight.tensor for conv in self._convolutions()}
        found = [(p in dealt, p.grad) for p in self.parameters() if p.grad is not None]
        _sum([grad for here, grad in found if not here], self.mesh)
        if others is not None:
            _sum([grad for _, grad in found], others, 1 / others.size())

    def whole(self) -> FNO:
        """An ordinary FNO of these weights, in every process; all take part."""
        state = self.part.state_dict()
        for name, conv in self.part.named_modules():
            if isinstance(conv, DistributedSpectralConv):
                state[f"{name}.weight.tensor"] = conv.whole_weight()
        fno: FNO = from_config(self.description)
        fno.load_state_dict(state, assign=True)
        return deepcopy(fno)

    def _convolutions(self) -> list[DistributedSpectralConv]:
        return [module for module in self.part.modules() if isinstance(module, DistributedSpectralConv)]


def _through(block: Any, here: slice, n: int, v: Tensor) -> Tensor:
    return block.after(partial(block.spectral, v, here, n), v)


def _sum(tensors: Sequence[Tensor], mesh: DeviceMesh, factor: float = 1.0) -> None:
    """Over all processes, times a factor, in place, in one message."""
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat, group=mesh.get_group())
    for t, total in zip(tensors, flat.mul_(factor).split([t.numel() for t in tensors]), strict=True):
        t.copy_(total.view_as(t))
