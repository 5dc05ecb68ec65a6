"""Dependencies point one way: a part imports only parts below it, and never one on its own level."""

import ast
from pathlib import Path

import pdeops

LEVELS = [
    {"allowance", "arrays", "clusters", "compilers", "config", "constants", "errors", "files", "grid", "hints", "kept"}
    | {"memory", "plain_json", "points", "study", "watched"},
    {"bases", "window"},
    {"norms", "solvers", "nn"},
    {"problems", "models"},
    {"losses", "metrics", "refinement", "uncertainty", "data"},
    {"surrogate", "spatial"},
    {"saved"},
    {"sources"},
    {"tasks", "report", "inference"},
    {"app", "calibrating", "cards", "cli", "commands", "datasets", "ensembling", "environment", "overrides"}
    | {"refining", "resuming", "serve", "sweeps", "training", "__main__"},
]
ROOT = Path(pdeops.__file__).parent
LEVEL = {part: i for i, parts in enumerate(LEVELS) for part in parts}
# grids, errors and configurations are the ground floor; norms use bases; the command line is one part
SAME_LEVEL = {
    ("allowance", "errors"),
    ("arrays", "errors"),
    ("plain_json", "errors"),
    ("grid", "errors"),
    ("clusters", "errors"),
    ("study", "clusters"),
    ("compilers", "errors"),
    ("config", "errors"),
    ("config", "hints"),
    ("files", "errors"),
    ("points", "errors"),
    ("points", "watched"),
}


def part(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def arrows():
    for path in ROOT.rglob("*.py"):
        if path.name == "__init__.py" and path.parent == ROOT:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pdeops"):
                names = [node.module] if node.module != "pdeops" else [f"pdeops.{a.name}" for a in node.names]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names if a.name.startswith("pdeops")]
            for name in names:
                target = name.split(".")[1] if "." in name else ""
                if target in LEVEL:
                    yield part(path), target, path


def test_every_part_has_a_level():
    parts = {part(p) for p in ROOT.rglob("*.py")} - {"__init__", "shipped"}
    assert parts == set(LEVEL)


def test_no_arrow_turns_back():
    top = len(LEVELS) - 1
    bad = [
        f"{path.name}: {source} -> {target}"
        for source, target, path in arrows()
        if source != target
        and not LEVEL[target] < LEVEL[source]
        and not (LEVEL[source] == LEVEL[target] == top)
        and (source, target) not in SAME_LEVEL
    ]
    assert bad == []


def test_the_check_sees_arrows():
    found = {(s, t) for s, t, _ in arrows()}
    assert {("norms", "grid"), ("tasks", "surrogate"), ("app", "overrides")} <= found


def test_files_stay_small():
    sizes = sorted(len(p.read_text().splitlines()) for p in ROOT.rglob("*.py"))
    assert sizes[-1] <= 400
    assert sizes[len(sizes) // 2] <= 130
