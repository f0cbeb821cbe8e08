"""Replies on a screen: golden screens, streaming, scrollback, resizing, hostile text."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_cli.events import Delta, Done, FinishReason, Stats
from aigc_cli.render.console import ColorDepth, TerminalTraits
from tests.render.screens import Terminal, cut, show

GOLDEN = Path(__file__).parent / "golden"
# read at import: the tests' own environment has no AIGC_ variables
UPDATE = os.environ.get("AIGC_UPDATE_GOLDEN") == "1"
REPLIES = sorted(path.stem for path in GOLDEN.glob("*.md"))


@pytest.mark.parametrize("columns", [80, 40, 20])
@pytest.mark.parametrize("name", REPLIES)
def test_golden_screen(name: str, columns: int) -> None:
    reply = (GOLDEN / f"{name}.md").read_text(encoding="utf-8")
    seen = show(cut(reply, 5), columns) + "\n"
    golden = GOLDEN / f"{name}.{columns}.txt"
    if UPDATE:
        golden.write_text(seen, encoding="utf-8")
    assert seen == golden.read_text(encoding="utf-8"), f"the screen was:\n{seen}"


@pytest.mark.parametrize("columns", [80, 20])
@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_streamed_by_character_leaves_what_a_reply_in_one_piece_leaves(
    name: str, columns: int
) -> None:
    reply = (GOLDEN / f"{name}.md").read_text(encoding="utf-8")
    assert show(list(reply), columns, lines=12) == show(reply, columns, lines=12)


ATOMS = [
    *(
        "a",
        "word ",
        "**",
        "*",
        "_",
        "`",
        "``",
        "```",
        "~~~",
        "~~",
        "[",
        "](",
        "http://x",
        ")",
        "]",
        "\n",
        "\n\n",
    ),
    *("# ", "## ", "- ", "  - ", "    ", "1. ", "2) ", "> ", "|", "|a|b|\n|--|:-:|\n", "| x |", "---", "***"),
    *(
        "===",
        "中文",
        "。",
        "，",
        "（",
        "😀",
        "👩\u200d💻",
        "\\",
        "<",
        "&amp;",
        "&#x202e;",
        "- [ ] ",
        "- [x] ",
        "\t",
    ),
    *(
        "```python\n",
        "def f():\n",
        "'''",
        "/*",
        "*/",
        "\n```\n",
        "  ",
        "0",
        "\x1b[31m",
        "\x1b]0;t\x07",
        "\r\n",
    ),
]
MARKDOWN = st.lists(st.sampled_from(ATOMS), max_size=40).map("".join)


@settings(max_examples=150, deadline=None)
@given(MARKDOWN, st.lists(st.integers(0, 150), max_size=4), st.sampled_from([5, 20, 40]))
def test_any_chunking_gives_the_same_screen_and_scrollback(
    text: str, places: list[int], columns: int
) -> None:
    bounds = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds)]
    whole = show(text, columns, lines=10)
    assert show(pieces, columns, lines=10) == whole
    assert show(list(text), columns, lines=10) == whole


@settings(max_examples=100, deadline=None)
@given(MARKDOWN, st.lists(st.tuples(st.integers(0, 60), st.integers(3, 60), st.integers(3, 30)), max_size=4))
def test_resizing_at_any_time_breaks_nothing(text: str, resizes: list[tuple[int, int, int]]) -> None:
    terminal = Terminal(40, 12)
    for index, char in enumerate(text):
        for place, columns, lines in resizes:
            if place == index:
                terminal.resize(columns, lines)
        terminal.feed(char)
    terminal.close()
    assert terminal.screen.cursor.x == 0


def test_words_are_each_there_once_after_resizing_in_mid_stream() -> None:
    words = [f"word{number:03}" for number in range(200)]
    terminal = Terminal(60, 10)
    for number, word in enumerate(words):
        if number % 40 == 20:
            # the screen itself stays: pyte cuts its rows where a terminal would wrap them anew
            terminal.window = os.terminal_size((20 + number * 7 % 40, 10))
        terminal.feed(word + " ")
    assert "".join("".join(terminal.close().rows).split()) == "".join(words)


@pytest.mark.parametrize("window", [(50, 10), (80, 10), (80, 20), (30, 10)])
@pytest.mark.parametrize("start", ["", "> ", "- "])
def test_a_line_of_code_is_not_broken_by_a_resize_that_leaves_it_room(
    window: tuple[int, int], start: str
) -> None:
    terminal = Terminal(60, 10)
    inside = start.replace("-", " ")
    terminal.feed(f"Some words before.\n\n{start}```python\n{inside}print('one line ")
    terminal.resize(*window)
    terminal.feed(f"of code')\n{inside}```\n\nAnd more words.\n")
    rows = terminal.close().rows
    assert [row for row in rows if "print" in row or "of code" in row] == [
        next(row for row in rows if row.endswith("print('one line of code')"))
    ]


def test_prose_is_wrapped_for_the_new_width_at_once() -> None:
    terminal = Terminal(30, 10)
    terminal.feed("Several words stand here, and ")
    terminal.resize(60, 10)
    terminal.feed("they go on in the same row.")
    assert "Several words stand here, and they go on in the same row." in terminal.close().rows


def test_open_prose_and_open_code_are_visible_at_once() -> None:
    terminal = Terminal()
    assert terminal.feed("Hello, wor").text == "Hello, wor"
    assert terminal.feed("ld").text == "Hello, world"
    assert terminal.feed("\n\n```python\nfor x").text == "Hello, world\n\n─── python\nfor x"
    assert terminal.feed(" in y").text.endswith("for x in y")


def test_emphasis_is_styled_before_it_is_closed() -> None:
    terminal = Terminal().feed("very **bo")
    assert terminal.text == "very bo"
    assert terminal.screen.buffer[0][5].bold


def test_a_table_shows_its_rows_while_it_grows() -> None:
    terminal = Terminal().feed("| a | b |\n|---|--:|\n| 1 | 2 |\n| long cell")
    assert terminal.text == "a         │ b\n──────────┼──\n1         │ 2\nlong cell │"


def test_a_final_row_is_never_written_again() -> None:
    reply = "\n\n".join(f"paragraph {number} " + "with some words " * 6 for number in range(50))
    terminal = Terminal(60, 24).feed(*cut(reply, 4)).close()
    written = terminal.stream.getvalue()
    # a paragraph of two rows may be redrawn while it is open, not once the next one has begun
    assert len(written) < 2.5 * len(reply)
    assert "\x1b[J" not in written
    assert "\x1b[H" not in written


def test_one_event_is_one_write() -> None:
    terminal = Terminal()
    for piece in cut("# T\n\ntext **bold**\n\n```py\nx = 1\n```\n| a |\n|---|\n| 1 |\n", 3):
        before = len(terminal.stream.writes)
        terminal.feed(piece)
        assert len(terminal.stream.writes) <= before + 1


def test_the_end_of_a_reply_leaves_the_cursor_on_a_fresh_line_without_style() -> None:
    terminal = Terminal().feed("some **bold")
    terminal.view.show(Done(FinishReason.LENGTH, Stats()))
    terminal.close()
    assert (terminal.screen.cursor.x, terminal.screen.cursor.y) == (0, 1)
    terminal.parser.feed("x")
    assert not terminal.screen.buffer[1][0].bold
    assert terminal.text == "some **bold\nx"


def test_a_table_taller_than_the_window_is_there_once() -> None:
    rows = [f"| row{number} | {'中' * (number % 7)} |" for number in range(60)]
    reply = "| name | 值 |\n|---|---|\n" + "\n".join(rows) + "\n\nend\n"
    text = show(cut(reply, 3), 30, lines=8)
    assert [line.split()[0] for line in text.splitlines() if "row" in line] == [f"row{n}" for n in range(60)]
    assert text.count("name") == 1
    assert text.endswith("\n\nend")


def test_a_line_longer_than_the_window_is_there_once() -> None:
    for opening in ("", "```\n"):
        text = show([opening, *(["abcdefghi "] * 300)], 20, lines=6)
        assert "".join(text.split()).count("abcdefghi") == 300


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b]8;;http://evil\x1b\\",
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x1b[5A",
        "\x9b2J",
        "\x9d0;title\x9c",
        "\x1bP1;1|\x1b\\",
        "\x08\x08",
        "\u202e",
        "&#x202e;",
        "&#27;[2J",
        "\x1b]0;never closed",
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "**{}**", "`{}`", "```\n{}\n```", "```{}\nx\n```", "[x]({})", "|{}|\n|--|\n|{}|"]
)
def test_no_sequence_from_a_model_reaches_the_terminal(attack: str, around: str) -> None:
    plain = TerminalTraits(is_terminal=True, depth=ColorDepth.NONE, moves_cursor=False)
    for theme in ("dark", "none"):
        terminal = Terminal(traits=plain, theme=theme)
        for char in around.replace("{}", attack):
            terminal.view.show(Delta(char))
        terminal.view.close()
        assert not set(terminal.stream.getvalue()) & set("\x1b\x9b\x9d\x9c\x90\x07\x08\u202e")


def test_bidirectional_overrides_are_visible_marks() -> None:
    assert show("if admin \u202e\u2066begin: `\u2066x`") == "if admin ⟪U+202E⟫⟪U+2066⟫begin: ⟪U+2066⟫x"


def test_a_window_of_two_columns_drops_the_markers_and_keeps_the_text() -> None:
    text = show("- a **b** 中\n\n| x | y |\n|---|---|\n| 1 | 2 |\n", 2)
    assert "".join(text.split()) == "ab中x:1y:2──"


@pytest.mark.parametrize("theme", ["auto", "dark", "light", "ansi", "none"])
@pytest.mark.parametrize("depth", list(ColorDepth))
def test_every_theme_and_depth_shows_the_same_code(theme: str, depth: ColorDepth) -> None:
    terminal = Terminal(traits=TerminalTraits(is_terminal=True, depth=depth, moves_cursor=True), theme=theme)
    text = terminal.feed("```python\ndef f():\n    return 'x'  # 注释\n```\n").close().text
    assert "def f():\n    return 'x'  # 注释" in text
    colored = any(terminal.screen.buffer[2][column].fg != "default" for column in range(20))
    assert colored == (theme != "none" and depth is not ColorDepth.NONE)
