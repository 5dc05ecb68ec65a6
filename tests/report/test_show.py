"""`pdeops data show`: pages and animations are written, show what was asked for, and errors are sentences."""

import h5py
import numpy as np
import pytest
from PIL import Image

from pdeops.data.file import DataFile
from pdeops.data.generate import generate
from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.burgers1d import Burgers1D
from pdeops.report import animation, page, views
from pdeops.report.canvas import cells, colours
from pdeops.report.page import heading
from pdeops.report.selection import select
from pdeops.report.show import show
from pdeops.report.views import view

rng = np.random.default_rng(0)
TIME = Axis("time", 7, 2.0, "uniform")
WALL = Axis("y", 5, 3.0, "chebyshev")


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    """What a figure costs is its number of axes."""
    monkeypatch.setattr(views, "COLUMNS", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("show")


@pytest.fixture(scope="module")
def line(folder):
    problem = Burgers1D(n=32, horizon=0.5, frames=8, viscosity=[0.05, 0.5])
    return generate(problem, folder / "line.h5", n=4, split=(0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def plane(folder):
    """Five fields on a torus, and a given one."""
    grid = Grid((TIME, *Grid.periodic((8, 6))))
    targets = {name: rng.standard_normal((8, *grid.shape)) for name in ("u", "v_$x", "w", "p", "q")}
    return write_arrays(folder / "plane.h5", grid, inputs={"ground": rng.random((8, 8, 6))}, targets=targets)


@pytest.fixture(scope="module")
def steady(folder):
    grid = Grid((Axis("x", 6, 2.0, "cell"), WALL))
    given = {"a": rng.standard_normal((5, 6, 5)), "mask": np.ones((6, 5))}
    return write_arrays(folder / "steady.h5", grid, inputs=given, targets={"u": rng.standard_normal((5, 6, 5))})


def texts(path, out, monkeypatch, **settings):
    """Everything written on a page."""
    import matplotlib.text

    seen = []
    save = page.save
    monkeypatch.setattr(
        page,
        "save",
        lambda f, *a, **k: (seen.extend(x.get_text() for x in f.findobj(matplotlib.text.Text)), save(f, *a, **k))[1],
    )
    show(path, out, **settings)
    return "\n".join(seen)


def colourful(path):
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


def test_a_page_of_an_evolution(line, tmp_path, monkeypatch):
    page = texts(line, tmp_path / "page.png", monkeypatch)
    assert colourful(tmp_path / "page.png")
    viscosity = float(DataFile(line).read_field("viscosity", 2)[0])
    for text in (
        "4 samples (2 train, 1 validation, 1 test); 32 nodes on [0, 1]; 9 frames from t = 0 to 0.5",
        f"sample 2, viscosity = {viscosity:.3g}",
        "spectrum of u, mean of 4 samples",
        "budget of ½⟨u²⟩",
        "each sample as solved",
        "Nyquist",
    ):
        assert text in page
    assert "No " not in page
    assert "sample 3" not in page


def test_what_is_missing_is_said(plane, steady, tmp_path, monkeypatch):
    moving = texts(plane, tmp_path / "moving.png", monkeypatch, samples=[1])
    assert "Not shown: ground, p, q (choose one with --field)." in moving
    assert "No energy budget: the file names no problem." in moving
    assert "sample 1\nv_\\$x\ny" in moving
    still = texts(steady, tmp_path / "still.png", monkeypatch, samples=1)
    assert "No spectrum: axis 'x' has cell nodes; a Fourier spectrum needs periodic axes." in still
    assert "input: mask" in still
    assert "energy" not in still
    assert colourful(tmp_path / "still.png")


def test_one_field_and_chosen_samples(plane, tmp_path, monkeypatch):
    text = texts(plane, tmp_path / "a.png", monkeypatch, samples=[5, 2, 5], field="q")
    assert "sample 5\nq\ny" in text
    assert "sample 2\nq\ny" in text
    assert "spectrum of q, mean of 2 samples" in text
    given = texts(plane, tmp_path / "b.png", monkeypatch, field="ground")
    assert "input: ground" in given
    assert "energy" not in given


@pytest.mark.parametrize(
    ("samples", "rows"), [(None, (2, 3)), (1, (1, 3)), (3, (3, 2)), ([4, 5, 6, 7], (4, 1)), ([0, 0], (1, 3))]
)
def test_pictures_fit_a_page(plane, samples, rows):
    """By default as many samples as leave room for three fields."""
    chosen = select(DataFile(plane), samples)
    assert (len(chosen.samples), len(chosen.fields)) == rows
    assert set(chosen.left_out) | {x.name for x in chosen.fields} == {"u", "v_$x", "w", "p", "q", "ground"}
    assert select(DataFile(plane), field="p").samples == (0, 1, 2)


def test_other_spaces(tmp_path):
    """A line at rest, a line in few frames, and a box, of which slices are drawn."""
    box = Grid((TIME, *Grid.periodic((4, 6, 5))))
    few = Grid((TIME.resized(3), Axis("x", 9, nodes="uniform")))
    for name, grid, out in (("box", box, "png"), ("few", few, "png"), ("still", few[1:], "png")):
        u = rng.standard_normal((2, *grid.shape))
        path = write_arrays(tmp_path / f"{name}.h5", grid, targets={"u": u}, split=(0.5, 0.5, 0), overwrite=True)
        assert colourful(show(path, tmp_path / f"{name}.{out}", samples=1))
    chosen = select(DataFile(tmp_path / "box.h5"))
    assert chosen.picture(chosen.fields[0], 1, 3).shape == (6, 5)
    assert chosen.plane.names == ("y", "z")


def test_animations(line, plane, monkeypatch):
    path = show(line, animate=True)
    assert path == line.with_suffix(".gif")
    with Image.open(path) as movie:
        assert movie.n_frames == 9
    monkeypatch.setattr(animation, "MOST_FRAMES", 4)
    with Image.open(show(plane, plane.with_suffix(".gif"), samples=[7], field="u")) as movie:
        assert movie.n_frames == 4
    assert {p.suffix for p in line.parent.iterdir()} <= {".h5", ".gif", ".lock"}  # nothing temporary is left


def test_only_what_is_drawn_is_read(plane, monkeypatch, tmp_path):
    read = []
    original = DataFile.read_field

    def counted(self, name, sample, frames=slice(None)):
        values = original(self, name, sample, frames)
        read.append((name, sample, frames.start, values.size))
        return values

    monkeypatch.setattr(DataFile, "read_field", counted)
    show(plane, tmp_path / "x.png", samples=[3], field="u")
    targets = [x for x in read if x[0] == "u"]
    assert {x[1] for x in targets} == {3}
    assert {x[2] for x in targets} == {0, 3, 6}  # the ends are pictures, and all three have spectra
    assert {x[3] for x in targets} == {48}  # one frame each


def test_a_figure_is_replaced_by_force_alone(steady):
    path = show(steady)
    assert path == steady.with_suffix(".png")
    before = path.stat().st_mtime_ns
    with pytest.raises(InputError, match=r"steady.png is already there; replace it with --force, or .* with -o"):
        show(steady)
    assert path.stat().st_mtime_ns == before
    assert show(steady, force=True).stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        ("nowhere.h5", {}, "there is no data file .*nowhere.h5"),
        ("plane.h5", {"field": "grond"}, "there is no field 'grond' in .*plane.h5. Did you mean 'ground'?"),
        ("plane.h5", {"samples": [0, 8]}, "there is no sample 8 in .*plane.h5: it holds samples 0 to 7"),
        ("plane.h5", {"samples": [-1]}, "there is no sample -1"),
        ("plane.h5", {"samples": 0}, "0 samples; wanted at least one"),
        ("plane.h5", {"samples": 7}, "7 samples are too many for one figure; choose at most 6"),
        ("plane.h5", {"out": "a.jpg"}, "a.jpg: a figure's name ends in .png, .gif, .mp4, and this one in '.jpg'"),
        ("plane.h5", {"out": "a"}, "and this one in ''"),
        ("plane.h5", {"out": "a.png", "animate": True}, "a .png does not move; an animation's name ends in .gif or"),
        ("plane.h5", {"animate": True, "field": "ground"}, "nothing moves in ground of .*; draw a page"),
        ("steady.h5", {"animate": True}, "nothing moves in a, mask, u of"),
        ("plane.h5", {"out": "a.mp4"}, "a.mp4: a .mp4 needs the program ffmpeg, which is not installed; a .gif needs"),
    ],
)
def test_errors_are_sentences(file, settings, message, folder, plane, steady, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    out = settings.pop("out", "out.gif" if settings.get("animate") else "out.png")
    with pytest.raises(InputError, match=message):
        show(folder / file, out, **settings)
    assert not list(tmp_path.iterdir())


def test_the_heading_names_the_grid(steady):
    assert heading(DataFile(steady)) == [
        "arrays (steady.h5)",
        "5 samples (3 train, 1 validation, 1 test); 6 × 5 nodes on [0, 2] × [0, 3]",
    ]


def test_pictures_have_the_proportions_of_space(folder):
    """Twice as long in y as in x, up to what a page bears."""
    heights = []
    for length in (1.0, 1.2, 50.0, 70.0):
        grid = Grid((TIME, Axis("x", 4), Axis("y", 4, length)))
        path = write_arrays(folder / "p.h5", grid, targets={"u": np.ones((3, *grid.shape))}, overwrite=True)
        heights.append(view(select(DataFile(path))).height)
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_cells_hold_their_nodes():
    assert cells(Axis("x", 4, 2.0, "cell")).tolist() == [0, 0.5, 1, 1.5, 2]
    assert cells(Axis("x", 4)).tolist() == [-0.125, 0.125, 0.375, 0.625, 0.875]
    assert cells(Axis("x", 1, 3.0, start=1.0)).tolist() == [1, 4]
    ends, nodes = cells(WALL), WALL.points().numpy()
    assert (ends[:-1] < nodes).all()
    assert (nodes < ends[1:]).all()


def test_colours():
    assert colours(np.array([-1.0, 3.0])) == ("RdBu_r", -3.0, 3.0)
    assert colours(np.array([-0.01, 3.0])) == ("viridis", -0.01, 3.0)
    assert colours(np.array([-3.0, -1.0])) == ("viridis", -3.0, -1.0)
    assert colours(np.array([np.nan, 2.0, np.inf])) == ("viridis", 2.0, 2.0)
    assert colours(np.array([np.nan])) == ("viridis", 0.0, 0.0)


def test_values_that_are_not_finite_are_drawn_around(plane, tmp_path, monkeypatch):
    copy = tmp_path / "holes.h5"
    copy.write_bytes(plane.read_bytes())
    with h5py.File(copy, "r+") as f:
        f["t0_fields/u"][0, 3:, 2] = np.nan
    monkeypatch.setattr(animation, "MOST_FRAMES", 2)
    assert colourful(show(copy, field="u", samples=1))
    assert show(copy, field="u", samples=1, animate=True).exists()
