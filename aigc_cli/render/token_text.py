"""Tokens as a person can see them: white space made visible, bytes that are no character as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.render.console import ColorDepth, sanitize
from aigc_cli.render.palette import render
from aigc_cli.render.spans import Paint
from aigc_cli.render.wrap import chop, measure

# Backgrounds that neighbours don't share, in the order of their tokens: light enough for black text.
HUES = ("#b9dcff", "#c9f0c1", "#ffe2a8", "#f6c6dd", "#d9ccff", "#b8efe6")
_ANSI256 = (153, 157, 222, 218, 183, 158)
_ANSI16 = (44, 42, 43, 45, 46, 41)
_CONTROL_SGR = "7"  # reverse: a token that stands for no text
_VISIBLE = str.maketrans({" ": "·", "\n": "↵", "\t": "→", "\r": "␍"})


@dataclass(frozen=True, slots=True)
class TokenView:
    """What is drawn of a token.

    Attributes:
        piece: its bytes; of a control token, its name.
        is_control: it stands for no text.
    """

    id: int
    piece: bytes
    is_control: bool = False


def label(piece: bytes) -> str:
    """All of a token in one line: `·` is a space, `↵` a line break, `<E4BD>` part of a character."""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return _with_bytes(piece)
    shown = sanitize(text.translate(_VISIBLE))
    return shown if shown or not piece else f"<{piece.hex().upper()}>"


def _with_bytes(piece: bytes) -> str:
    """The characters that are whole, and the other bytes as numbers."""
    parts = []
    for part in piece.decode("utf-8", "surrogateescape"):
        byte = ord(part) - 0xDC00
        parts.append(f"<{byte:02X}>" if 0 <= byte <= 0xFF else sanitize(part.translate(_VISIBLE)))  # noqa: PLR2004  # a byte
    return "".join(parts).replace("><", "")


def clip(text: str, columns: int) -> str:
    """The text in at most so many columns, with an ellipsis where it was cut."""
    if measure(text) <= columns:
        return text
    kept = ""
    for char in text:
        if measure(kept + char) > columns - 1:
            break
        kept += char
    return f"{kept}…"[: max(columns, 0)]


def pad(text: str, columns: int) -> str:
    """The text in exactly so many columns."""
    text = clip(text, columns)
    return text + " " * (columns - measure(text))


def token_sgr(index: int, depth: ColorDepth, *, is_control: bool) -> str:
    """The colours of the token at this place; empty without colour."""
    if depth is ColorDepth.NONE:
        return ""
    if is_control:
        return _CONTROL_SGR
    place = index % len(HUES)
    match depth:
        case ColorDepth.TRUECOLOR:
            red, green, blue = bytes.fromhex(HUES[place][1:])
            return f"30;48;2;{red};{green};{blue}"
        case ColorDepth.ANSI256:
            return f"30;48;5;{_ANSI256[place]}"
        case _:
            return f"30;{_ANSI16[place]}"


def draw_text(tokens: Sequence[TokenView], depth: ColorDepth, columns: int) -> list[str]:
    """The text, each token in a colour of its own; a line break is shown, and made."""
    rows: list[list[Paint]] = [[]]
    for index, token in enumerate(tokens):
        sgr = token_sgr(index, depth, is_control=token.is_control)
        shown = label(token.piece)
        lines = shown.split("↵")
        for n, line in enumerate(lines):
            is_last = n == len(lines) - 1
            rows[-1].append(Paint(line if is_last else f"{line}↵", sgr))
            if not is_last:
                rows.append([])
    if not any(text for text, _ in rows[-1]):
        rows.pop()
    return [render(row) for line in rows for row in chop(line, max(columns, 1))]


def draw_list(tokens: Sequence[TokenView], depth: ColorDepth, columns: int) -> list[str]:
    """Place, id and text of each token, in as many columns as the window has room for."""
    at, ids = len(str(len(tokens) - 1)), max(len(str(token.id)) for token in tokens)
    before = at + ids + 3
    widest = min(max(measure(label(token.piece)) for token in tokens), 24, max(columns - before, 1))
    width = before + widest + 2
    n_columns = max(1, (columns + 2) // width)
    n_rows = -(-len(tokens) // n_columns)
    rows = []
    for row in range(n_rows):
        cells: list[Paint] = []
        for index in range(row, len(tokens), n_rows):
            token = tokens[index]
            shown = clip(label(token.piece), widest)
            gap = " " * (widest - measure(shown) + 2)
            sgr = token_sgr(index, depth, is_control=token.is_control)
            cells += [Paint(f"{index:>{at}} {token.id:>{ids}}  ", ""), Paint(shown, sgr), Paint(gap, "")]
        rows.append(render(cells).rstrip())
    return rows
