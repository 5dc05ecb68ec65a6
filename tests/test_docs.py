"""The documentation holds: pages run from top to bottom, commands exist, paths and links lead somewhere."""

import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module, invalidate_caches

import pytest
from hydra.core.global_hydra import GlobalHydra

import pdeops.models
import pdeops.problems
from pdeops.cli import _parser
from pdeops.sweeps import expansion
from tests.models import test_contract as models
from tests.pages import DOCS, EXPERIMENTS, LINK, ROOT, anchors, commands, fences, prose
from tests.problems import test_contract as problems

VALUES = {"NOISE": "0.01"}  # where a command has a word for a value that must be one
NEVER_RUN = {"--resume", "--help"}


def named(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """`place(fence)` puts a block that is a file under `tmp_path`; modules of pdeops among them can be imported, and
    tests among them run."""
    packages = {"models": pdeops.models, "problems": pdeops.problems}
    for name, package in packages.items():
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "pdeops" / name)])
    imported = []

    def put(fence):
        path = tmp_path / fence.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fence.code)
        if fence.title.startswith("pdeops/"):
            invalidate_caches()
            imported.append(import_module(fence.title.removesuffix(".py").replace("/", ".")))
        elif fence.title.startswith("tests/"):
            scope = {"__name__": path.stem}
            exec(compile(fence.code, path, "exec"), scope)
            for name in [name for name in scope if name.startswith("test_")]:
                scope[name]()

    yield put
    for module in imported:
        package, _, name = module.__name__.rpartition(".")
        delattr(sys.modules[package], name)
        del sys.modules[module.__name__]


def files(page):
    """The blocks of a page that are files, included ones apart."""
    return [f for f in fences(page.read_text()) if f.title and ":" not in f.title and not f.code.startswith("--8<--")]


def pages_with_code():
    """Those with `<!-- slow -->` in them are left to the slow tests."""
    texts = {page: page.read_text() for page in DOCS}
    slow = {page: [pytest.mark.slow] if "<!-- slow -->" in text else [] for page, text in texts.items()}
    coded = [page for page, text in texts.items() if any(f.language == "python" for f in fences(text))]
    return [pytest.param(page, id=named(page), marks=slow[page]) for page in coded]


@pytest.mark.parametrize("page", pages_with_code())
def test_a_page_runs_from_top_to_bottom(page, run, place, tmp_path):
    scope = {"__name__": page.stem}
    for fence in fences(page.read_text()):
        if fence in files(page):
            place(fence)
        elif fence.language == "python" and not fence.title:
            exec(compile("\n" * (fence.line - 1) + fence.code, named(page), "exec"), scope)
        elif fence.mark.partition(":")[0] == "run":
            for line in fence.commands:
                words = shlex.split(line)
                start = 1 if words[0] == "pdeops" else 2
                job = {"train.py": "train", "data/generate.py": "generate"}.get(words[1])
                words = [*([job] if job else []), *words[start:]]
                if words[0] in ("train", "generate"):
                    extra = shlex.split(fence.mark.partition(":")[2])
                    conf = [f"--config-dir={tmp_path / 'conf'}"] if (tmp_path / "conf").exists() else []
                    words += [*extra, *conf]
                status, _, err = run(*words)
                assert status == 0, f"{line}\n{err}"


def of_fixture(module, fixture):
    """The tests of a contract that take this fixture alone, for all that it has."""
    found = {k: f for k, f in vars(module).items() if k.startswith("test_") and not hasattr(f, "pytestmark")}
    return [k for k, f in found.items() if list(inspect.signature(f).parameters) == [fixture]]


@pytest.mark.parametrize("test", of_fixture(models, "name"))
def test_the_model_of_the_page_keeps_the_contract(test, place, tmp_path, monkeypatch):
    for fence in files(ROOT / "docs/howto/model.md"):
        if not fence.title.startswith("tests/"):
            place(fence)
    monkeypatch.setattr(models, "shipped", lambda name: tmp_path / name)
    getattr(models, test)("low_rank")


@pytest.mark.parametrize("test", of_fixture(problems, "make"))
def test_the_problem_of_the_page_keeps_the_contract(test, place):
    page = ROOT / "docs/howto/pde.md"
    for fence in files(page):
        if fence.title.startswith("pdeops/"):
            place(fence)
    cls = sys.modules["pdeops.problems.swift_hohenberg"].SwiftHohenberg
    line = next(f.code for f in fences(page.read_text()) if f.title.endswith(": PROBLEMS"))
    (_, settings) = eval("{" + line + "}", vars(problems) | {"SwiftHohenberg": cls})["swift_hohenberg"]

    def make(frames=4, **solver):
        stepper = problems.Stepper(**{"tolerance": 1e-10} | solver)
        return cls(**settings, frames=frames, solver=stepper)

    getattr(problems, test)(make)


def check_command(line):
    """Raises, or exits, where a command could not be run; it is not."""
    words = [VALUES.get(word, word) for word in shlex.split(line)]
    words = [re.sub(r"=(NOISE)$", lambda m: "=" + VALUES[m[1]], word) for word in words]
    if NEVER_RUN & set(words):
        return
    if words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named_extras = re.findall(r"[\w,]+(?=\])", words[-1])
        assert set(",".join(named_extras).split(",")) - {""} <= set(extras)
    elif words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert all(word in targets for word in words[1:] if "=" not in word)
    elif words[0] == "pdeops" and words[1] not in ("train", "generate", "search"):
        if re.fullmatch(r"pdeops [a-z ]+", line):  # its name alone
            with pytest.raises(SystemExit, match="0"):
                _parser().parse_args([*words[1:], "--help"])
        else:
            _parser().parse_args(words[1:])
    elif words[0] == "pdeops" or words[1] in ("train.py", "data/generate.py"):
        searched = [word for word in words if word.startswith("search")]
        for word in searched:
            assert (
                (ROOT / "conf" / "search" / f"{word.partition('=')[2]}.yaml").exists() or "." in word or "=" not in word
            )
        given = [word for word in words[2:] if word not in ("-m", "--multirun") and word not in searched]
        expansion.check(expansion.expand(given), given)
    elif words[1].endswith(".py"):
        script = ROOT / words[1]
        assert script.exists()
        source = "".join(path.read_text() for path in {script, *script.parent.glob("*.py")})
        for word in words[2:]:
            if re.fullmatch(r"--[a-z-]+", word):
                assert f'"{word}"' in source


def lines_of(pages):
    found = {}
    for page in pages:
        for line in commands(page.read_text()):
            found.setdefault(line, page)
    return [pytest.param(line, id=f"{named(page)}: {line}") for line, page in found.items()]


@pytest.mark.parametrize("line", lines_of(DOCS))
def test_a_command_exists(line):
    check_command(line)


@pytest.mark.slow
@pytest.mark.parametrize("line", lines_of(EXPERIMENTS))
def test_a_command_of_an_experiment_exists(line):
    check_command(line)


@pytest.fixture(autouse=True)
def _composed_anew():
    yield
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("page", [*DOCS, *EXPERIMENTS, ROOT / "CHANGELOG.md"], ids=named)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    for target, anchor in LINK.findall(prose(text)):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), f"{target}#{anchor}"
    places = re.findall(r"`((?:tests|experiments|conf|pdeops|docs)/[\w./*-]*\w/?)`", text)
    missing = [place for place in places if not list(ROOT.glob(place.rstrip("/")))]
    assert not (set(missing) - {f.title for f in files(page)})


@pytest.mark.slow
def test_the_site_is_built_and_needs_no_network(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(package, reason="pip install 'pdeops[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"https?:", text), page
        assert not re.findall(r"<link[^>]+rel=\"(?:stylesheet|preconnect|icon)\"[^>]+href=\"https?:", text), page
        assert 'class="arithmatex"' not in text, page
    assert "<math" in (tmp_path / "site" / "methods" / "fno.html").read_text()
