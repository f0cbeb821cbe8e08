"""Results as Markdown: the tables and the plots of docs/performance.md."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.drawing import draw
from benchmarks.results import OURS, Growth, Results, Row
from benchmarks.rivals import BENCH_SAME

RESULTS = Path(__file__).parent.parent / "docs" / "benchmarks.json"
PLOTS = Path(__file__).parent.parent / "docs" / "plots"
DIGITS = {"s": 2, "tokens/s": 1, "ms": 2, "MB": 0, "times": 2, "GB": 2, "GB/s": 1, "%": 1}
APART = ("weights", "bandwidth", "rendering", "outside")  # rows of the last table


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))


def machine(results: Results) -> str:
    """What the run was measured on."""
    return table(("", ""), [(name, text) for name, text in results.about.items()])


def comparison(results: Results) -> str:
    """All rows: a line for each program that was compared."""
    header = ("what", "`aigc`", "compared with", "theirs", "ratio", "bar")
    rows = [row for row in results.rows.values() if row.name not in APART]
    return table(header, [line for row in rows for line in _lines(row)])


def _lines(row: Row) -> Iterator[tuple[str, ...]]:
    about = f"{row.what}, {row.unit}" + (f" ({row.note})" if row.note else "")
    head = (about, figure(row.samples[OURS], row.unit))
    for label in (label for label in row.samples if label != OURS):
        ratio, bar = row.ratio(label), row.bar(label)
        verdict = f"{bar}, {'holds' if bar.holds(ratio) else 'missed'}" if bar else ""
        yield (*head, label, figure(row.samples[label], row.unit), f"{ratio:.2f}", verdict)
        head = ("", "")
    for label in row.missing:
        yield (*head, label, "not found", "", "")
        head = ("", "")


def figure(samples: Sequence[float], unit: str) -> str:
    """The median, and the least and the most where there were several."""
    digits = DIGITS[unit]
    median = f"{statistics.median(samples):,.{digits}f}"
    if len(samples) == 1:
        return median
    return f"{median} ({min(samples):,.{digits}f} to {max(samples):,.{digits}f})"


def growth(results: Results) -> str:
    """A plot and a table of each growth."""
    return "\n\n".join(_growth(one) for one in results.growth.values())


def _growth(one: Growth) -> str:
    xs = sorted({x for points in one.lines.values() for x, _ in points})
    known = {label: {point[0]: point[1] for point in points} for label, points in one.lines.items()}
    lines = [
        (f"{x:,.0f}", *(f"{points[x]:,.3g}" if x in points else "" for points in known.values())) for x in xs
    ]
    heading = (
        f"### {one.what[0].upper()}{one.what[1:]}\n\n![{one.what}: {one.y} by {one.x}](plots/{one.name}.svg)"
    )
    header = (one.x, *(f"{label}, {one.y}" for label in one.lines))
    return "\n\n".join(
        (heading, table(header, lines), *((f"{one.note[0].upper()}{one.note[1:]}.",) if one.note else ()))
    )


def floor(results: Results) -> str:
    """From the floor that memory sets to what a person sees."""
    rows = results.rows
    if not {"decode", *APART} <= rows.keys():
        return "Not measured."
    decode = rows["decode"]
    at_best = 1000 * rows["weights"].median() / rows["bandwidth"].median()
    lines = [
        ("weights read for a token", f"{rows['weights'].median():.2f} GB"),
        (f"memory: {rows['bandwidth'].note}", f"{rows['bandwidth'].median():.1f} GB/s"),
        ("the floor: weights over memory", f"{at_best:.1f} ms a token"),
    ]
    if BENCH_SAME in decode.samples:
        lines.append(
            ("llama.cpp's evaluation: llama-bench", f"{1000 / decode.median(BENCH_SAME):.1f} ms a token")
        )
    lines += [
        ("`aigc` in a terminal", f"{1000 / decode.median():.1f} ms a token"),
        ("of it rendering, on the CPU", f"{rows['rendering'].median():.2f} ms a token"),
        ("of the engine's time outside llama.cpp's evaluation", f"{rows['outside'].median():.1f} %"),
    ]
    return table(("", ""), lines)


MAKERS: Mapping[str, Callable[[Results], str]] = {
    "benchmark-machine": machine,
    "benchmark-table": comparison,
    "benchmark-growth": growth,
    "benchmark-floor": floor,
}
# The generated parts of docs/performance.md by their names, from the kept results.
PARTS = {name: lambda make=make: make(Results.load(RESULTS)) for name, make in MAKERS.items()}


def plots() -> Mapping[Path, str]:
    """The files of the plots, from the kept results."""
    return {PLOTS / f"{one.name}.svg": draw(one) for one in Results.load(RESULTS).growth.values()}


def as_page(results: Results) -> str:
    """Everything, for a terminal."""
    return "\n\n".join(make(results) for make in MAKERS.values())
