import lightning as L
import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.models.fno import FNO
from pdeops.tasks.curriculum import IncrementalModes

GRID = Grid.periodic((16, 16))


class Task(L.LightningModule):
    """Records the limits of each epoch."""

    def __init__(self, **options):
        super().__init__()
        self.model, self.limits = FNO(1, 1, GRID, GRID, width=4, modes=8, depth=2, **options), []
        self.before = None

    def training_step(self, a, _):
        conv = self.model.blocks[0].spectral
        self.limits.append(conv.limit)
        if self.before is None:
            self.before = conv.weight.tensor.detach().clone()
            with torch.no_grad():
                limited, conv.limit = self.model(a), None
                self.same = torch.allclose(self.model(a), limited, atol=1e-6)
            conv.limit = self.limits[-1]
        return self.model(a).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.randn(2, 1, 16, 16), batch_size=2)


def fit(task, tmp_path, **options):
    trainer = L.Trainer(
        max_epochs=5, callbacks=[IncrementalModes(**options)], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(task)
    return task


def test_modes_join_epoch_by_epoch_and_those_outside_are_silent(tmp_path):
    torch.manual_seed(0)
    task = fit(Task(), tmp_path, share=0.25, epochs=3)
    assert task.limits == [(2, 1), (4, 2), (6, 4), (8, 5), (8, 5)]
    assert task.before[3:5, :1].abs().min() > 0
    assert task.before.count_nonzero() == task.before[3:5, :1].numel()
    assert task.same
    after = task.model.blocks[0].spectral
    assert after.limit is None
    assert after.weight.tensor.detach().abs().amin(dim=(2, 3)).min() > 0


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 1.5}, {"epochs": 0}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="wanted 0 < share"):
        IncrementalModes(**options)


def test_factorised_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="dense or separable"):
        fit(Task(weights="tucker"), tmp_path)
