"""What rendering costs: growth with the length of a reply, and time for each token.

usage: python benchmarks/rendering.py [ROUNDS]

Bars: a 5,000-line reply takes at most 1.2 times ten replies of 500 lines; a token takes at most 3 % of the
40 ms that the 1.5B model needs to decode it, 1.2 ms. Medians of alternating rounds.
"""

import io
import os
import re
import statistics
import sys
import time

from aigc_cli.events import Delta
from aigc_cli.render.console import ColorDepth, TerminalTraits
from aigc_cli.render.terminal import TerminalView

GROWTH_BAR = 1.2
TOKEN_BAR_MS = 1.2
WINDOW = os.terminal_size((100, 40))

PROSE = """## Step {n}: reading the *input*

The function `read_{n}` opens the file, **checks its header** and returns [rows](https://example.com/rows/{n}).
先检查文件头。**然后**逐行读取。空行会被跳过。最后返回一个列表。

1. Open the file in binary mode, because the encoding is not known yet.
   - A missing file is an error that names the path.
2. Parse each row and keep the `offset`.

| field | 含义 | size |
|:------|:----:|-----:|
| magic | 文件标识 | 4 |
| count | number of rows, little endian | 8 |

"""
CODE = '''def read_{n}(path: Path) -> list[str]:
    """Read rows from a file.

    Blank lines are skipped; the rest is kept in order.
    """
    rows = []
    with path.open("rb") as stream:
        for line in stream:
            text = line.decode("utf-8").strip()
            if text:
                rows.append(f"{{text}}: {n}")  # 保留顺序
    return rows

'''


def prose(n_lines: int) -> str:
    return _repeat(PROSE, n_lines)


def code_block(n_lines: int) -> str:
    return f"```python\n{_repeat(CODE, n_lines - 2)}```\n"


def mixed(n_lines: int) -> str:
    return _repeat(f"{PROSE}```python\n{CODE}```\n\n", n_lines)


def paragraph(n_lines: int) -> str:
    """One paragraph without a line break, as long as that many lines."""
    return " ".join(prose(n_lines).replace("#", "").replace("|", "").replace("1.", "").split())


def _repeat(template: str, n_lines: int) -> str:
    lines: list[str] = []
    while len(lines) < n_lines:
        lines += template.format(n=len(lines)).splitlines(keepends=True)
    return "".join(lines[:n_lines])


def tokens(text: str) -> list[str]:
    """Pieces of the size that a model's tokens have: a word with its space, a few characters of Chinese."""
    return re.findall(r" ?[A-Za-z]{1,8}|[\u4e00-\u9fff]{1,2}|\s+|.", text, re.DOTALL)


def render_s(pieces: list[str]) -> float:
    """CPU seconds to render one reply, a token an event; other work on the machine does not count."""
    view = TerminalView(
        io.StringIO(),
        traits=TerminalTraits(is_terminal=True, depth=ColorDepth.TRUECOLOR, moves_cursor=True),
        theme="dark",
        size=lambda: WINDOW,
    )
    start = time.process_time()
    for piece in pieces:
        view.show(Delta(piece))
    view.close()
    return time.process_time() - start


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    makers = [prose, code_block, mixed, paragraph]
    render_s(tokens(mixed(100)))  # imports and lexers are loaded
    failed = False
    for make in makers:
        long, short = tokens(make(5000)), tokens(make(500))
        ratios, token_ms = [], []
        for _ in range(rounds):
            # the long one in the middle: a machine that gets slower or faster meanwhile does that to both
            ten_s = sum(render_s(short) for _ in range(5))
            long_s = render_s(long)
            ten_s += sum(render_s(short) for _ in range(5))
            ratios.append(long_s / ten_s * (10 * len(short) / len(long)))
            token_ms.append(long_s / len(long) * 1000)
        ratio, per_token = statistics.median(ratios), statistics.median(token_ms)
        failed |= ratio > GROWTH_BAR or per_token > TOKEN_BAR_MS
        print(
            f"{make.__name__:10} {len(long):7,} tokens: {ratio:.2f} times ten short (bar {GROWTH_BAR}), "
            f"{per_token:.3f} ms a token (bar {TOKEN_BAR_MS}, {per_token / 40:.1%} of 40 ms)"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
