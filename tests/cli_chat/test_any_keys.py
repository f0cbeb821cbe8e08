"""Ten thousand random sequences of keys into the program: no traceback, no hang, the terminal restored."""

import random
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pexpect
import pytest

from tests.cli_chat.terminal import (
    ALT_ENTER,
    CTRL_C,
    CTRL_D,
    CTRL_R,
    EDITOR,
    ENTER,
    ESCAPE,
    NEWLINE,
    TAB,
    UP,
    Terminal,
    chat_terminal,
    is_cooked,
    paste,
)

N_SEQUENCES, LONGEST, N_AT_ONCE = 10_000, 4, 250
HANG_S = 60.0
RETRY_S = 10.0
QUIET_S = 0.06  # longer than Escape may become Alt and a key in vi mode
# No backticks, quotes or redirections: what stands behind a `!` really runs.
WORDS = [
    "hello", "你好", "🎉", "👩‍💻", "x" * 70, " ", "y", "n", ".", "@", "@f", "@/", "/", "~~~c", "# h", "| a |",
    "* b", "/help", "/undo", "/retry", "/edit", "/context", "/set", "/set top_p 0.5", "/drop all", "/compact",
    "/run", "/stats", "/new", "/clear", "/model", "/copy", "/save", "/file f", "/system x", "!true",
    "!echo hi", "?",
]  # fmt: skip
KEYS = [
    ALT_ENTER, NEWLINE, TAB, CTRL_R, UP, "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[3~", "\x7f",
    "\x01", "\x05", "\x0b", "\x15", "\x17", "\x19", "\x14", "\x0c", "\x1f", "\x07", "\x0e", "\x10", "\x16",
    "\x18", ESCAPE, "\x1bb", "\x1bd", "\x1bu", "\x1b[5~", "\x1b[1;5D", "\x1bOP", "\x1b[24~", EDITOR,
    '"""', paste("one\ntwo\r\n\tthree"), paste(""), "\x1b[200~", "\x1b[201~", "\x1b[", "\x1b[999z",
    "\x1b[5;5R",     "\x1b[<0;3;3M", "\x1b]11;?\x07", "\0", "\u202e", "\ufffd",
]  # fmt: skip
GREETING = "Ctrl-D leaves"
STARTING = re.compile(r"exit code \d.*?Ctrl-D leaves", re.DOTALL)  # Ctrl-C meets Python's own imports there
LEAVING = [CTRL_D, CTRL_C + CTRL_C, f"/exit{ENTER}", f":q{ENTER}"]


def sequence(rng: random.Random) -> str:
    pools: list[list[str]] = [WORDS, KEYS, [ENTER], [f"aa{CTRL_C}"]]
    return "".join(rng.choice(rng.choices(pools, [6, 9, 3, 1])[0]) for _ in range(rng.randint(1, LONGEST)))


def read(terminal: Terminal) -> bool:
    """Take in what there is; False when nothing came for a while."""
    try:
        piece = terminal.process.read_nonblocking(65_536, timeout=QUIET_S)
    except pexpect.TIMEOUT:
        return False
    terminal.raw += piece
    if "\x1b[6n" in piece:
        terminal.send("\x1b[1;1R")
    return True


def writes(terminal: Terminal, wanted: str, patience_s: float) -> bool:
    """Whether the program writes `wanted` soon; only bytes are kept, a screen would take too long."""
    start, deadline = len(terminal.raw), time.monotonic() + patience_s
    while wanted not in terminal.raw[start:]:
        read(terminal)
        if time.monotonic() > deadline:
            return False
    return True


def back_to_the_prompt(mode: str) -> list[str]:
    """Keys out of a paste, a search, an offer, a menu or a block; in that order they never leave the chat."""
    clear = [ESCAPE, f"ix{CTRL_C}"] if mode == "vi" else [f"x{CTRL_C}"]
    return ["\x1b[201~", *clear, *clear]


def answers(terminal: Terminal, mode: str, question: str) -> bool:
    """Whether the chat still answers; asked again, for keys pressed while a command runs are its own."""
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        for part in back_to_the_prompt(mode):
            terminal.send(part)
            while read(terminal):
                continue
        terminal.send(f"x{CTRL_C}{question}{ENTER}")
        if writes(terminal, f"pong {question}", 1.0):
            return True
    return False


def leaves(terminal: Terminal, mode: str, keys: str, has_left: Callable[[], bool]) -> bool:
    """Whether these keys end the chat; pressed again, for on a busy machine it may still be replying."""
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        terminal.send(keys)
        patience = time.monotonic() + RETRY_S
        while time.monotonic() < patience:
            read(terminal)
            if has_left():
                return True
        for part in back_to_the_prompt(mode):
            terminal.send(part)
            while read(terminal):
                continue
    return False


@pytest.mark.timeout(600)  # it takes a quarter of a minute on a machine that is not busy
@pytest.mark.parametrize("mode", ["emacs", "vi"])
def test_random_keys_leave_a_chat_that_answers(tmp_path: Path, mode: str) -> None:
    (tmp_path / "f").write_text("a file\n", encoding="utf-8")
    rng = random.Random(f"{mode} keys")
    env = {"AIGC_EDIT_MODE": mode, "VISUAL": "true"}
    replies = ["pong {prompt}\n\n```sh\necho ran\n```\n"]
    with chat_terminal(tmp_path, replies=replies, until=tmp_path / "enough", env=env) as terminal:
        assert writes(terminal, GREETING, HANG_S)
        for n in range(N_SEQUENCES // 2 // N_AT_ONCE):
            keys = "".join(sequence(rng) for _ in range(N_AT_ONCE))
            terminal.send(keys)
            if not answers(terminal, mode, f"ping {n} end"):
                pytest.fail(f"it hangs after {keys!r}; the screen:\n{terminal.drawn_anew()}")
            if n % 10 == 0:
                while read(terminal):
                    continue
                greetings = terminal.raw.count(GREETING)
                has_left = partial(lambda n: terminal.raw.count(GREETING) > n, greetings)
                assert leaves(terminal, mode, rng.choice(LEAVING), has_left), terminal.drawn_anew()
        _, trace, rest = STARTING.sub("", terminal.raw).partition("Traceback")
        assert not trace, rest[:3_000]
        (tmp_path / "enough").touch()
        assert leaves(terminal, mode, f"/exit{ENTER}", lambda: is_cooked(terminal)), terminal.drawn_anew()
