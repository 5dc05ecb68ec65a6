"""torch-cfd's SFNO, with its weights: the published network as it was trained, to run, compare with and refine.

Its spectral convolutions are ours with the weights in another order (`spectral_weight`); what else it does and `SFNO`
does not stands in `_TorchCFD`. Sizes are read from the weights; what they do not tell must be given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from pdeops.bases.tables import Fourier
from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.pointwise import GroupNorm, Pointwise
from pdeops.nn.spectral_conv import SpectralConv

Activation = Literal["relu", "gelu"]


def from_torch_cfd(
    state: Mapping[str, Tensor],
    grid_in: Grid,
    grid_out: Grid,
    *,
    latent_steps: int = 10,
    activation: Activation = "relu",
    beta: float = -1e-2,
    delta: float = 0.1,
) -> nn.Module:
    """The network of torch-cfd's `SFNO.state_dict()`, for one channel: a (B, 1, n_in, x, y) -> (B, 1, n_out, x, y).

    latent_steps, activation, beta, delta: as they were when it was built. Their output layer's bias counts less on
    finer grids; here it is the function that it is on `grid_in`. Raises InputError on what is no such state.
    """
    try:
        mx, my, mt = state["output_operator.conv.weight.0"].shape[2:5]
        hidden, width = state["lifting_operator.mlp.linear1.weight"].shape[:2]
        model = _TorchCFD(
            *(1, 1, grid_in, grid_out),
            width=width,
            hidden=hidden,
            modes=(mx, my, mt),
            depth=1 + sum(key.startswith("w.") and key.endswith(".weight") for key in state),
            latent_steps=latent_steps,
            activation=activation,
            beta=beta,
        )
        names = _names(model)
        model.load_state_dict({name: _converted(state, name, key, model, delta) for name, key in names.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"these are no weights of torch-cfd's scalar SFNO: {error}") from error
    foreign = sorted(key for key in state if not key.startswith(tuple(names.values())))
    if foreign:
        raise InputError(f"parts that this network has not: {foreign}")
    return model


class _TorchCFD(nn.Module):
    """Inputs plus an encoding of positions, normalised over all channels and nodes of a sample; a linear map p;

        v_0 = act(p(last frame) + M_0 S_0 p),   v_l = act(M_l S_l v_(l-1) + W_l v_(l-1)),
        u = w + the last n_out steps of S_out(zeros, w, Q v),   w the last input frame,

    M perceptrons, S spectral convolutions; a result on m time steps of a field on n is n / m of its series, as by
    unnormalised transforms. modes: per sign, of x, y and time; coordinates reach both ends of [0, 1].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int,
        hidden: int,
        modes: Sequence[int],
        depth: int,
        latent_steps: int,
        activation: Activation,
        beta: float,
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            raise InputError(f"activation={activation!r}; wanted one of {get_args(Activation)}")
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.width, self.hidden, self.modes, self.depth = width, hidden, tuple(modes), depth
        self.latent_steps, self.activation, self.beta = latent_steps, activation, beta
        mx, my, mt = modes
        kept = 2 * mt - 1, 2 * mx + 1, 2 * my + 1

        def conv(channels: int, bias: bool = False) -> SpectralConv:
            bases = [Fourier(False), Fourier(False), Fourier(True)]
            return SpectralConv(channels, channels, kept, bases=bases, bias=bias)

        self.act = nn.ReLU() if activation == "relu" else nn.GELU()
        self.norm, self.proj = GroupNorm(1, width, eps=1e-7), Pointwise(width, width)
        self.sconv = nn.ModuleList(conv(width) for _ in range(depth))
        self.mlp = nn.ModuleList(
            nn.Sequential(Pointwise(width, hidden), self.act, Pointwise(hidden, width)) for _ in range(depth)
        )
        self.w = nn.ModuleList(Pointwise(width, width) for _ in range(depth - 1))
        self.reduction, self.output = Pointwise(width, 1), conv(1, bias=True)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, 1, n_in, x, y) -> (B, 1, n_out, x, y)."""
        if out is not None:
            raise InputError("torch-cfd's SFNO returns its own number of frames on the input's nodes; leave `out` out")
        v, (n_in, *space), n_out = a.movedim(1, -1), a.shape[2:], self.grid_out.shape[0]
        last, steps = v[:, -1:], self.latent_steps
        v = v + _encoding((self.width, self.beta), (n_in, *space), v.dtype, v.device)
        v = self.proj(self.norm(v))
        lifted = self.mlp[0](n_in / steps * self.sconv[0](v, (steps, *space)))
        v = self.act(v[:, -1:] + lifted)
        for conv, mlp, skip in zip(self.sconv[1:], self.mlp[1:], self.w, strict=True):
            v = self.act(mlp(conv(v, v.shape[1:-1])) + skip(v))
        v = torch.cat([last.expand(-1, steps + 1, -1, -1, -1) * 0, last, self.reduction(v)], 1)
        longer = n_out + steps + 2
        g = v.shape[1] / longer * self.output(v, (longer, *space))
        return (last + g[:, -n_out:]).movedim(-1, 1)


def spectral_weight(blocks: Sequence[Tensor]) -> Tensor:
    """Their four weights (..., mx, my, mt, 2) of the signs (+,+), (-,+), (+,-), (-,-) of (kx, ky), kt >= 0, as one
    complex tensor (..., 2 mt - 1, 2 mx + 1, my + 1) over kt, kx in order and ky >= 0.

    Of a real field's modes theirs with kt < 0, ours with ky < 0 are conjugates of others. Of what they keep at kt = 0
    the real part of a sum counts, (R(k) + conj R(-k)) / 2. They keep -m .. m - 1 of x and y, so that +m is zero.
    """
    first = torch.view_as_complex(blocks[0].contiguous())
    *rest, mx, my, mt = first.shape
    full = first.new_zeros(*rest, 2 * mx + 1, 2 * my + 1, mt)
    for i, block in enumerate(blocks):
        x, y = (slice(0, m) if negative else slice(m, 2 * m) for m, negative in ((mx, i % 2), (my, i // 2)))
        full[..., x, y, :] = torch.view_as_complex(block.contiguous())
    mirrored = full.flip(-3, -2).conj()
    planes = [mirrored[..., 1:].flip(-1), (full[..., :1] + mirrored[..., :1]) / 2, full[..., 1:]]
    return torch.cat(planes, -1)[..., my:, :].movedim(-1, -3)


def _names(model: _TorchCFD) -> dict[str, str]:
    """Their name of each of our parameters; of spectral ones what it is without the number of the signs."""
    parts = {part: f"lifting_operator.{part}" for part in ("norm", "proj")} | {"reduction": "reduction"}
    parts |= {"sconv.0": "lifting_operator.sconv", "mlp.0": "lifting_operator.mlp", "output": "output_operator.conv"}
    for l in range(1, model.depth):
        parts |= {f"sconv.{l}": f"spectral_conv.{l - 1}", f"mlp.{l}": f"mlp.{l - 1}", f"w.{l - 1}": f"w.{l - 1}"}
    leaves = {"weight.tensor": "weight", "0": "linear1", "2": "linear2"}
    found = {}
    for name in model.state_dict():
        ours = next(part for part in parts if name.startswith(f"{part}."))
        leaf = name.removeprefix(f"{ours}.")
        for old, new in leaves.items():
            leaf = leaf.replace(old, new)
        found[name] = f"{parts[ours]}.{leaf}"
    return found


def _converted(state: Mapping[str, Tensor], name: str, key: str, model: _TorchCFD, delta: float) -> Tensor:
    if not name.startswith(("sconv", "output")):
        return state[key].reshape(model.get_parameter(name).shape)
    r = spectral_weight([state[f"{key}.{i}"] for i in range(4)])
    if name == "output.bias":
        nodes = 2 * (model.latent_steps + 1) * model.grid_in.space.shape[0] * model.grid_in.space.shape[1]
        return delta / nodes * torch.stack([r.real, r.imag]).unsqueeze(-1)
    return torch.cat([r.real, r.imag], dim=1).movedim((0, 1), (-2, -1)).contiguous()


@constant
def _encoding(what: tuple[int, float], n: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(*n, width): x, y, t, and exp(beta t) sin or cos(pi k t), k = 1 .. width - 3; t in hundredths, from 0.01 on."""
    width, beta = what
    t, *xy = [torch.arange(1, n[0] + 1) / 100, *(torch.linspace(0, 1, m) for m in n[1:])]
    waves = [torch.exp(beta * t) * (torch.cos if k % 2 == 0 else torch.sin)(pi * k * t) for k in range(1, width - 2)]
    t_lines: list[Any] = [line.view(-1, 1, 1).expand(n) for line in (t, *waves)]
    x, y = (u.expand(n) for u in (xy[0].view(-1, 1), xy[1]))
    return torch.stack([x, y, *t_lines], -1).to(device, dtype)
