"""Nodes drawn by their weights: shares, values and places, processes, and what is refused."""

import lightning as L
import pytest
import torch

from pdeops.data.module import DataModule
from pdeops.data.queries import Queries
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.supervised import RelativeLp
from pdeops.window import Batch, Window
from tests.data.test_module import ranked

GRID = Grid((Axis("x", 5, 2.0, "uniform"), Axis("y", 4, nodes="cell"), Axis("z", 6, 3.0, "chebyshev", start=-1.0)))


def make(file, **options):
    return DataModule(file=file, window=Window(n_in=2, n_out=2, history="time"), batch_size=4, **options)


def first_of(module):
    return next(iter(module.train_dataloader()))


def asked(module, batch, step=0):
    """A batch as the module gives it to training, the step-th of a run."""
    module.trainer.fit_loop.total_batch_idx = step - 1
    return module.on_after_batch_transfer(batch, 0)


@pytest.mark.parametrize("n", [1, 7, 120])
def test_nodes_come_in_proportion_to_their_weights(n):
    """Exactly so, with the mean taken over U: 4096 of them, equally spaced and moved together."""
    grid = torch.arange(2**12, dtype=torch.float64).add(0.5).div(2**12)
    nodes = Queries(GRID, n).nodes(grid.unsqueeze(1).expand(-1, n))
    counts = torch.bincount(nodes.flatten(), minlength=120).double() / 2**12
    shares = GRID.weights().flatten() / GRID.volume
    torch.testing.assert_close(counts, n * shares, rtol=0, atol=1.001 / 2**12)
    if n == 1:  # the plain mean over draws estimates the integral
        f = GRID.points().exp().prod(-1).flatten()
        estimate = float(f[nodes].mean() * GRID.volume)
        assert estimate == pytest.approx(float((GRID.weights().flatten() * f).sum()), rel=1e-2)


def test_as_many_as_nodes_of_equal_weights_are_all_nodes():
    queries = Queries(Grid.periodic((6, 7)), 42)
    assert torch.equal(queries.nodes(torch.rand(3, 42, dtype=torch.float64)), torch.arange(42).expand(3, -1))
    least = torch.zeros(4, dtype=torch.float64)  # the lower end of a stratum is the node that begins there
    assert Queries(Grid.periodic((4,)), 4).nodes(least).tolist() == [0, 1, 2, 3]
    a, u, v = (torch.randn(2, 1, 6, 7) for _ in range(3))
    loss = RelativeLp(Window().on(Grid.periodic((6, 7)), "u", "a"))
    batch = queries.at(Batch(a, u), torch.arange(42))
    torch.testing.assert_close(loss(v.flatten(2), batch), loss(v, Batch(a, u)))


def test_draws_are_uniform_in_their_strata():
    nodes = Queries(Grid((Axis("x", 64),)), 4).nodes(torch.rand(4000, 4, dtype=torch.float64))
    for k in range(4):
        counts = torch.bincount(nodes[:, k], minlength=64)
        assert counts[16 * k : 16 * k + 16].sum() == 4000
        assert counts[16 * k : 16 * k + 16].min() > 150  # 250 in the mean


def test_half_precision_knows_its_places():
    grid = Grid([Axis("x", 1000, nodes="uniform")])
    a, nodes = torch.zeros(1, 1, 1000, dtype=torch.bfloat16), torch.arange(1000)
    assert torch.equal(Queries(grid, 1000).at(Batch(a, a), nodes).out, grid.points().float())


@pytest.mark.parametrize("draws", ["batch", "sample", "fixed"])
def test_values_and_places_belong_together(trajectories, draws):
    """Each value is the target's at its place, a point of the output's grid in time and space."""
    options = {"queries": 9, "query_draws": draws}
    whole = first_of(ranked(make(trajectories), 0, 1))
    module = ranked(make(trajectories, **options), 0, 1)
    batch = asked(module, first_of(module))
    assert torch.equal(batch.a, whole.a)
    grid = module.window.grid_out
    assert batch.out.shape == ((9, 3) if draws == "batch" else (4, 9, 3))
    assert batch.u.shape == (4, 1, 9)
    places = grid.points().flatten(0, -2).float()
    for i in range(4):
        out = batch.out if draws == "batch" else batch.out[i]
        nodes = torch.cdist(out, places).argmin(1)
        assert torch.equal(places[nodes], out)
        assert torch.equal(whole.u[i].flatten(1)[:, nodes], batch.u[i])
    if draws != "batch":
        assert len({tuple(out.flatten().tolist()) for out in batch.out}) == 4


def test_draws_are_those_of_the_batch_the_seed_and_the_sample(trajectories):
    def places(step=0, **options):
        module = ranked(make(trajectories, queries=6, **options), 0, 1)
        torch.manual_seed(step)  # the global generator has no say
        return asked(module, first_of(module), step).out

    for draws in ("batch", "sample"):
        assert torch.equal(places(3, query_draws=draws), places(3, query_draws=draws))
        assert not torch.equal(places(3, query_draws=draws), places(4, query_draws=draws))
        assert not torch.equal(places(3, query_draws=draws), places(3, query_draws=draws, shuffle_seed=1))
    assert torch.equal(places(3, query_draws="fixed"), places(4, query_draws="fixed"))


def test_fixed_nodes_stay_with_their_sample_in_another_epoch(trajectories):
    module = ranked(make(trajectories, queries=3, query_draws="fixed"), 0, 1)
    loader = module.train_dataloader()

    def epoch(number):
        loader.sampler.set_epoch(number)
        return [
            (tuple(a.flatten().tolist()), tuple(out.flatten().tolist()))
            for batch in loader
            for a, out in zip(batch.a, batch.out, strict=True)
        ]

    assert epoch(0) != epoch(1)
    assert set(epoch(0)) == set(epoch(1))


@pytest.mark.parametrize("draws", ["batch", "sample", "fixed"])
def test_processes_share_the_draws_of_a_batch(trajectories, draws):
    def rows(rank, world):
        module = ranked(make(trajectories, queries=5, query_draws=draws), rank, world)
        batch = asked(module, first_of(module), 2)
        out = batch.out.expand(len(batch.a), -1, -1)
        return [(float(a.sum()), tuple(x.flatten().tolist())) for a, x in zip(batch.a, out, strict=True)]

    assert sorted(rows(0, 1)) == sorted(rows(0, 2) + rows(1, 2))


@pytest.mark.parametrize("draws", ["batch", "sample", "fixed"])
def test_half_precision_keeps_places(trajectories, tmp_path, draws):
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path}
    module, task = make(trajectories, queries=3, query_draws=draws), Recorder()
    L.Trainer(max_steps=1, precision="bf16-true", enable_checkpointing=False, **options).fit(task, module)
    places = module.window.grid_out.points().float().flatten()
    assert not torch.isin(places.bfloat16().float(), places).all()  # or half precision would do
    assert torch.isin(torch.tensor(task.places[0]), places).all()


def test_validation_and_tests_see_all_nodes(trajectories):
    module = ranked(make(trajectories, queries=5, query_draws="fixed"), 0, 1, training=False)
    for loader in module.val_dataloader() + module.test_dataloader():
        batch = module.on_after_batch_transfer(next(iter(loader)), 0)
        assert batch.out is None
        assert batch.u.shape[2:] == (2, 8, 8)


class Recorder(L.LightningModule):
    """Trains nothing, and notes the places of the batches it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.places = []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, _):
        self.places.append(tuple(batch.out.flatten().tolist()))
        return self.weight * batch.u.mean()


@pytest.mark.parametrize("draws", ["batch", "sample", "fixed"])
def test_a_trainer_goes_on_where_it_stopped(trajectories, tmp_path, draws):
    plain = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path}

    def run(epochs, ckpt=None):
        recorder = Recorder()
        trainer = L.Trainer(max_epochs=epochs, **plain)
        trainer.fit(recorder, make(trajectories, queries=4, query_draws=draws), ckpt_path=ckpt)
        trainer.save_checkpoint(tmp_path / "stopped.ckpt")
        return recorder.places

    whole = run(3)
    assert len(set(whole)) == len(whole)
    assert run(1) + run(3, tmp_path / "stopped.ckpt") == whole


def test_mistakes_are_refused(trajectories):
    with pytest.raises(InputError, match=r"data\.queries=129: wanted 1 to 128 nodes"):
        make(trajectories, queries=129).open()
    with pytest.raises(InputError, match=r"data\.queries=0"):
        make(trajectories, queries=0).open()
    with pytest.raises(InputError, match=r"data\.query_draws='each'; wanted one of"):
        make(trajectories, query_draws="each")
    with pytest.raises(InputError, match=r"data\.strides=\[1\]"):
        make(trajectories, queries=3, strides=[1, 2])
    with pytest.raises(InputError, match="query_draws=batch or sample"):
        make(trajectories, queries=3, query_draws="fixed", augment_transpose=True)
