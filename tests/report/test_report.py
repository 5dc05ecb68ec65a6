"""Tables and figures."""

import numpy as np
import pytest
import torch
from matplotlib import image

from pdeops.grid import Axis, Grid
from pdeops.report.figures import compare, training_curve
from pdeops.report.tables import metric_table


def test_a_table_is_aligned():
    text = metric_table({"test/relative_l2": 0.0123456, "test/x": 7.0}, "test: 3 samples")
    assert text.splitlines() == [
        "test: 3 samples",
        "----------------------------",
        "test/relative_l2     0.01235",
        "test/x                     7",
    ]


GRIDS = [
    Grid((Axis("x", 16, nodes="cell"),)),
    Grid.periodic((12, 16)),
    Grid((Axis("x", 6, nodes="uniform"), *Grid((Axis("y", 8), Axis("z", 9))))),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_figures_in_one_to_three_dimensions(grid, tmp_path):
    truth = torch.randn(2, *grid.shape)
    path = compare(truth, truth + 0.1, grid, tmp_path / "deep" / "x.png", columns=["a", "b"], title="t")
    pixels = image.imread(path)
    assert pixels.shape[0] > 300
    assert np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0).shape[0] > 50


def test_a_field_that_is_predicted_exactly(tmp_path):
    compare(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), Grid.periodic((4, 4)), tmp_path / "x.png", columns=["a"])


def test_training_curves(tmp_path):
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,step,train/loss,val/loss\n0,9,,0.5\n0,9,0.7,\n1,19,,0.4\n1,19,0.6,\n")
    assert training_curve(log, tmp_path / "c.png").exists()
    log.write_text("epoch,step\n")
    assert training_curve(log, tmp_path / "d.png") is None
