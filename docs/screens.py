"""Captures the pictures in docs/screens/ from real runs: a shell, a window of 80 columns, the real model.

    aigc models pull qwen2.5-coder-1.5b
    python -m docs.screens [NAME ...]

Keys are typed into the shell's terminal, an emulator keeps the screen, and what it shows at the end becomes
an SVG file. Nothing is retouched. The seed is fixed: the same build says the same on the same machine.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from pyte.screens import Char
from rich.cells import cell_len

from aigc_cli.cli.inspect_step import QUESTION as STEP_QUESTION
from aigc_cli.config import Directories
from tests.cli_chat.terminal import CTRL_D, ENTER, Terminal

FOLDER = Path(__file__).parent / "screens"
COLUMNS, LINES = 80, 24
PATIENCE_S = 1200.0
SHELL_PROMPT = "$ "
CHAT_PROMPT = "> "
MODEL = "qwen2.5-coder-1.5b"
QUESTION = "Write is_even(n)."
AREA = "def area(width, height): return width *"
BASE = "to_base(n, b) for b up to 10. to_base(6, 2) == '110', to_base(-5, 2) == '-101'"
# Pixels of one cell; most monospaced fonts are 0.6 as wide as high.
CELL_WIDTH, LINE_HEIGHT, FONT_SIZE, MARGIN = 8.4, 19, 14, 14
FOREGROUND, BACKGROUND = "#d8dee9", "#1e222a"
PALETTE = {
    "black": "#3b4252",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d8dee9",
    "brightblack": "#7f8899",
    "brightred": "#ff7a85",
    "brightgreen": "#b5e08f",
    "brightbrown": "#f5d79b",
    "brightblue": "#82c4ff",
    "brightmagenta": "#dd9cf0",
    "brightcyan": "#7fd6e2",
    "brightwhite": "#ffffff",
}
NORMAL = Char(" ")
WORDS = re.compile(r"\S+(?: \S+)*")


@dataclass(frozen=True, slots=True)
class Screen:
    """What a person types: the line for the shell, then lines for the dialogue that it starts."""

    alt: str
    line: str
    answers: tuple[str, ...] = ()
    prompt: str = CHAT_PROMPT
    leave: str = CTRL_D


SCREENS = {
    "ask": Screen(
        "a question and its answer", 'aigc "Write a Python function that computes Fibonacci numbers"'
    ),
    "ask-zh": Screen("a question in Chinese", 'aigc "用 Python 写一个计算斐波那契数列的函数"'),
    "gen": Screen("one file", 'aigc gen "a command-line tool that counts words in files" -o wc.py'),
    "chat": Screen(
        "a chat",
        "aigc",
        ("Write is_palindrome(s) in Python, only code.", "Make it ignore case and spaces.", "/context"),
    ),
    "models": Screen("the list of models", "aigc models"),
    # docs/how-it-works.md, in its order
    "how-chat": Screen("a question in the chat template", f"aigc inspect tokens --chat -s '' '{QUESTION}'"),
    "how-tokens": Screen("a text as tokens", "aigc inspect tokens 'def fibonacci(n):  # 斐波那契数列'"),
    "how-head": Screen(
        "what one head looks at", f"aigc inspect attention --layer 22 --head 7 --token 8 '{AREA}'"
    ),
    "how-attention": Screen("the mean of all heads", f"aigc inspect attention '{AREA}'"),
    "how-layers": Screen("the guess after each layer", f"aigc inspect layers --top 3 '{AREA}'"),
    "how-next": Screen("the distribution", "aigc inspect next --top 8 'def fibonacci(n):'"),
    "how-samplers": Screen(
        "one column for each sampler",
        "aigc inspect next --top 8 'def fibonacci(n):'"
        " --temperature 0.50 --min-p 0.12 --top-p 0.95 --top-k 6",
    ),
    "how-step": Screen(
        "one token at a time",
        "aigc inspect step --top 3 --chat 'Write is_even(n) in Python, only the code.'",
        ("2", "u", "g"),
        prompt=f"{STEP_QUESTION} ",
        leave=f"q{ENTER}",
    ),
    "how-cache": Screen(
        "a chat with the counts of each reply",
        "aigc --no-resident",
        ("Write is_even(n) in Python, only code.", "/stats", "Now is_odd, only code.", "/stats"),
    ),
    "how-sure": Screen(
        "doubtful spots of a reply",
        'aigc ask --confidence "Python: print the ISO week number of today. Only the code."',
    ),
    "how-checked": Screen(
        "a draft that an example refuses",
        f'aigc gen "{BASE}" -o base.py --run-examples',
    ),
}


def capture(screen: Screen, home: Path) -> list[list[Char]]:
    """Type the screen's lines into a shell, and give the rows that it shows at the end."""
    folder = Path(tempfile.mkdtemp())
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(FOLDER.parent.parent),  # the aigc of this tree, whichever is installed
        "HOME": str(folder),
        "AIGC_HOME": str(home),
        "AIGC_MODEL": MODEL,
        "AIGC_SEED": "1",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PS1": SHELL_PROMPT,
    }
    terminal = Terminal(["bash", "--norc", "--noprofile"], env, folder, COLUMNS, LINES)
    try:
        _wait_for_prompt(terminal, SHELL_PROMPT)
        _enter(terminal, screen.line, screen.prompt if screen.answers else SHELL_PROMPT)
        for line in screen.answers:
            _enter(terminal, line, screen.prompt)
        rows = _rows(terminal)
        if screen.answers:
            terminal.send(screen.leave)
        return rows if screen.answers else rows[:-1]  # without the prompt that waits for the next command
    finally:
        terminal.close()
        shutil.rmtree(folder)


def _enter(terminal: Terminal, line: str, prompt: str) -> None:
    terminal.send(line)
    terminal.settle(1.0)
    terminal.send(ENTER)
    terminal.settle(1.0)
    _wait_for_prompt(terminal, prompt)


def _wait_for_prompt(terminal: Terminal, prompt: str) -> None:
    """Until the cursor waits behind a prompt, and stays there."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        terminal.settle(0.5)
        cursor = terminal.screen.cursor
        before = terminal.screen.display[cursor.y][: cursor.x]
        if before == prompt:
            return
    raise TimeoutError(f"no prompt {prompt!r}:\n{terminal.framed()}")


def _rows(terminal: Terminal) -> list[list[Char]]:
    screen = terminal.screen
    lines = [*screen.history.top, *(screen.buffer[y] for y in range(screen.lines))]
    rows = [[line[x] for x in range(screen.columns)] for line in lines]
    while rows and not "".join(char.data for char in rows[-1]).strip():
        rows.pop()
    return rows


def plain_text(rows: Sequence[Sequence[Char]]) -> str:
    """The screen as text."""
    return "\n".join("".join(char.data for char in row).rstrip() for row in rows)


def svg(rows: Sequence[Sequence[Char]], alt: str) -> str:
    """The screen as a picture. Rich's own export gives a wide character one cell, and CJK text overlaps."""
    width, height = COLUMNS * CELL_WIDTH + 2 * MARGIN, len(rows) * LINE_HEIGHT + 2 * MARGIN
    drawn = "\n".join(tag for y, row in enumerate(rows) for tag in _row_tags(row, MARGIN + y * LINE_HEIGHT))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' role="img">\n<title>{escape(alt)}</title>\n'
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n'
        f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{FONT_SIZE}"'
        f' fill="{FOREGROUND}">\n{drawn}\n</g>\n</svg>\n'
    )


def _row_tags(row: Sequence[Char], y: float) -> Iterator[str]:
    column = 0
    for (style, _), group in groupby(row, key=lambda char: (char._replace(data=""), cell_len(char.data) > 1)):
        cells = list(group)
        text = "".join(char.data for char in cells)
        n_cells = cell_len(text)
        x, width = MARGIN + column * CELL_WIDTH, n_cells * CELL_WIDTH
        column += n_cells
        if style.bg != NORMAL.bg or style.reverse:
            fill = _colour(style.fg, FOREGROUND) if style.reverse else _colour(style.bg, BACKGROUND)
            yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{LINE_HEIGHT}" fill="{fill}"/>'
        for words in WORDS.finditer(text):  # viewers differ in what they do to a run of spaces
            at = x + cell_len(text[: words.start()]) * CELL_WIDTH
            yield (
                f'<text x="{at:.1f}" y="{y + FONT_SIZE}" textLength="{cell_len(words[0]) * CELL_WIDTH:.1f}"'
                f' lengthAdjust="spacingAndGlyphs"{_attributes(style)}>{escape(words[0])}</text>'
            )


def _attributes(style: Char) -> str:
    colour = _colour(style.bg, BACKGROUND) if style.reverse else _colour(style.fg, FOREGROUND)
    attributes = "" if colour == FOREGROUND else f' fill="{colour}"'
    if style.bold:
        attributes += ' font-weight="bold"'
    if style.italics:
        attributes += ' font-style="italic"'
    return attributes + (' text-decoration="underline"' if style.underscore else "")


def _colour(name: str, default: str) -> str:
    return default if name == "default" else PALETTE.get(name, f"#{name}")


def main() -> None:
    """Capture the screens that are named, or all."""
    parser = argparse.ArgumentParser(description="Capture the pictures of the documentation from real runs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCREENS)}; none: all")
    names: list[str] = parser.parse_args().names or list(SCREENS)
    models = Directories.from_environment(os.environ).models
    for name in names:
        screen = SCREENS[name]
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "data").mkdir()
            (Path(home) / "data" / "models").symlink_to(models)
            rows = capture(screen, Path(home))
        (FOLDER / f"{name}.svg").write_text(svg(rows, screen.alt), encoding="utf-8")
        print(f"{name}:\n{plain_text(rows)}\n")


if __name__ == "__main__":
    main()
