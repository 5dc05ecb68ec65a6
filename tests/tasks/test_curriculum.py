from functools import partial

import lightning as L
import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.tasks.compiled import Compile
from pdeops.tasks.curriculum import IncrementalModes
from pdeops.window import Window

GRID = Grid.periodic((16, 16))
BOX = Grid((Axis("x", 12, nodes="cell"), Axis("y", 13, nodes="uniform")))


class Task(L.LightningModule):
    """Records the limits of each epoch, and in how many they change the model."""

    def __init__(self, grid=GRID, modes=8, **options):
        super().__init__()
        torch.manual_seed(0)
        one, window = Normalizer(torch.zeros(1), torch.ones(1)), Window().on(grid, ("u",), ("a",))
        self.model = FNO(1, 1, grid, grid, width=4, modes=modes, depth=2, **options)
        self.surrogate = Surrogate(self.model, window, one, one)
        self.grid, self.limits, self.before, self.differ = grid, [], None, 0

    @property
    def conv(self):
        return self.model.blocks[0].spectral

    def training_step(self, a, _):
        self.limits.append(self.conv.limit)
        if self.before is None:
            self.before = self.conv.weight.tensor.detach().clone()
        return (self.model(a) - a.flip(-1)).square().mean()

    def on_train_epoch_end(self):
        a = torch.randn(2, 1, *self.grid.shape)
        limits = [block.spectral.limit for block in self.model.blocks]
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            limited = self.model(a)
            for block in self.model.blocks:
                block.spectral.limit = None
            self.differ += not torch.allclose(self.model(a), limited, atol=1e-6)
        for block, limit in zip(self.model.blocks, limits, strict=True):
            block.spectral.limit = limit

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)

    def train_dataloader(self):
        a = torch.randn(2, 1, *self.grid.shape, generator=torch.Generator().manual_seed(0))
        return torch.utils.data.DataLoader(a, batch_size=2)


def fit(task, tmp_path, length=5, callbacks=None, resume=None, save=None, **options):
    trainer = L.Trainer(
        max_epochs=length, callbacks=[IncrementalModes(**options)] if callbacks is None else callbacks, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
        default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(task, ckpt_path=resume, weights_only=True)
    if save:
        trainer.save_checkpoint(save)
    return task


def test_modes_join_in_stages_and_those_outside_are_silent(tmp_path):
    task = fit(Task(), tmp_path, share=0.25, epochs=3)
    assert task.limits == [(3, 1), (5, 2), (7, 4), None, None]
    assert task.before[3:6, :1].abs().min() > 0
    assert task.before.count_nonzero() == task.before[3:6, :1].numel()
    assert task.differ == 0
    assert task.conv.limit is None
    assert task.conv.weight.tensor.detach().abs().amin(dim=(2, 3)).min() > 0


def test_a_stage_takes_several_epochs(tmp_path):
    task = fit(Task(), tmp_path, 7, callbacks=[IncrementalModes(share=0.5, epochs=6, stages=3)])
    assert task.limits == [(5, 2)] * 3 + [(7, 4)] * 3 + [None]


@pytest.mark.parametrize(
    "options",
    [
        {"modes": (9, 7)},
        {"modes": (7, 9), "weights": "separable"},
        {"modes": (7, 5), "basis": ["cosine", "fourier"], "grid": BOX},
        {"modes": (5, 7), "basis": ["sine", "cosine"], "grid": BOX},
        {"modes": 16, "grid": Grid.periodic((8, 9))},  # limits of 8 and 9 beside the Nyquist mode
    ],
)
def test_odd_numbers_of_modes(options, tmp_path):
    task = fit(Task(**options), tmp_path, share=0.3, epochs=4, stages=5)
    assert len(set(task.limits)) >= 4
    assert any(limit and any(k % 2 for k in limit) for limit in task.limits)
    assert task.differ == 0


def test_resumed_runs_end_as_unbroken_ones(tmp_path):
    whole = fit(Task(modes=(9, 7)), tmp_path, share=0.3, epochs=4)
    for epoch in (2, 4):
        fit(Task(modes=(9, 7)), tmp_path, epoch, save=tmp_path / "half.ckpt", share=0.3, epochs=4)
        resumed = fit(Task(modes=(9, 7)), tmp_path, resume=tmp_path / "half.ckpt", share=0.3, epochs=4)
        assert resumed.limits == whole.limits[epoch:]
        assert resumed.differ == 0
        for p, q in zip(resumed.parameters(), whole.parameters(), strict=True):
            assert torch.equal(p, q)


@pytest.mark.parametrize("callbacks", [[], [IncrementalModes(share=0.5, epochs=2)]])
def test_resuming_a_run_of_more_modes_is_refused(callbacks, tmp_path):
    fit(Task(), tmp_path, 2, callbacks, save=tmp_path / "other.ckpt")
    task = Task()
    with pytest.raises(InputError, match="would join only after epoch 2: resume with"):
        fit(task, tmp_path, resume=tmp_path / "other.ckpt", share=0.25, epochs=8)
    assert task.conv.limit is None
    fit(task, tmp_path, resume=tmp_path / "other.ckpt", share=0.25, epochs=2)


def test_an_interrupted_run_leaves_no_limit(tmp_path):
    class Fails(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            assert pl_module.conv.limit is not None
            raise ArithmeticError

    task = Task()
    with pytest.raises(ArithmeticError):
        fit(task, tmp_path, callbacks=[IncrementalModes(), Fails()])
    assert task.conv.limit is None


def test_a_compiled_model_is_compiled_once_a_stage_with_its_tables(tmp_path):
    """Also where there are more stages than graphs that torch keeps."""
    torch._dynamo.reset()  # what this process compiled before decides which sizes are symbols, whose tables are built
    graphs, task, options = [], Task(modes=14), {"share": 0.1, "epochs": 9, "stages": 10}

    def backend(graph, _):
        graphs.append({str(node.target).rpartition(".")[2] for node in graph.graph.nodes})
        return graph.forward

    task.model.compile = partial(task.model.compile, backend=backend)
    fit(task, tmp_path, 11, [IncrementalModes(**options), Compile()])
    assert len(graphs) == len(set(task.limits)) > torch._dynamo.config.recompile_limit
    targets = set().union(*graphs)
    assert not {target for target in targets if any(name in target for name in ("arange", "cos", "linspace"))}
    plain = fit(Task(modes=14), tmp_path, 11, **options)
    for p, q in zip(task.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 1.5}, {"epochs": 0}, {"stages": 1}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="wanted 0 < share"):
        IncrementalModes(**options)


def test_factorised_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="dense or separable"):
        fit(Task(weights="tucker"), tmp_path)


def test_a_run_that_ends_too_early_is_told_so(tmp_path):
    with pytest.warns(UserWarning, match="ends before all modes have joined"):
        fit(Task(), tmp_path, share=0.25, epochs=100)
