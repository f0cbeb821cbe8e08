"""Which renderer a stream gets, and the plain one."""

import io
import os
import subprocess
import sys

from aigc_cli.config import Settings
from aigc_cli.events import Delta, Done, FinishReason, Prefill, Stats
from aigc_cli.render.plain import PlainView
from aigc_cli.render.terminal import TerminalView
from aigc_cli.render.view import View, open_view
from tests.render.screens import RecordingStream
from tests.render.test_console import XTERM, Tty

RAW = "**b** \x1b[31m中\r\n```py\nx\n```"


def play(view: View, *texts: str) -> None:
    view.show(Prefill(1, 2, 0))
    for text in texts:
        view.show(Delta(text))
    view.show(Done(FinishReason.STOP, Stats()))
    view.close()
    view.close()


def test_a_pipe_gets_the_text_byte_for_byte() -> None:
    stream = io.StringIO(newline="")
    play(open_view(stream, XTERM, Settings()), *RAW)
    assert stream.getvalue() == RAW


def test_each_piece_reaches_the_pipe_at_once() -> None:
    stream = RecordingStream()
    view = PlainView(stream)
    view.show(Delta("a"))
    view.show(Delta("b"))
    assert stream.writes == ["a", "b"]


def test_raw_on_a_terminal_is_not_rendered_but_safe_and_ends_its_line() -> None:
    stream = Tty(newline="")
    play(open_view(stream, XTERM, Settings(), raw=True), RAW)
    assert stream.getvalue() == "**b** 中\n```py\nx\n```\n"


def test_a_dumb_terminal_gets_plain_text() -> None:
    assert isinstance(open_view(Tty(), {"TERM": "dumb"}, Settings()), PlainView)


def test_a_terminal_gets_rendered_markdown() -> None:
    assert isinstance(open_view(Tty(), XTERM, Settings()), TerminalView)


def test_colour_asked_for_in_a_pipe_moves_no_cursor() -> None:
    stream = io.StringIO(newline="")
    size = os.terminal_size((40, 24))
    play(
        open_view(stream, XTERM, Settings(color="always"), size=lambda: size),
        *"**b** c\n\n| a |\n|--|\n| 1 |\n",
    )
    assert stream.getvalue() == "\x1b[1mb\x1b[0m c\n\n\x1b[1ma\x1b[0m\n\x1b[2m─\x1b[0m\n1\n"


def test_no_colour_on_a_terminal_keeps_the_marks_that_would_be_lost() -> None:
    stream = Tty(newline="")
    play(
        open_view(stream, XTERM, Settings(color="never"), size=lambda: os.terminal_size((60, 24))),
        "## h\n**b** `c`\n",
    )
    assert stream.getvalue() == "## h\r\n**b** `c`\r\n"


def test_importing_the_views_imports_no_renderer() -> None:
    code = (
        "import sys, aigc_cli.render.view, aigc_cli.render.plain, aigc_cli.render.progress\n"
        "print([name for name in ('rich', 'pygments', 'markdown_it') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
