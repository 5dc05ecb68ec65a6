"""The spectral convolution of a field that is dealt over several processes: for fields too large for one device."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard

from pdeops.bases.tables import analysis, synthesis
from pdeops.errors import InputError
from pdeops.nn import tables
from pdeops.nn.distributed import share
from pdeops.nn.mixing import Dense
from pdeops.nn.spectral_conv import SpectralConv

MODES = 2  # the dimension of the first axis' modes in coefficients (B, parts, *modes, C)


class DistributedSpectralConv(nn.Module):
    """`SpectralConv` on fields whose first axis is dealt over a mesh of P processes, and weights whose first axis of
    modes is: (B, n_p, *n, C) -> (B, n_p, *n, C_out), each process with its nodes, as `torch.chunk` deals them.

    Other axes are transformed where they are. Along the first, every process sums over its own nodes; of the sums over
    processes each gets its share of the modes (a reduce-scatter), mixes their channels, gathers those of the others,
    and evaluates them at its nodes. What is sent is coefficients, B k_1 .. k_d C numbers (complex ones as two) from and
    to each process twice, whatever the number of nodes.

    conv: the convolution that is dealt, the same in all processes; its weights are read, not changed. The gradient of a
    sum over all nodes is, in each process, its share of the gradient of the whole. Source: the truncated transform as a
    product of matrices (`nn.spectral_conv`). Raises InputError on weights that are not dense, a bias, a mesh of several
    axes, modes that leave a process without any, lattices that do not hold all of them, and fields that do not have
    the nodes.
    """

    def __init__(self, conv: SpectralConv, mesh: DeviceMesh) -> None:
        super().__init__()
        if not isinstance(conv.weight, Dense) or conv.bias is not None:
            raise InputError(
                "a distributed spectral convolution has dense weights, a matrix for each mode, and no bias"
            )
        self.mesh, self.transform, self.stored = mesh, conv.transform, conv.stored
        try:
            self.modes = share(self.stored[0], mesh)
        except InputError as error:
            raise InputError(f"modes along the first axis: {error}; take more modes, or fewer processes") from error
        weight = conv.weight.tensor.detach()
        self.weight = Dense((0,), 0.0)
        self.weight.tensor = nn.Parameter(weight[self.modes].clone())

    def forward(self, v: Tensor, nodes: slice, n: int, onto: Tensor | None = None) -> Tensor:
        """v: (B, n_p, *n, C), those `nodes` of the n along the first axis that this process has; onto: a field of the
        same nodes that the result is added to."""
        batch, own, *rest, channels = v.shape
        lattice, t = (n, *rest), self.transform
        if own != nodes.stop - nodes.start:
            raise InputError(f"a share of {own} nodes, which should be {nodes.start} to {nodes.stop - 1} of {n}")
        for basis, k, size in zip(t.bases, self.stored, lattice, strict=True):
            if basis.resolved(size) < k:
                raise InputError(f"{lattice} nodes do not hold {self.stored} coefficients: take fewer modes")
        z = v
        for i in reversed(range(1, len(lattice))):
            z = t.analyse_axis(z, i, batch * own * prod(rest[: i - 1]), lattice[i], self.stored[i])
        table = analysis((t.bases[0], t.roles[0]), (n, self.stored[0]), v.dtype, v.device)
        table = table[:, _entries(nodes, table.shape[1] // n)]
        z = tables.apply(table.contiguous(), z.reshape(batch, table.shape[1], -1))
        z = z.view(batch, t.parts, *self.stored, channels)
        z = self.weight(_sent(z, self.mesh, Partial(), Shard(MODES)), (0,) * len(lattice))
        z = _gathered(z, self.mesh, MODES, self.stored[0])
        sizes = n, self.stored[0], n, self.stored[0]
        table = synthesis((t.bases[0], t.roles[0]), sizes, v.dtype, v.device)
        table = table[_entries(nodes, table.shape[0] // n)]
        alone = onto is not None and not rest
        y = tables.apply(table.contiguous(), z.reshape(batch, table.shape[1], -1), onto if alone else None)
        for i in range(1, len(lattice)):
            k, size = self.stored[i], lattice[i]
            last = onto if i == len(rest) else None
            y = t.synthesise_axis(y, i, batch * own * prod(rest[: i - 1]), (size, k, size, k), last)
        return y.view(batch, own, *rest, -1)

    def whole_weight(self) -> Tensor:
        """Of all modes; all processes take part."""
        return _gathered(self.weight.tensor.detach(), self.mesh, 0, self.stored[0])


def _entries(nodes: slice, each: int) -> slice:
    """Of a table those of the nodes, of which each has so many (a real and an imaginary part, say)."""
    return slice(nodes.start * each, nodes.stop * each)


def _sent(z: Tensor, mesh: DeviceMesh, what: Placement, to: Placement) -> Tensor:
    return DTensor.from_local(z, mesh, [what], run_check=False).redistribute(placements=[to]).to_local()


def _gathered(z: Tensor, mesh: DeviceMesh, dim: int, modes: int) -> Tensor:
    """The modes of all processes; backwards each gets the sum of what all have for its own."""
    shape = torch.Size((*z.shape[:dim], modes, *z.shape[dim + 1 :]))
    stride = tuple(prod(shape[i + 1 :]) for i in range(len(shape)))
    whole = DTensor.from_local(z.contiguous(), mesh, [Shard(dim)], run_check=False, shape=shape, stride=stride)
    return whole.redistribute(placements=[Replicate()]).to_local(grad_placements=[Partial()])
