"""The next token's distribution as bars, and what each sampler leaves of it as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.render.console import ColorDepth
from aigc_cli.render.palette import render
from aigc_cli.render.spans import Paint
from aigc_cli.render.token_text import label, pad
from aigc_cli.render.wrap import measure

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BAR, _DIM, _CHOSEN = "34", "2", "1;32"
_WIDEST_BAR, _NARROWEST_BAR, _WIDEST_LABEL = 40, 8, 20
_LEFT = "left"
_OUT = "out"
_SHORT = {"penalties": "penalty", "temperature": "temp", "top_k": "top-k", "top_p": "top-p", "min_p": "min-p"}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A token that may come next.

    Attributes:
        after: its probability after each sampler; None from where it is out.
    """

    piece: bytes
    probability: float
    after: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Sieve:
    """One sampler of the chain, and how many tokens it leaves."""

    name: str
    setting: str
    n_left: int

    @property
    def title(self) -> str:
        """Such as `top-p 0.9`."""
        return f"{_SHORT.get(self.name, self.name)} {self.setting}".rstrip()


def bar(share: float, columns: int) -> str:
    """A bar of so many columns for 1; a share above 0 always shows."""
    eighths = round(min(max(share, 0.0), 1.0) * columns * 8)
    eighths = max(eighths, 1) if share > 0 else eighths
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def percent(probability: float | None) -> str:
    """A probability in seven columns; one that rounds to nothing says so."""
    if probability is None:
        return _OUT
    return f"{probability:.2%}" if probability >= 0.00005 else "<0.01%"  # noqa: PLR2004  # what rounds to 0.00%


def draw_distribution(
    ranked: Sequence[Ranked], sieves: Sequence[Sieve], choice: bytes, depth: ColorDepth, columns: int
) -> list[str]:
    """Rows of number, token, probability and bar; below, one column for each sampler."""
    widest = min(max(measure(label(each.piece)) for each in ranked), _WIDEST_LABEL)
    at = len(str(len(ranked)))
    before = at + 1 + widest + 1 + 7 + 1
    room = min(columns - before - 1, _WIDEST_BAR)
    rows = []
    for number, each in enumerate(ranked, 1):
        shown = label(each.piece)
        name = Paint(pad(shown, widest), _CHOSEN if each.piece == choice else "")
        paints = [Paint(f"{number:>{at}} ", _DIM), name, Paint(f" {percent(each.probability):>7} ", "")]
        if room >= _NARROWEST_BAR:
            paints.append(Paint(bar(each.probability, room), _BAR))
        rows.append(_row(paints, depth))
    return rows + _draw_sieves(ranked, sieves, widest, depth, columns)


def _draw_sieves(
    ranked: Sequence[Ranked], sieves: Sequence[Sieve], widest: int, depth: ColorDepth, columns: int
) -> list[str]:
    """The samplers side by side; those that the window has no room for come below."""
    rows: list[str] = []
    widest = max(widest, len(_LEFT))
    widths = [max(len(sieve.title), 9) + 2 for sieve in sieves]
    start = 0
    while start < len(sieves):
        end, used = start + 1, widest + widths[start]
        while end < len(sieves) and used + widths[end] <= columns:
            used += widths[end]
            end += 1
        block = range(start, end)
        heads = "".join(f"{sieves[n].title:>{widths[n]}}" for n in block)
        rows += ["", _row([Paint(" " * widest + heads, "1")], depth)]
        for each in ranked:
            cells = "".join(f"{percent(each.after[n]):>{widths[n]}}" for n in block)
            is_out = all(each.after[n] is None for n in block)
            paints = [Paint(pad(label(each.piece), widest), ""), Paint(cells, _DIM if is_out else "")]
            rows.append(_row(paints, depth))
        left = "".join(f"{sieves[n].n_left:>{widths[n]},}" for n in block)
        rows.append(_row([Paint(pad(_LEFT, widest) + left, _DIM)], depth))
        start = end
    return rows


def draw_guesses(
    guesses: Sequence[tuple[str, Sequence[Ranked]]], depth: ColorDepth, columns: int
) -> list[str]:
    """One row a layer: its name, and its best tokens with their probabilities."""
    names = max(len(name) for name, _ in guesses)
    n_shown = max(1, (columns - names - 1) // (_WIDEST_LABEL // 2 + 10))
    final = guesses[-1][1][0].piece
    rows = []
    for name, ranked in guesses:
        paints = [Paint(f"{name:>{names}} ", _DIM)]
        for each in ranked[:n_shown]:
            shown = pad(label(each.piece), _WIDEST_LABEL // 2)
            sgr = _CHOSEN if each.piece == final else ""
            paints += [Paint(f" {shown}", sgr), Paint(f" {percent(each.probability):>7} ", "")]
        rows.append(_row(paints, depth))
    return rows


def _row(paints: list[Paint], depth: ColorDepth) -> str:
    if depth is ColorDepth.NONE:
        paints = [Paint(text, "") for text, _ in paints]
    return render(paints).rstrip()


def excerpt(text: str, columns: int) -> str:
    """The end of a text in one row, as it stands before the next token."""
    shown = label(text.encode())
    if measure(shown) <= columns:
        return shown
    kept = ""
    for char in reversed(shown):
        if measure(char + kept) > columns - 1:
            break
        kept = char + kept
    return f"…{kept}"
