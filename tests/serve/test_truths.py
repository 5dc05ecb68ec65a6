"""Samples, inputs and truths are the problem's own, wherever they are asked for."""

import asyncio
import threading
import time

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.metrics.spectral import shell_spectrum
from pdeops.norms import Lp, relative_error
from pdeops.problems.diffusion_reaction import DiffusionReaction
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.poisson import Poisson
from pdeops.serve.bodies import JSON
from pdeops.serve.comparison import comparison
from pdeops.serve.refusals import Refusal
from pdeops.serve.solving import Solving
from pdeops.serve.truths import Truths
from pdeops.solvers.transforms import Transforms
from pdeops.window import Window
from tests.serve.conftest import array, error, service, surrogate


def test_frames_are_those_of_the_whole_trajectory():
    problem = NavierStokes2D(n=12, frames=8, horizon=2.0)
    whole = problem.solve(problem.sample([0], 3)).u
    for window in (Window(n_in=2), Window(n_in=3, stride=2), Window(n_in=2, n_out=3, history="time")):
        truths = Truths(surrogate(problem, window))
        a = truths.input(3, None)
        chosen = whole[:, :, :: window.stride]
        assert a.shape[1:] == (truths.window.in_channels, *truths.window.grid_in.shape)
        torch.testing.assert_close(truths.window.history_frames(a), chosen[:, :, : window.n_in], atol=1e-5, rtol=0)
        u = truths.solve(3, None, 2)
        torch.testing.assert_close(u, chosen[:, :, window.n_in : window.n_in + 2].movedim(2, 0), atol=1e-5, rtol=0)


def test_frames_go_on_beyond_the_problem_s_horizon():
    short, long = (NavierStokes2D(n=12, frames=f, horizon=f / 4) for f in (4, 12))
    u = Truths(surrogate(short, Window(n_in=2))).solve(0, None, 10)
    v = Truths(surrogate(long, Window(n_in=2))).solve(0, None, 10)
    torch.testing.assert_close(u, v, atol=1e-5, rtol=0)
    torch.testing.assert_close(v[:, 0].movedim(0, 1), long.solve(long.sample([0], 0)).u[0][:, 2:12], atol=1e-5, rtol=0)


def test_a_late_start_and_static_fields():
    late = NavierStokes2D(n=12, frames=4, start=1.0, horizon=2.0)
    whole = late.solve(late.sample([0], 0)).u
    truths = Truths(surrogate(late, Window(n_in=1)))
    torch.testing.assert_close(truths.input(0, None), whole[:, :, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(truths.solve(0, None, 2), whole[:, :, 1:3].movedim(2, 0), atol=1e-5, rtol=0)
    problem = DiffusionReaction(n=12, frames=4)
    truths = Truths(surrogate(problem, Window(n_in=1), inputs=problem.given))
    a = truths.input(0, None)
    torch.testing.assert_close(a[:, 1:], problem.sample([0], 0)[:, 1:])
    assert a[:, :1].count_nonzero() == 0


def test_drawn_fields_are_solved_as_they_are():
    problem = NavierStokes2D(n=12, frames=4, horizon=1.0)
    truths = Truths(surrogate(problem, Window(n_in=1)))
    fields = truths.sample(0)
    assert torch.equal(fields, problem.stored(problem.sample([0], 0)))
    fields[0, 0, 3:6, 4:7] += 2.0
    basis = problem.basis(problem.grid.space)
    admissible = basis.to_values(problem.admissible(basis, basis.to_modes(fields)))
    torch.testing.assert_close(truths.input(0, fields.numpy()), admissible)
    u = problem.solve(fields).u
    torch.testing.assert_close(truths.solve(0, fields.numpy(), 3), u[:, :, 1:4].movedim(2, 0), atol=1e-5, rtol=0)
    with pytest.raises(InputError, match=r"wanted \(1, 1, 12, 12\)"):
        truths.solve(0, fields.numpy()[..., 1:], 3)


def test_a_finer_lattice_of_the_solver():
    """What was not touched is the sample itself; what was drawn is interpolated."""
    problem = Poisson(n=9, resolution=33, solver=Transforms())
    truths = Truths(surrogate(problem, inputs=("source",)))
    a = problem.sample([0], 0)
    fields = truths.sample(0)
    assert fields.shape[2:] == (9, 9)
    exact = problem.solve(a).u
    assert torch.equal(truths.solve(0, fields.float().numpy(), 1), exact)
    torch.testing.assert_close(truths.input(0, None), fields)
    fields[0, 0, :4] = 5.0
    posed = truths._posed(0, fields.numpy())
    assert torch.equal(posed[0, 0, :13], torch.full((13, 33), 5.0, dtype=torch.float64))
    assert torch.equal(posed[0, 0, 15:], a[0, 0, 15:])
    assert not torch.equal(truths.solve(0, fields.numpy(), 1), exact)


def test_endpoints(served):
    problem = served[0].surrogate.problem

    async def main():
        async with service(served) as client:
            fields = array(await client.ask("flow", "sample", seed=5))
            np.testing.assert_array_equal(fields, problem.sample([0], 5).numpy())
            a = array(await client.ask("flow", "input", fields, seed=5))
            np.testing.assert_allclose(a, array(await client.ask("flow", "input", seed=5)), atol=1e-6)
            answer = await client.ask("flow", "solve", fields, seed=5, steps=3)
            assert "solver;dur=" in answer.headers["server-timing"]
            u = array(answer)
            assert u.shape == (3, 1, 1, 12, 12)
            pair = np.stack([1.01 * u, u])
            found = (await client.ask("flow", "compare", pair, accept=JSON)).json()
            np.testing.assert_allclose(found["relative_l2"], np.full((3, 1, 1), 0.01), rtol=1e-6)
            body = {"seed": 1, "input": array(await client.ask("poisson", "sample", seed=1)).tolist()}
            answer = await client.post("/v1/surrogates/poisson/solve", json=body)
            poisson = served[2].surrogate.problem
            np.testing.assert_allclose(answer.json()["output"], poisson.solve(poisson.sample([0], 1)).u, atol=1e-12)
            for what in ("sample", "input", "solve"):
                assert "knows no equation" in error(await client.ask("arrays", what), 422, "bad_input")
            for seed in ("-1", "4294967296", "x"):
                error(await client.ask("flow", "sample", seed=seed), 422, "bad_option")
            error(await client.ask("flow", "compare"), 422, "bad_input")
            error(await client.ask("flow", "compare", u), 422, "bad_input")
            error(await client.ask("flow", "compare", pair[..., 1:]), 422, "bad_input")
            error(await client.ask("flow", "compare", np.nan * pair), 422, "bad_input")
            error(await client.ask("flow", "solve", fields[..., 1:]), 422, "bad_input")
            error(await client.ask("flow", "solve", np.inf * fields), 422, "bad_input")
        async with service(served, max_mb=0.05) as client:
            error(await client.ask("flow", "solve", seed=5, steps=1000), 413, "too_large")

    asyncio.run(main())


@pytest.mark.parametrize("which", [0, 1, 2])
def test_comparison(served, which):
    space = served[which].surrogate.window.grid_out.space
    u, v = torch.randn(2, 4, 2, *space.shape, dtype=torch.float64)
    found = comparison(torch.stack([u, v]).numpy(), space)
    torch.testing.assert_close(torch.tensor(found["relative_l2"], dtype=u.dtype), relative_error(u, v, Lp(space)))
    for name, x in (("prediction", u), ("truth", v)):
        spectrum = torch.tensor(found[name], dtype=u.dtype)
        torch.testing.assert_close(spectrum, shell_spectrum(x, space)[..., 1 : spectrum.shape[-1] + 1])
    assert len(found["wavenumbers"]) == spectrum.shape[-1] == space.shape[0] // 2
    assert found["wavenumbers"][1] == pytest.approx(4 * np.pi / space[0].length)


def test_a_truth_that_nobody_waits_for_is_given_up():
    async def main():
        solving, told, ended = Solving(30.0), threading.Event(), []

        def work(progress):
            try:
                for _ in range(2000):
                    time.sleep(0.005)
                    told.set()
                    progress(0.1)
            finally:
                ended.append(time.perf_counter())

        asked = asyncio.ensure_future(solving.solve(work))
        while not told.is_set():
            await asyncio.sleep(0.001)
        asked.cancel()
        u, seconds = await asyncio.wait_for(solving.solve(lambda progress: 3), 5)
        assert (u, len(ended)) == (3, 1)
        assert seconds < 1
        solving.stop()

    asyncio.run(main())


def test_a_truth_has_its_time_and_few_wait():
    async def main():
        solving, go = Solving(0.1), threading.Event()

        def work(progress):
            while True:
                time.sleep(0.005)
                progress(0.1)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(solving.solve(work), 5)
        held = [asyncio.ensure_future(solving.solve(lambda progress: go.wait(10))) for _ in range(5)]
        await asyncio.sleep(0.02)
        with pytest.raises(Refusal, match="busy"):
            await solving.solve(lambda progress: 1)
        go.set()
        await asyncio.gather(*held)
        await asyncio.sleep(0.02)
        assert (await solving.solve(lambda progress: 1))[0] == 1
        solving.stop()

    asyncio.run(main())


def test_a_solver_out_of_time_is_a_504(served):
    problem = served[0].surrogate.problem

    def endless(a, progress=None):
        while True:
            time.sleep(0.002)
            progress(0.5)

    async def main():
        async with service(served, timeout=0.15) as client:
            type(problem).solve, own = endless_of(endless), type(problem).solve
            try:
                error(await client.ask("flow", "solve"), 504, "timeout")
            finally:
                type(problem).solve = own
            assert (await client.ask("flow", "sample")).status_code == 200

    asyncio.run(main())


def endless_of(work):
    return lambda self, a, progress=None: work(a, progress)
