"""Reports and comparisons of small runs: whole, alone, and with the numbers of their metrics."""

import json
import re
from html.parser import HTMLParser

import pytest

SMALL = ["data=poisson_periodic", "problem.n=16", "data.n=20", "data.split=[0.6,0.2,0.2]", "data.batch_size=4"]
SMALL += ["model=fno", "model.width=4", "model.modes=4", "model.depth=1", "trainer=cpu", "trainer.max_epochs=1"]
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Raises AssertionError where elements do not nest; collects what tests ask of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.references, self.headings, self.rows = [], [], [], [], {}
        self.unnamed, self.unscoped, self._cells = 0, 0, []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        for name in ("href", "data-copies", "aria-labelledby"):
            if name in given:
                self.references.append(given[name])
        self.references += re.findall(r"url\((#[^)]+)\)", " ".join(str(v) for v in given.values()))
        self.unnamed += tag == "svg" and not given.get("aria-label")
        self.unscoped += tag == "th" and "scope" not in given
        if tag == "tr":
            self._cells = []
        if tag in ("td", "th"):
            self._cells.append("")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag
        if tag == "tr" and self._cells:
            self.rows.setdefault(self._cells[0], []).append(self._cells[1:])

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        if {"td", "th"} & set(self.open) and self._cells:
            self._cells[-1] += data


def checked(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 5e6
    assert not re.search(r"https?:|//[a-z]+\.|@import|<link|src=", text)
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    local = {r.removeprefix("#") for r in page.references if not r.startswith("data:")}
    assert local <= set(page.ids)
    assert page.unnamed == page.unscoped == 0
    assert ("#010203" not in text, "prefers-color-scheme: dark" in text, "@media print" in text) == (True,) * 3
    return page


@pytest.fixture
def trained(run, tmp_path):
    def train(*words):
        status, _, err = run("train", *words)
        assert status == 0, err

    return train


def test_a_run_leaves_a_report_with_its_metrics(trained, tmp_path):
    trained(*SMALL, "hydra.run.dir=out")
    page = checked(tmp_path / "out" / "report.html")
    wanted = ["Samples", "Errors of samples", "Spectra", "Metrics", "Training", "Data", "Make it again"]
    assert [x for x in page.headings if x in wanted] == wanted
    assert sum(x.startswith(("Worst: sample", "Median: sample", "Best: sample")) for x in page.headings) == 3
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for name, value in metrics.items():
        assert page.rows[name.removeprefix("test/")][0][0] == f"{value:.4g}", name
    assert page.rows["samples"] == [["20: 12 train, 4 validation, 4 test"]]
    assert page.rows["equation"][0][0].startswith("-Laplace u = f")
    assert "data=poisson_periodic problem.n=16" in (tmp_path / "out" / "report.html").read_text()


def test_a_rolled_out_run(trained, tiny, tmp_path):
    trained(*tiny, "report=true", "hydra.run.dir=out")
    page = checked(tmp_path / "out" / "report.html")
    assert "Errors over time" in page.headings
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    one, whole = (f"{metrics[f'test/{name}relative_l2']:.4g}" for name in ("", "rollout/"))
    assert [cells[0] for cells in page.rows["relative_l2"]] == [one, whole]


def test_no_report_is_left_where_none_is_wanted(trained, tiny, tmp_path):
    trained(*tiny, "hydra.run.dir=out")
    assert not (tmp_path / "out" / "report.html").exists()
    assert (tmp_path / "out" / "figures" / "test.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "figures" / "training.png").stat().st_size > 10_000


def test_commands_on_runs(run, trained, tmp_path):
    """evaluate, report on other lattices, compare with neuraloperator's, leaderboard."""
    for name, words in {
        "a": ["seed=0"],
        "b": ["seed=1"],
        "c": ["model=neuralop_fno", "model.width=4", "model.modes=4"],
    }.items():
        kept = SMALL if name != "c" else [w for w in SMALL if not w.startswith("model")]
        trained(*kept, *words, "report=false", f"hydra.run.dir=runs/{name}")
    metrics = {x: json.loads((tmp_path / "runs" / x / "metrics.json").read_text()) for x in "abc"}

    status, out, err = run("evaluate", "runs", "--json", "x.json")
    assert status == 0, err
    assert [line.split()[1:] for line in out.splitlines() if line.startswith("relative_l2 ")] == [
        [f"{metrics[x]['test/relative_l2']:.4g}" for x in "abc"]
    ]
    found = json.loads((tmp_path / "x.json").read_text())
    assert list(found) == ["a", "b", "c"]
    each = found["a"]["per_sample"]["relative_l2"]
    assert sum(each) / 4 == pytest.approx(metrics["a"]["test/relative_l2"], rel=1e-5)
    assert found["a"]["samples"] == [16, 17, 18, 19]

    status, out, err = run("evaluate", "runs/a", "--data", "problem.n=32", "--split", "all", "--samples", "2")
    assert status == 0, err
    assert "all: 2 samples of" in out
    assert "32 x 32" in out

    status, out, err = run("report", "runs/a", "--factors", "1", "2", "-o", "a.html")
    assert status == 0, err
    page = checked(tmp_path / "a.html")
    assert "Other lattices" in page.headings
    assert page.rows["16 × 16"] == [[f"{metrics['a']['test/relative_l2']:.4f}"]]
    status, _, err = run("report", "runs/a", "-o", "a.html")
    assert (status, "a.html is already there; replace it with --force" in err) == (2, True)

    status, out, err = run("compare", "runs", "-o", "c.html")
    assert status == 0, err
    page = checked(tmp_path / "c.html")
    wanted = ["Table", "Errors", "Cost", "One sample", "Spectra of errors", "Training", "Metrics", "Data"]
    assert [x for x in page.headings if x in wanted] == wanted
    mean = (metrics["a"]["test/relative_l2"] + metrics["b"]["test/relative_l2"]) / 2
    fno = next(cells for name, rows in page.rows.items() for cells in rows if cells[:2] == ["FNO", "2"])
    neuralop = next(cells for name, rows in page.rows.items() for cells in rows if cells[:2] == ["NeuralOp", "1"])
    assert fno[2].startswith(f"{mean:.4f} +- ")
    assert neuralop[2] == f"{metrics['c']['test/relative_l2']:.4f}"

    status, out, err = run("leaderboard", "runs", "--csv", "--html", "board.html")
    assert status == 0, err
    lines = [line.split(",") for line in out.splitlines()]
    assert lines[0][:3] == ["kind", "seeds", "error"]
    assert sorted(float(line[2]) for line in lines[1:]) == pytest.approx(
        sorted([mean, metrics["c"]["test/relative_l2"]])
    )
    checked(tmp_path / "board.html")


def test_data_that_are_gone_are_named_with_the_command_that_makes_them(run, trained, tmp_path):
    trained(*SMALL, "report=false", "hydra.run.dir=out")
    next((tmp_path / "data").glob("*.h5")).unlink()
    status, _, err = run("evaluate", "out")
    assert status == 2
    assert re.search(r"the data of out are gone: .*spectral_poisson-\w+.h5. Make them again with:\n", err)
    assert "pdeops generate data=poisson_periodic problem.n=16" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere"),
        (["out/surrogate", "--data", "x.h5", "data.n=4"], "--data x.h5 data.n=4: wanted one file, or KEY=VALUE words"),
        (["out", "--data", "x.h5"], "there is no data file x.h5"),
        (["out", "--data", "problem.m=4"], "problem.m=4: out has no such key of its problem or data"),
        (["lone"], "what lone was trained on is not known: say what to try it on, --data FILE or data=NAME"),
        (
            ["lone", "--data", "problem.n=8"],
            "problem.n=8 change a run's data, and there is no run: choose a data set, data=NAME",
        ),
        (
            ["out", "--data", "data=poisson", "data.n=4", "problem.n=9"],
            "does not fit this surrogate: its axis is x in [0, 1]",
        ),
    ],
)
def test_misuse(run, trained, tmp_path, words, message):
    import shutil

    trained(*SMALL, "test=false", "hydra.run.dir=out")
    shutil.copytree(tmp_path / "out" / "surrogate", tmp_path / "lone")
    status, _, err = run("evaluate", *words)
    assert status == 2
    assert message in err
