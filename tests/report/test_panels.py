"""What the curves of a page show."""

import numpy as np
import pytest
import torch

from pdeops.data.file import DataFile
from pdeops.data.schema import write_arrays
from pdeops.grid import Axis, Grid
from pdeops.report.budget import Budget
from pdeops.report.canvas import pyplot
from pdeops.report.panels import accuracy, draw_accuracy, draw_budget, draw_spectra, spectra
from pdeops.report.selection import select

TIMES = torch.linspace(0, 2, 30, dtype=torch.float64)


@pytest.fixture
def ax():
    figure, ax = pyplot().subplots()
    yield ax
    pyplot().close(figure)


def test_spectra_are_means_over_samples_of_three_frames(tmp_path, ax):
    grid = Grid((Axis("time", 6, nodes="uniform"), *Grid.periodic((9, 8))))
    u = np.random.default_rng(0).standard_normal((20, *grid.shape)).astype(np.float32)
    file = DataFile(write_arrays(tmp_path / "x.h5", grid, targets={"u": u}))
    energy = (u.astype(float) ** 2).mean((2, 3)) / 2
    chosen = select(file)
    curves = spectra(chosen, chosen.fields[0])
    assert list(curves) == ["t = 0", "t = 0.4", "t = 1"]
    for e, frame in zip(curves.values(), (0, 2, 5), strict=True):
        assert float(e.sum()) == pytest.approx(energy[:16, frame].mean())
    draw_spectra(ax, chosen, chosen.fields[0], curves)
    assert ax.get_title() == "spectrum of u, mean of 16 samples"
    assert ax.lines[0].get_xdata()[0] == 1
    np.testing.assert_allclose(ax.lines[2].get_ydata(), curves["t = 1"][1:])
    assert ax.lines[3].get_xdata()[0] == 4  # Nyquist

    chosen = select(file, [19])
    assert float(spectra(chosen, chosen.fields[0])["t = 0"].sum()) == pytest.approx(energy[19, 0])


def test_a_budget_on_its_scale(ax):
    part = torch.cos(TIMES)[None]
    budget = Budget(("u", "v"), torch.cat([part, 2 + part]), *(torch.cat([0 * part, x * part]) for x in (3, 1, 1.5)))
    draw_budget(ax, budget, "v", TIMES)
    assert ax.get_title() == "budget of ½⟨v²⟩\nremainder / largest term: 0.2 (median), 0.2 (most)"
    assert ax.get_yscale() == "linear"
    drawn = dict(zip([line.get_label() for line in ax.lines], (line.get_ydata() for line in ax.lines), strict=True))
    np.testing.assert_allclose(drawn["remainder"], 0.5 * part[0])
    np.testing.assert_allclose(drawn["⟨u, N(u)⟩"], 1.5 * part[0])


def test_a_budget_whose_first_frames_dwarf_the_others(ax):
    decay = torch.exp(-20 * TIMES)[None]
    draw_budget(ax, Budget(("u",), decay, -decay, -decay, 0 * decay), "u", TIMES)
    assert ax.get_yscale() == "symlog"


def test_a_constant_energy_is_called_constant(ax):
    noise = 1e-8 * torch.cos(50 * TIMES)[None]
    draw_budget(ax, Budget(("u",), 1 + noise, noise, 0 * noise, 0 * noise), "u", TIMES)
    assert ax.get_title() == "budget of ½⟨u²⟩\n½⟨u²⟩ is constant to 2e-08"
    assert ax.get_ylim()[1] > 1e-3


def test_balanced_parts_are_no_constant(ax):
    """A steady state of two large parts has a budget, and it may be wrong."""
    energy = torch.ones_like(TIMES)[None]
    draw_budget(ax, Budget(("u",), energy, 0 * energy, -energy, 2 * energy), "u", TIMES)
    assert "remainder / largest term: 0.5" in ax.get_title()


def test_accuracy(tmp_path, ax):
    file = DataFile(write_arrays(tmp_path / "x.h5", Grid.periodic((4,)), targets={"u": np.ones((5, 4))}))
    assert accuracy(file) == {}
    draw_accuracy(ax, {"residual": np.array([1.0, 2, 3, 4, 5])}, (3, 1))
    dots, rings = ax.lines
    assert dots.get_ydata().tolist() == [1, 2, 3, 4, 5]
    assert rings.get_ydata().tolist() == [4, 2]
