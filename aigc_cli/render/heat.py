"""Attention weights as a heat map of characters: a row a token, a column an earlier token."""

from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.render.console import ColorDepth
from aigc_cli.render.distribution import bar
from aigc_cli.render.palette import render
from aigc_cli.render.spans import Paint
from aigc_cli.render.token_text import TokenView, label, pad
from aigc_cli.render.wrap import measure

_CELL = 2  # columns
_SHADES = "  ░░▒▒▓▓██"  # without colour: two columns a shade
_GRAY_FIRST, _GRAY_COUNT = 232, 24  # of the 256 colours
_TALLEST_LABEL, _WIDEST_LABEL = 6, 14
_DIM = "2"


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A drawn map.

    Attributes:
        first: the first token that is shown; the ones before it found no room.
    """

    rows: list[str]
    first: int


def draw_heat(
    tokens: Sequence[TokenView], weights: Sequence[Sequence[float]], depth: ColorDepth, columns: int
) -> HeatMap:
    """The last tokens that fit the window, each with its weights on the earlier ones.

    Args:
        tokens: of the text.
        weights: a row for each; nothing behind the diagonal.
        depth: without colours there are shades of characters.
        columns: of the window.
    """
    names = [label(token.piece) or "?" for token in tokens]
    at = len(str(len(tokens) - 1))
    widest = min(max(measure(name) for name in names), _WIDEST_LABEL, max(columns // 3, 4))
    before = at + 1 + widest + 1
    n_shown = max(1, min(len(tokens), (columns - before) // _CELL))
    first = len(tokens) - n_shown
    rows = [" " * before + line for line in _upright(names[first:])]
    for index in range(first, len(tokens)):
        cells = [_cell(weights[index][column], depth) for column in range(first, index + 1)]
        head = f"{index:>{at}} {pad(names[index], widest)} "
        rows.append(render([Paint(head, ""), *cells]).rstrip())
    return HeatMap([row.rstrip() for row in rows], first)


def _upright(names: Sequence[str]) -> list[str]:
    """The labels written downwards, one in each cell, ending at the map."""
    cut = [name if len(name) <= _TALLEST_LABEL else f"{name[: _TALLEST_LABEL - 1]}…" for name in names]
    height = max(len(name) for name in cut)
    standing = [" " * (height - len(name)) + name for name in cut]
    return ["".join(pad(name[line], _CELL) for name in standing).rstrip() for line in range(height)]


def _cell(weight: float, depth: ColorDepth) -> Paint:
    """One weight. The square root spreads the small ones, which are most of them."""
    shade = min(max(weight, 0.0), 1.0) ** 0.5
    match depth:
        case ColorDepth.TRUECOLOR:
            red, green, blue = (round(dark + (light - dark) * shade) for dark, light in _RAMP)
            return Paint(" " * _CELL, f"48;2;{red};{green};{blue}")
        case ColorDepth.ANSI256:
            return Paint(" " * _CELL, f"48;5;{_GRAY_FIRST + min(int(shade * _GRAY_COUNT), _GRAY_COUNT - 1)}")
        case _:
            return Paint(_SHADES[min(int(shade * 5), 4) * 2] * _CELL, "")


_RAMP = ((24, 255), (24, 190), (36, 60))  # from near black to amber, as (from, to) of red, green, blue


def draw_looks(
    tokens: Sequence[TokenView], weights: Sequence[float], depth: ColorDepth, columns: int, n_most: int = 15
) -> list[str]:
    """What one token looked at, the most important first, as bars."""
    order = sorted(range(len(tokens)), key=lambda index: -weights[index])[:n_most]
    at = len(str(len(tokens) - 1))
    widest = min(max(measure(label(tokens[index].piece)) for index in order), _WIDEST_LABEL)
    room = min(max(columns - at - widest - 10, 0), 40)
    rows = []
    for index in order:
        paints = [
            Paint(f"{index:>{at}} ", _DIM if depth is not ColorDepth.NONE else ""),
            Paint(f"{pad(label(tokens[index].piece), widest)} {weights[index]:>6.1%} ", ""),
            Paint(bar(weights[index], room), "34" if depth is not ColorDepth.NONE else ""),
        ]
        rows.append(render(paints).rstrip())
    return rows
