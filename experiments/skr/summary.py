"""Tables and figures from the rows of compare.py: python experiments/skr/summary.py [--rows rows.csv]"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from families import MISLABELLED

from pdeops.report.canvas import pyplot, save

Row = dict[str, str]
GCRODR = ("gcrodr cold", "gcrodr recycled, unsorted", "gcrodr recycled, sorted")
LIBRARIES = ("SuperLU", "Pardiso", "CHOLMOD", "pyamg", "SciPy CG + Jacobi")


def read(path: Path) -> dict[tuple[str, int, float], list[Row]]:
    """Rows by family, size and tolerance."""
    out: dict[tuple[str, int, float], list[Row]] = defaultdict(list)
    with path.open() as f:
        for row in csv.DictReader(f):
            out[row["family"], int(row["n"]), float(row["tolerance"])].append(row)
    return dict(sorted(out.items()))


def find(rows: Iterable[Row], preconditioner: str, method: str) -> Row | None:
    return next((r for r in rows if (r["preconditioner"], r["method"]) == (preconditioner, method)), None)


def complete(row: Row | None) -> bool:
    return row is not None and row["solved"] == row["of"]


def recycling(cases: dict[tuple[str, int, float], list[Row]]) -> list[str]:
    """Cold against recycled: mean products, and median milliseconds, per preconditioner."""
    lines = [
        "| systems | tolerance | preconditioner | GMRES(40) | cold | recycled | recycled, sorted "
        "| cold : sorted | gcrotmk |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (family, n, tolerance), rows in cases.items():
        for name in sorted({r["preconditioner"] for r in rows} - {"auto"}):
            got = [find(rows, name, m) for m in ("gmres(40)", *GCRODR, "scipy gcrotmk recycled, sorted")]
            if got[1] is None or got[3] is None:
                continue
            cells = [_cell(r) for r in got]
            ratio = float(got[1]["products_mean"]) / float(got[3]["products_mean"])
            cells.insert(4, f"**{ratio:.2f}**, time {float(got[1]['ms']) / float(got[3]['ms']):.2f}")
            lines.append(f"| {family}, {n} | {tolerance:g} | {name} | " + " | ".join(cells) + " |")
    return lines


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    note = "" if complete(row) else f" ({row['solved']} of {row['of']})"
    return f"{float(row['products_mean']):.0f}, {float(row['ms']):.3g} ms{note}"


def fastest(cases: dict[tuple[str, int, float], list[Row]]) -> list[str]:
    """The best of each class: milliseconds per system."""
    lines = [
        "| systems | tolerance | auto | best recycled GCRO-DR | best other Krylov | best library "
        "| auto over recycled |",
        "|---|---|---|---|---|---|---|",
    ]
    for (family, n, tolerance), rows in cases.items():
        good = [r for r in rows if complete(r)]
        auto = next((r for r in good if r["preconditioner"] == "auto"), None)
        classes = (
            [r for r in good if "gcrodr recycled" in r["method"]],
            [r for r in good if r["method"] in ("gmres(40)", "gcrodr cold", "cg", "minres")],
            [r for r in good if r["method"] in LIBRARIES],
        )
        best = [min(c, key=lambda r: float(r["ms"]), default=None) for c in classes]
        cells = ["" if r is None else f"{r['method']}, {r['preconditioner']}: {float(r['ms']):.3g}" for r in best]
        first = "" if auto is None else f"{auto['method'][6:]}: {float(auto['ms']):.3g}"
        ratio = f"**{float(best[0]['ms']) / float(auto['ms']):.0f}x**" if auto and best[0] else ""
        lines.append(f"| {family}, {n} | {tolerance:g} | {first} | " + " | ".join(cells) + f" | {ratio} |")
    return lines


def draw_recycling(cases: dict[tuple[str, int, float], list[Row]], path: Path, tolerance: float = 1e-5) -> None:
    """Products of cold over those of recycled and sorted, per family and preconditioner."""
    plt = pyplot()
    chosen = {f: rows for (f, n, t), rows in cases.items() if t == tolerance and n == _smallest(cases, f)}
    names = [
        p for p in ("none", "jacobi", "sor", "ilu", "multigrid") if any(find(r, p, GCRODR[2]) for r in chosen.values())
    ]
    figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        for j, rows in enumerate(chosen.values()):
            cold, warm = find(rows, name, GCRODR[0]), find(rows, name, GCRODR[2])
            if cold and warm:
                ratio = float(cold["products_mean"]) / float(warm["products_mean"])
                ax.bar(j + (i - (len(names) - 1) / 2) * width, ratio, width, color=f"C{i}")
    for i, name in enumerate(names):
        ax.bar(0, 0, color=f"C{i}", label=name)
    ax.axhline(1, color="k", lw=0.8)
    ax.set_xticks(range(len(chosen)), [f.replace(" ", "\n", 1) for f in chosen])
    ax.set_ylabel("products without recycling / with it")
    ax.set_title(f"Recycling pays above the line (tolerance {tolerance:g}, every product counted)")
    ax.legend(title="preconditioner", ncols=len(names), fontsize=8)
    save(figure, path)


def draw_times(cases: dict[tuple[str, int, float], list[Row]], path: Path, tolerance: float = 1e-5) -> None:
    """Milliseconds per system against the number of unknowns."""
    plt = pyplot()
    families = list(dict.fromkeys(f for f, _, t in cases if t == tolerance and f != MISLABELLED))
    figure, axes = plt.subplots(2, -(-len(families) // 2), figsize=(11, 6.5), layout="constrained", squeeze=False)
    classes = {
        "what auto chooses": lambda r: r["preconditioner"] == "auto",
        "best library": lambda r: r["method"] in LIBRARIES,
        "recycled GCRO-DR, best preconditioner": lambda r: r["method"] == GCRODR[2],
        "cold GCRO-DR, best preconditioner": lambda r: r["method"] == GCRODR[0],
        "GMRES(40), best preconditioner": lambda r: r["method"] == "gmres(40)",
    }
    for ax, family in zip(axes.flat, families, strict=False):
        for i, (label, belongs) in enumerate(classes.items()):
            points = []
            for (f, _, t), rows in cases.items():
                times = [float(r["ms"]) for r in rows if complete(r) and belongs(r)]
                if f == family and t == tolerance and times:
                    points.append((int(rows[0]["unknowns"]), min(times)))
            if points:
                ax.loglog(*zip(*sorted(points), strict=True), "o-", color=f"C{i}", label=label)
        ax.set_title(family, fontsize=10)
        ax.set_xlabel("unknowns")
        ax.set_ylabel("ms per system")
        ax.xaxis.set_minor_formatter("")
        ax.grid(alpha=0.3)
    for ax in list(axes.flat)[len(families) :]:
        ax.axis("off")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    figure.suptitle(f"Time per system, one thread, true residual below {tolerance:g}")
    save(figure, path)


def draw_origin(cases: dict[tuple[str, int, float], list[Row]], path: Path) -> None:
    """The published matrix and the right one, without a preconditioner: from GMRES(40) to recycled and sorted
    GCRO-DR."""
    plt = pyplot()
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    names = ("gmres(40)", *GCRODR)
    for i, family in enumerate((MISLABELLED, "darcy log-normal")):
        case = next((rows for (f, _, t), rows in cases.items() if f == family and t == 1e-5), None)
        got = [find(case, "none", m) for m in names] if case else []
        if all(got):
            counts = [float(r["products_mean"]) for r in got if r]
            bars = ax.bar([j + 0.4 * i - 0.2 for j in range(len(names))], counts, 0.4, label=family)
            ax.bar_label(bars, fmt="%.0f", fontsize=8)
    ax.set_yscale("log")
    ax.set_xticks(range(len(names)), ["GMRES(40)", "GCRO-DR\ncold", "recycled", "recycled,\nsorted"])
    ax.set_ylabel("products with the matrix per system")
    ax.set_title("Where the published gain comes from (tolerance 1e-5, no preconditioner)")
    ax.legend()
    save(figure, path)


def _smallest(cases: dict[tuple[str, int, float], list[Row]], family: str) -> int:
    return min(n for f, n, _ in cases if f == family)


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, default=here / "rows.csv")
    arguments = parser.parse_args()
    cases = read(arguments.rows)
    print("\n".join(recycling(cases)), "\n")
    print("\n".join(fastest(cases)))
    draw_recycling(cases, here / "recycling.png")
    draw_times(cases, here / "times.png")
    draw_origin(cases, here / "origin.png")


if __name__ == "__main__":
    main()
