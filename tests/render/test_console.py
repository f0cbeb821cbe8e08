"""Colour policy, and what of a model's text may reach a terminal."""

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.render.console import ColorDepth, Sanitizer, background, detect_traits, sanitize, window_size


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("is_terminal", "env", "color", "depth", "moves_cursor"),
    [
        (True, XTERM, "auto", ColorDepth.ANSI256, True),
        (True, {"TERM": "xterm"}, "auto", ColorDepth.ANSI16, True),
        (True, {**XTERM, "COLORTERM": "truecolor"}, "auto", ColorDepth.TRUECOLOR, True),
        (True, {**XTERM, "NO_COLOR": "0"}, "auto", ColorDepth.NONE, True),
        (True, {**XTERM, "NO_COLOR": ""}, "auto", ColorDepth.ANSI256, True),
        (True, {**XTERM, "NO_COLOR": "1"}, "always", ColorDepth.ANSI256, True),
        (True, {**XTERM, "NO_COLOR": "1", "FORCE_COLOR": "1"}, "auto", ColorDepth.NONE, True),
        (True, XTERM, "never", ColorDepth.NONE, True),
        (True, {"TERM": "dumb"}, "auto", ColorDepth.NONE, False),
        (True, {"TERM": "dumb"}, "always", ColorDepth.ANSI16, False),
        (False, XTERM, "auto", ColorDepth.NONE, False),
        (False, XTERM, "always", ColorDepth.ANSI256, False),
        (False, {**XTERM, "FORCE_COLOR": "1"}, "auto", ColorDepth.ANSI256, False),
        (False, {**XTERM, "FORCE_COLOR": "0"}, "auto", ColorDepth.NONE, False),
        (False, {**XTERM, "FORCE_COLOR": "1"}, "never", ColorDepth.NONE, False),
    ],
)
def test_flags_beat_variables_and_variables_beat_what_the_stream_is(
    *, is_terminal: bool, env: dict[str, str], color: str, depth: ColorDepth, moves_cursor: bool
) -> None:
    traits = detect_traits(Tty() if is_terminal else io.StringIO(), env, color)
    assert (traits.is_terminal, traits.depth, traits.moves_cursor) == (is_terminal, depth, moves_cursor)


@pytest.mark.parametrize(
    ("value", "seen"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;7", "light"), ("", "auto"), ("x", "auto")],
)
def test_the_background_is_what_the_terminal_says(value: str, seen: str) -> None:
    assert background({"COLORFGBG": value}) == seen


def test_a_stream_without_a_window_has_the_usual_size() -> None:
    assert window_size(io.StringIO()) == (80, 24)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain 中文 😀\n\tindented", "plain 中文 😀\n\tindented"),
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b[2J\x1b[10;10Hx\x1b[?1049h", "x"),
        ("\x1b]52;c;ZXZpbA==\x07paste", "paste"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
        ("\x1b_Gkitty\x1b\\image", "image"),
        ("\x9b31mC1 \x9d0;title\x9c.", "C1 ."),
        ("\x1b]0;never ends\nnext line", "\nnext line"),
        ("\x1b]0;aborted\x18text", "text"),
        ("\x1b(Bcharset\x1bcreset\x1b7", "charsetreset"),
        ("\x1b[31\nm", "\nm"),
        ("\x1b", ""),
        ("\x1b\x1b[31mx", "x"),
        ("back\x08space bell\x07 del\x7f", "backspace bell del"),
        ("dos\r\nlone\rcr", "dos\nlonecr"),
        ("a\u202eb\u2066c", "a⟪U+202E⟫b⟪U+2066⟫c"),
        ("zero\u200bwidth\ufeff", "zero⟪U+200B⟫width⟪U+FEFF⟫"),
        ("hid\u200dden", "hid⟪U+200D⟫den"),
        ("👩\u200d💻 ❤\ufe0f", "👩\u200d💻 ❤\ufe0f"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"),
        ("tag\U000e0041", "tag⟪U+E0041⟫"),
        ("half \ud800 pair", "half \ufffd pair"),
    ],
)
def test_nothing_that_controls_a_terminal_survives(text: str, safe: str) -> None:
    assert sanitize(text) == safe


HOSTILE = st.lists(
    st.sampled_from(
        [
            *"\x1b\x9b\x9d\x07\\[]PX;m0A\n\r\t \x18",
            "中",
            "👩",
            "\u200d",
            "\u202e",
            "🏴",
            "\U000e0067",
            "\ud800",
        ]
    )
    | st.characters(codec="utf-8"),
    max_size=40,
).map("".join)


@given(HOSTILE, st.lists(st.integers(0, 40), max_size=5))
def test_any_chunking_is_sanitized_like_the_whole(text: str, places: list[int]) -> None:
    sanitizer, start, parts = Sanitizer(), 0, []
    for place in sorted(places):
        parts.append(sanitizer.feed(text[start:place]))
        start = max(start, place)
    assert "".join(parts) + sanitizer.feed(text[start:]) + sanitizer.flush() == sanitize(text)


@given(HOSTILE)
def test_no_control_character_is_left(text: str) -> None:
    left = {char for char in sanitize(text) if unicodedata.category(char) in ("Cc", "Cs")}
    assert left <= {"\n", "\t"}
    assert not set(sanitize(text)) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
