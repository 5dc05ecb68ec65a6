"""DeepONet's training step (forward, backward, Adam) beside DeepXDE's, of equal widths and data, in turns in one
process.

    python experiments/bench/deeponet.py [--peer PATH] [PART OF A CASE'S NAME ...] [--threads 1] [--repeats 30]

--peer: a folder that holds the package deepxde (a checkout, or what `pip install --target` made), on its backend
pytorch; without, its side is skipped, and ratios are to our first row. float32. Data: functions times points, the same
points for all, the mean square as loss; physics: diffusion and reaction, s_t = 0.01 s_xx - 0.01 s^2 + u, its residual's
mean square as loss, theirs also by zero coordinate shift. Theirs are its classes as they come, `Model.train_step`.
Columns: parameters; milliseconds of a forward pass (of physics: of the loss) and of a step, by medians; ratios of
medians / minima / processor time, theirs over ours; the most bytes that torch holds in a step, weights, their gradients
and Adam's moments apart.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

sys.path.append(str(Path(__file__).resolve().parent / "fno"))
from beside import Contender, begun, parser, rows

from pdeops.grid import Axis, Grid
from pdeops.models.deeponet import DeepONet
from pdeops.nn import branch, trunk
from pdeops.nn.perceptron import Activation

Loss = Callable[[], Tensor]


class Case(NamedTuple):
    functions: int
    points: int  # along each axis
    axes: int
    sensors: int
    widths: tuple[int, ...]
    activation: Activation
    physics: bool = False

    def __str__(self) -> str:
        kind = "physics" if self.physics else "data"
        return f"{kind} {self.functions} x {self.points**self.axes} w{self.widths[0]}"

    @property
    def places(self) -> Grid:
        return Grid(Axis(name, self.points, nodes="uniform") for name in "xt"[: self.axes])


CASES = [
    Case(150, 100, 1, 100, (40, 40), "relu"),
    Case(1000, 100, 2, 100, (40, 40), "relu"),
    Case(1000, 100, 2, 50, (128, 128, 128), "tanh"),
    Case(50, 16, 2, 50, (128, 128, 128), "tanh", physics=True),
    Case(50, 63, 2, 50, (128, 128, 128), "tanh", physics=True),
]


def contender(model: nn.Module, loss: Loss, forward: Callable[[], Any] | None = None) -> Contender:
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    def short() -> None:
        (forward or loss)()

    return Contender(model, short, step)


def ours(case: Case, a: Tensor, u: Tensor) -> Contender:
    grid = Grid([Axis("x", case.sensors, nodes="uniform")])
    *hidden, features = case.widths
    model = DeepONet(
        *(1, 1, grid, case.places),
        branch=branch.Dense(hidden, case.activation),
        trunk=trunk.Dense(hidden, case.activation),
        features=features,
    )
    source, target = a.unsqueeze(1), u.view(len(a), 1, *case.places.shape)
    if case.physics:

        def residual() -> Tensor:
            s, st, sxx = model.derivatives(source, None, [(0, 0), (0, 1), (2, 0)])
            return (st - 0.01 * sxx + 0.01 * s.square() - target).square().mean()

        return contender(model, residual)
    out = case.places
    return contender(model, lambda: mse_loss(model(source, out), target), lambda: model(source, out))


def theirs(case: Case, a: Tensor, u: Tensor, shift: bool) -> Contender:
    import deepxde as dde

    x, y, v = a.numpy(), case.places.points().flatten(0, -2).numpy().astype(np.float32), u.numpy()
    net = dde.nn.DeepONetCartesianProd(
        [case.sensors, *case.widths], [case.axes, *case.widths], case.activation, "Glorot normal"
    )
    if not case.physics:
        data = dde.data.TripleCartesianProd((x, y), v, (x[:1], y), v[:1])
        model = dde.Model(data, net)
    else:

        def equation(places: Any, s: Any, source: Any) -> Any:
            if shift:
                slopes = dde.zcs.LazyGrad(places, s)
                st, sxx = slopes.compute((0, 1)), slopes.compute((2, 0))
            else:
                st = dde.grad.jacobian(s, places, j=1)
                sxx = dde.grad.hessian(s, places, i=0, j=0)
            return st - 0.01 * sxx + 0.01 * s**2 - source

        times = dde.geometry.TimeDomain(0, 1)
        domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), times)
        pde = dde.data.TimePDE(domain, equation, [], num_domain=len(y), train_distribution="uniform")
        parts = dde.zcs if shift else dde
        product = dde.zcs.PDEOperatorCartesianProd if shift else dde.data.PDEOperatorCartesianProd
        space, at = dde.data.GRF(length_scale=0.2), np.linspace(0, 1, case.sensors)[:, None]
        data = product(pde, space, at, case.functions, function_variables=[0], num_test=1)
        model = parts.Model(data, net)
    model.compile("adam", lr=1e-4, verbose=0)
    inputs, targets, *more = data.train_next_batch()
    step = partial(model.train_step, inputs, targets, *(more or [None]))
    if case.physics:
        return Contender(net, lambda: model.outputs_losses_train(inputs, targets, *more), step)
    tensors = tuple(map(torch.as_tensor, inputs))
    return Contender(net, lambda: net(tensors), step)


def measure(case: Case, options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    a, u = torch.randn(case.functions, case.sensors), torch.randn(case.functions, case.points**case.axes)
    every: dict[str, Contender] = {}
    if options.peer and case.physics:
        every["DeepXDE, zero coordinate shift"] = theirs(case, a, u, True)
    if options.peer and not (case.physics and case.points > 20):  # function by function, it takes seconds and GiB there
        every["DeepXDE"] = theirs(case, a, u, False)
    every["**ours**"] = ours(case, a, u)
    rows(case, every, options.repeats)


def main() -> None:
    options = parser(__doc__, CASES, 30).parse_args()
    if options.peer:
        os.environ["DDE_BACKEND"] = "pytorch"
        sys.path.append(options.peer)
    skipped = "DeepXDE's side is skipped, and ratios are to our first row"
    columns = "forward, ms", "step, ms", "forward x", "step x", "MiB"
    for case in begun(options, CASES, skipped, *columns):
        measure(case, options)


if __name__ == "__main__":
    main()
