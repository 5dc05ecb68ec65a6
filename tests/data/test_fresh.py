"""Inputs drawn anew: which, for whom, in which order, and what is refused."""

import lightning as L
import pytest
import torch

from pdeops.data.fresh import Fresh
from pdeops.data.module import Generated
from pdeops.errors import InputError
from pdeops.problems.antiderivative import Antiderivative
from pdeops.problems.diffusion_reaction import DiffusionReaction
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.window import Window
from tests.data.test_module import ranked


def poisson():
    return SpectralPoisson(n=8, nodes="chebyshev", source=GaussianProcess())


def make(tmp_path, problem=None, **options):
    return Generated(problem=problem or poisson(), n=10, dir=str(tmp_path), **{"batch_size": 4, "fresh": 3} | options)


def epochs(module, count=2):
    loader = module.train_dataloader()
    found = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        found.append([batch.a for batch in loader])
    return found


def test_never_the_same_twice_and_all_the_same_again(tmp_path):
    first, second = epochs(ranked(make(tmp_path), 0, 1))
    assert len(first) == len(second) == 3
    a = torch.cat(first + second)
    assert a.shape == (24, 1, 8, 8)
    assert a.flatten(1).unique(dim=0).shape[0] == 24
    again = epochs(ranked(make(tmp_path), 0, 1))
    assert torch.equal(torch.cat(again[1]), torch.cat(second))  # also where only the second epoch is drawn
    other = epochs(ranked(make(tmp_path, shuffle_seed=1), 0, 1))
    assert not torch.isclose(torch.cat(other[0]), torch.cat(first)).all(dim=(1, 2, 3)).any()


def test_there_is_no_solution_and_nothing_of_the_file(tmp_path):
    module = ranked(make(tmp_path), 0, 1)
    batch = next(iter(module.train_dataloader()))
    assert batch.u is None
    held = module.fields("train").inputs(range(8))
    assert (held[:, None] - batch.a[None]).flatten(2).norm(dim=2).min() > 0.1
    assert next(iter(module.val_dataloader()[0])).u is not None


def test_processes_share_each_batch(tmp_path):
    whole = epochs(ranked(make(tmp_path), 0, 1))
    parts = [epochs(ranked(make(tmp_path), rank, 2)) for rank in range(2)]
    for epoch in range(2):
        for one, a, b in zip(whole[epoch], parts[0][epoch], parts[1][epoch], strict=True):
            assert torch.equal(one, torch.stack([a, b], 1).flatten(0, 1))


def test_a_resumed_run_sees_what_the_unbroken_one_saw(tmp_path):
    """Lightning sets the sampler's epoch."""

    class Seen(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = torch.nn.Parameter(torch.zeros(1)), []

        def training_step(self, batch, i):
            self.seen.append(batch.a)
            return self.weight.sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def run(epochs, **resume):
        model = Seen()
        trainer = L.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, limit_val_batches=0, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(model, make(tmp_path), **resume)
        return model.seen, trainer

    unbroken, _ = run(3)
    _, trainer = run(2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    resumed, _ = run(3, ckpt_path=tmp_path / "two.ckpt")
    assert torch.equal(torch.cat(unbroken[6:]), torch.cat(resumed))


@pytest.mark.parametrize("history", ["channel", "time"])
def test_an_evolution_starts_from_its_samples(history):
    problem = ReactionDiffusion(n=16, frames=4, diffusivity=[0.01, 0.1], resolution=32)
    window = Window(n_out=4, history=history).on(problem.grid, problem.out_names, problem.varying)
    fresh = Fresh(problem, window, 1, 5)
    a = fresh.__getitems__([3, 4]).a
    assert a.shape == (2, 2, *window.grid_in.shape)
    initial, nu = a.unbind(1)
    stored = problem.stored(problem.sample([3, 4], 5)).float()
    assert torch.equal(initial.reshape(2, 16), stored[:, 0])
    assert torch.equal(nu.reshape(2, 16), stored[:, 1])
    assert torch.equal(fresh[4].a, a[1])


def test_channels_are_normalised_by_inputs_alone(tmp_path):
    module = ranked(make(tmp_path), 0, 1)
    mean, deviation, mean_out, deviation_out = module.channel_stats()
    assert mean.shape == deviation.shape == (1,)
    assert abs(mean) < 0.3
    assert 0.8 < deviation < 1.2
    assert mean_out == 0
    assert deviation_out.isnan().all()
    problem = ReactionDiffusion(n=16, frames=4)
    window = Window(n_out=4, history="time")
    module = ranked(make(tmp_path, problem, window=window), 0, 1)
    mean, deviation, mean_out, deviation_out = module.channel_stats()
    assert torch.equal(mean, mean_out)
    assert torch.equal(deviation, deviation_out)
    assert module.channel_stats() is module.channel_stats()  # noise asks for each batch


def test_states_that_all_start_from_rest_have_an_unknown_deviation(tmp_path):
    module = ranked(make(tmp_path, DiffusionReaction(n=16, frames=4), window=Window(n_out=4)), 0, 1)
    _, deviation, mean_out, deviation_out = module.channel_stats()
    assert deviation[0] == 0
    assert deviation[1] > 0.5
    assert mean_out.tolist() == [0] * 4
    assert deviation_out.isnan().all()


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data.fresh=0"):
        make(tmp_path, fresh=0).bind()
    with pytest.raises(InputError, match="problem=null"):
        Fresh(None, Window(), 3, 0)
    late = ReactionDiffusion(n=16, frames=4, start=0.5)
    with pytest.raises(InputError, match=r"problem.start=0.5"):
        make(tmp_path, late).bind()
    with pytest.raises(InputError, match=r"n_in=2"):
        make(tmp_path, ReactionDiffusion(n=16, frames=4), window=Window(n_in=2)).bind()
    with pytest.raises(InputError, match="segments"):
        make(tmp_path, Antiderivative(), window=Window(segment=12)).bind()
    with pytest.raises(InputError, match="make it a multiple"):
        ranked(make(tmp_path), 0, 3).train_dataloader()
