"""The results of benchmarks: kept, compared, drawn."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import report
from benchmarks.drawing import draw
from benchmarks.home import Home
from benchmarks.report import comparison, figure
from benchmarks.results import OURS, Growth, Results, Row, alternate, at_least, at_most
from benchmarks.rivals import Rival, compare

ROW = Row("speed", "how fast", "tokens/s", {OURS: [10.0, 12.0, 9.0], "other": [8.0, 8.0, 9.0]})
GROWTH = Growth("reply", "a reply", "tokens", "ms", {OURS: [(100, 50.0), (4000, 61.5)], "a & b": [(100, 49)]})


def test_what_was_kept_is_read_again_and_a_newer_row_replaces_an_older_one(tmp_path: Path) -> None:
    results = Results({"day": "today"})
    results.add(ROW)
    results.add(GROWTH)
    results.save(tmp_path / "r.json")
    again = Results.load(tmp_path / "r.json")
    again.add(Row("speed", "how fast", "tokens/s", {OURS: [1 / 3]}, (at_least(1.3, "other"),)))
    again.save(tmp_path / "r.json")
    last = Results.load(tmp_path / "r.json")
    assert (last.about, list(last.growth)) == ({"day": "today"}, ["reply"])
    assert (last.rows["speed"].samples, last.rows["speed"].bars) == (
        {OURS: [0.33333]},
        [at_least(1.3, "other")],
    )


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ROW.ratio("other") == pytest.approx(1.25)  # of 1.25, 1.5 and 1; the medians' ratio is another one


@pytest.mark.parametrize(
    ("bar", "ratio", "holds"),
    [(at_least(1.3, "x"), 1.3, True), (at_least(1.3, "x"), 1.29, False), (at_most(0.75, "x"), 0.76, False)],
)
def test_a_bar_holds_from_its_limit_on(bar: object, ratio: float, holds: bool) -> None:  # noqa: FBT001  # a case
    assert bar.holds(ratio) is holds  # type: ignore[attr-defined]


def test_rounds_take_turns() -> None:
    calls: list[str] = []

    def measure(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    samples = alternate(2, {"a": lambda: measure("a"), "b": lambda: measure("b")})
    assert (calls, samples) == (["a", "b", "b", "a"], {"a": [1, 4], "b": [2, 3]})


def test_a_program_that_is_not_there_is_told_and_nothing_fails() -> None:
    rivals = [Rival("sh", "sh", lambda _path: 2.0), Rival("none", "no-such-program", lambda _path: 0.0)]
    row = Row("speed", "how fast", "s", {}, (at_most(1, "sh"), at_most(1, "none")))
    measured = compare(row, 2, lambda: 1.0, rivals)
    assert measured.samples == {OURS: [1, 1], "sh": [2, 2]}
    results = Results()
    results.add(measured)
    shown = comparison(results)
    assert "| how fast, s | 1.00 (1.00 to 1.00) | sh | 2.00 (2.00 to 2.00) | 0.50 | ≤ 1, holds |" in shown
    assert "|  |  | none | not found |  |  |" in shown


def test_a_figure_has_its_spread() -> None:
    assert figure([1234.5], "MB") == "1,234"
    assert figure([3.0, 1.0, 2.0], "s") == "2.00 (1.00 to 3.00)"


def test_a_plot_is_svg_with_every_point_inside() -> None:
    root = ET.fromstring(draw(GROWTH))
    circles = [node for node in root if node.tag.endswith("circle")]
    assert len(circles) == 3
    assert all(0 < float(c.get("cx", 0)) < 640 and 0 < float(c.get("cy", 0)) < 300 for c in circles)
    assert "a & b" in "".join(root.itertext())


def test_a_plot_over_powers_of_ten_spreads_them_evenly() -> None:
    points = [(10.0, 1.0), (100.0, 1.0), (1000.0, 1.0), (10_000.0, 1.0)]
    root = ET.fromstring(draw(Growth("s", "s", "kept", "s", {OURS: points})))
    xs = [float(node.get("cx", 0)) for node in root if node.tag.endswith("circle")]
    steps = [right - left for left, right in pairwise(xs)]
    assert max(steps) - min(steps) < 0.3


def test_every_plot_is_shown_and_no_other_is_kept() -> None:
    assert {path.name for path in report.PLOTS.glob("*")} == {path.name for path in report.plots()}


def test_a_question_is_never_the_same_twice(tmp_path: Path) -> None:
    home = Home(tmp_path / "m.gguf", tmp_path, 5)
    assert (home.question() != home.question(), home.few) == (True, 3)
