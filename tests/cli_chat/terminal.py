"""The chat as a person sees it: the real program in a pseudo-terminal, its screen in a terminal emulator."""

import os
import re
import shlex
import signal
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pyte
import pytest

from tests.scripted_aigc import scripted_argv, seen_requests

PATIENCE_S = 60.0  # it costs nothing where all is well; a busy machine may need much of it
ENTER, ALT_ENTER, NEWLINE = "\r", "\x1b\r", "\n"
CTRL_C, CTRL_D, CTRL_R, UP, TAB, EDITOR = "\x03", "\x04", "\x12", "\x1b[A", "\t", "\x18\x05"
ESCAPE = "\x1b"
PROMPT = re.compile(r"^> ", re.MULTILINE)


class Terminal:
    """A window with a program in it; a failed expectation shows the screen."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path, columns: int, lines: int) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=5000, ratio=0.5)
        self._stream = pyte.Stream(self.screen)
        self.process: pexpect.spawn[str] = pexpect.spawn(
            argv[0], argv[1:], env=env, cwd=str(cwd), dimensions=(lines, columns), encoding="utf-8", timeout=5
        )
        self.process.delaybeforesend = None
        self.raw = ""
        self.answers_cursor_questions = True

    @property
    def text(self) -> str:
        """What is in the window now."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    @property
    def scrollback(self) -> str:
        """What has scrolled out of the window, and the window."""
        above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, self.text])

    def send(self, keys: str) -> None:
        self.process.send(keys)

    def enter(self, text: str) -> None:
        """Type a line, wait until it stands there, and press Enter."""
        self.send(text)
        self.wait(lambda: text[-8:] in self.text.replace("\n", ""), f"{text!r} typed")
        self.send(ENTER)

    def expect(self, what: str) -> None:
        self.wait(lambda: what in self.text, f"{what!r} on the screen")

    def expect_prompt(self, last_line: str = ">") -> None:
        """Wait until the program reads keys at an empty prompt."""
        self.wait(lambda: self.text_lines_before_toolbar()[-1:] == [last_line], f"a prompt {last_line!r}")

    def text_lines_before_toolbar(self) -> list[str]:
        lines = [line for line in self.text.split("\n") if line]
        return lines[:-1]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline or not self._read():
                if condition():
                    return
                pytest.fail(f"no {what}; the screen:\n{self.framed()}", pytrace=True)

    def expect_end(self, exit_code: int = 0) -> None:
        """Wait until the program is gone."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read():
            if time.monotonic() > deadline:
                pytest.fail(f"it still runs; the screen:\n{self.framed()}")
        self.process.wait()
        status = self.process.exitstatus
        assert status == exit_code, f"exit code {status}; the screen:\n{self.framed()}"

    def terminate_child(self) -> None:
        """SIGTERM to the chat that runs under the window's shell."""
        psutil.Process(self.process.pid).children()[0].terminate()

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        self.process.setwinsize(lines, columns)

    def wait_for_request(self, folder: Path, n: int = 1) -> None:
        """Wait until the engine was asked so often: from then on Ctrl-C belongs to the reply."""
        self.wait(lambda: len(seen_requests(folder)) >= n, f"request {n}")

    def settle(self, quiet_s: float = 0.3) -> None:
        """Read until nothing has come for a while."""
        deadline = time.monotonic() + quiet_s
        while time.monotonic() < deadline:
            if self._read():
                continue

    def framed(self) -> str:
        border = "+" + "-" * self.screen.columns + "+"
        rows = [f"|{line}|" for line in self.screen.display]
        return "\n".join([border, *rows, border])

    def drawn_anew(self) -> str:
        """The screen after the last of `raw`, for a test that only kept the bytes."""
        self._stream.feed(self.raw[-20_000:])
        return self.framed()

    def close(self) -> None:
        if self.process.isalive():
            self.process.kill(signal.SIGKILL)
        self.process.close()

    def _read(self) -> bool:
        """Take in what the program wrote; False once it is gone."""
        try:
            text = self.process.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += text
        if "\x1b[6n" in text and self.answers_cursor_questions:
            before, _, after = text.rpartition("\x1b[6n")
            self._stream.feed(before)
            self.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")
            text = after
        self._stream.feed(text)
        return True


@contextmanager
def chat_terminal(
    folder: Path,
    *args: str,
    shell: bool = False,
    until: Path | None = None,
    columns: int = 80,
    lines: int = 24,
    env: dict[str, str] | None = None,
    **script: Any,
) -> Iterator[Terminal]:
    """`aigc chat` with a scripted model in a window; `folder` is its home and current directory.

    With `shell`, a shell runs it, tells its exit code and waits; with `until`, it starts it again and again
    until there is such a file.
    """
    script.setdefault("replies", ["Understood."])
    argv = [*scripted_argv(folder, **script), "chat", *args]
    if shell:
        argv = ["/bin/sh", "-c", f"trap : INT; {shlex.join(argv)}; echo exit code $?; read wait"]
    if until:
        again = f"until test -e {shlex.quote(str(until))}; do {shlex.join(argv)}; echo exit code $?; done"
        argv = ["/bin/sh", "-c", f"trap : INT; {again}; read wait"]
    world = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AIGC_HOME": str(folder / "aigc"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        **(env or {}),
    }
    terminal = Terminal(argv, world, folder, columns, lines)
    try:
        yield terminal
    finally:
        terminal.close()


def is_cooked(terminal: Terminal) -> bool:
    """Whether the window echoes, edits lines and makes Enter a newline, as a shell needs it."""
    attributes = termios.tcgetattr(terminal.process.child_fd)
    wanted = termios.ECHO | termios.ICANON | termios.ISIG
    return bool(attributes[0] & termios.ICRNL) and attributes[3] & wanted == wanted


def asked(folder: Path) -> list[str]:
    """The last message of each request."""
    return [request["messages"][-1][1] for request in seen_requests(folder)]


def paste(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"
