"""neuraloperator's FNO, TFNO and UNO as baselines, behind our calling convention."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, Literal, get_args

from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.on_grids import check_input

Architecture = Literal["fno", "tfno", "uno"]


class NeuralOp(nn.Module):
    """A model of the neuraloperator library, with its defaults where nothing is said here.

    architecture: "fno"; "tfno", its spectral weights in Tucker form at `rank` of the dense parameters; "uno",
    U-shaped, `depth` blocks of the given width and modes, the inner ones at half resolution.
    It maps a grid to itself: another `out` grid, and points, are refused.
    Its parameters are complex; fused optimisers refuse them. Source: github.com/neuraloperator, release 2.0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        architecture: Architecture = "fno",
        width: int = 32,
        modes: int | Sequence[int] = 16,
        depth: int = 4,
        rank: float = 0.42,
    ) -> None:
        super().__init__()
        d = grid_in.ndim
        if grid_in.shape != grid_out.shape:
            raise InputError(
                f"neuraloperator's models map a grid to itself; got {grid_in} in and {grid_out} out. "
                "Use data.window.history=channel, or model=fno."
            )
        if architecture not in get_args(Architecture):
            raise InputError(f"model.architecture={architecture!r}; wanted one of {get_args(Architecture)}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.grid_in, self.grid_out = grid_in, grid_out
        self.architecture, self.width, self.depth, self.rank = architecture, width, depth, rank
        self.modes = (modes,) * d if isinstance(modes, int) else tuple(modes)
        if len(self.modes) != d:
            raise InputError(
                f"model.modes={list(self.modes)}; wanted one number or {d}, one for each of {grid_in.names}"
            )
        self.net = self._build()
        self.register_state_dict_post_hook(_drop_metadata)

    def _build(self) -> nn.Module:
        from neuralop import models  # seconds to import: only when one is built

        channels = {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "hidden_channels": self.width,
        }
        if self.architecture == "uno":
            with redirect_stdout(StringIO()):  # its constructor prints
                return models.UNO(
                    **channels,
                    channel_mlp_skip="linear",  # its default needs equal widths, which its long skips forbid
                    n_layers=self.depth,
                    uno_out_channels=[self.width] * self.depth,
                    uno_n_modes=[list(self.modes)] * self.depth,
                    uno_scalings=[[s] * len(self.modes) for s in _u_shape(self.depth)],
                )
        if self.architecture == "tfno":
            return models.TFNO(n_modes=self.modes, n_layers=self.depth, rank=self.rank, **channels)
        return models.FNO(n_modes=self.modes, n_layers=self.depth, **channels)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid) -> (B, out_channels, *grid)."""
        if out is not None and (not isinstance(out, Grid) or out.shape != tuple(a.shape[2:])):
            raise InputError("neuraloperator's models return the grid of their input; `out` must be left out")
        check_input(self, a)
        return self.net(a)


def _u_shape(depth: int) -> list[float]:
    """Down by two in the second block, up again in the last."""
    return [1.0] * depth if depth < 3 else [1.0, 0.5, *[1.0] * (depth - 3), 2.0]


def _drop_metadata(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: dict[str, Any]) -> None:
    """The library writes its constructor arguments into the state dict, where only tensors belong."""
    state.pop("_metadata", None)  # written without a prefix, wherever the model is nested
