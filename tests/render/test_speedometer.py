"""The speed below a growing reply: seen while it grows, gone without a trace at its end."""

from itertools import count
from pathlib import Path

import pytest

from aigc_cli.render.console import ColorDepth
from aigc_cli.render.progress import Speedometer
from tests.render.screens import Terminal, cut, show

GOLDEN = Path(__file__).parent / "golden"
REPLIES = sorted(path.stem for path in GOLDEN.glob("*.md"))
TOKEN_S = 0.1


def terminal(columns: int = 60, lines: int = 24) -> Terminal:
    """A window whose clock goes on by a tenth of a second with each token."""
    ticks = count()
    speedometer = Speedometer(lambda: next(ticks) * TOKEN_S, ColorDepth.TRUECOLOR)
    return Terminal(columns, lines, speedometer=speedometer)


def test_the_speed_stands_below_the_reply_while_it_grows() -> None:
    window = terminal().feed(*(f"word{n} " for n in range(8)), "\n\n", "next")
    assert window.text.splitlines()[-2:] == ["next", "10.0 tok/s"]
    assert window.text.count("tok/s") == 1


@pytest.mark.parametrize("columns", [80, 20])
@pytest.mark.parametrize("name", REPLIES)
def test_nothing_of_it_is_left_when_the_reply_ends(name: str, columns: int) -> None:
    reply = (GOLDEN / f"{name}.md").read_text(encoding="utf-8")
    pieces = cut(reply, 3)
    assert terminal(columns, 12).feed(*pieces).close().text == show(pieces, columns, 12)


def test_an_interrupted_reply_keeps_its_text_only() -> None:
    window = terminal().feed(*(f"word{n} " for n in range(8))).close()
    assert window.text == " ".join(f"word{n}" for n in range(8))


def test_a_resize_in_mid_stream_leaves_no_speed_in_the_reply() -> None:
    window = terminal(40, 12).feed(*(f"line {n}\n\n" for n in range(9)))
    assert "tok/s" in window.text
    window.resize(30, 12)
    window.feed("more\n\n", "end\n").close()
    assert "tok/s" not in window.text
    assert [row for row in window.rows if row] == [*(f"line {n}" for n in range(9)), "more", "end"]
