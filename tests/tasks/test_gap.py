import pytest

from aigc_cli.errors import UsageError
from aigc_cli.tasks.gap import Gap, Kind, Place, gap_at, read_place

TEXT = "def f():\n    中文 = 1\n\n"


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("a.py:3", Place("a.py", 3)),
        ("a.py:3:4", Place("a.py", 3, 4)),
        ("dir/a:b.py:3", Place("dir/a:b.py", 3)),
        ("C:/a.py:3:4", Place("C:/a.py", 3, 4)),
        ("-:1", Place("-", 1)),
    ],
)
def test_a_place_is_taken_apart(word: str, place: Place) -> None:
    assert read_place(word) == place


@pytest.mark.parametrize("word", ["", "a.py", "a.py:", "a.py:x", ":3", "a.py:3:", "a.py:-1"])
def test_what_names_no_line_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="names no line"):
        read_place(word)


@pytest.mark.parametrize(
    ("line", "column", "before"),
    [
        (1, None, "def f():"),
        (1, 1, ""),
        (2, 7, "def f():\n    中文"),  # characters, not bytes and not cells
        (2, 11, "def f():\n    中文 = 1"),
        (4, None, TEXT),
    ],
)
def test_lines_and_columns_count_from_one(line: int, column: int | None, before: str) -> None:
    gap = gap_at(Place("a.py", line, column), TEXT, None)
    assert (gap.prefix, gap.filled("")) == (before, TEXT)


@pytest.mark.parametrize(("line", "column"), [(0, None), (5, None), (2, 12), (1, 0)])
def test_a_place_that_is_not_there_is_refused_with_what_is(line: int, column: int | None) -> None:
    with pytest.raises(UsageError) as refusal:
        gap_at(Place("a.py", line, column), TEXT, None)
    assert "1 to" in refusal.value.hint


@pytest.mark.parametrize(
    ("prefix", "suffix", "kind", "next_line"),
    [
        ("f(", ")\nx", Kind.LINE, "x"),
        ("if a:", "\n\n  b", Kind.BLOCK, "  b"),
        ("if a:", "  \nb", Kind.BLOCK, "b"),
        ("a\n  ", "b\nc", Kind.BEFORE, "  b"),
        ("", "b", Kind.BEFORE, "b"),
        ("", "", Kind.BLOCK, ""),
    ],
)
def test_what_a_gap_is_a_part_of(prefix: str, suffix: str, kind: Kind, next_line: str) -> None:
    gap = Gap("a", None, prefix, suffix)
    assert (gap.kind, gap.next_line) == (kind, next_line)
