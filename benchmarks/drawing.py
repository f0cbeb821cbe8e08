"""Line plots as SVG: small, and readable on a light page and on a dark one."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.results import Growth

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 34, 46
# Tones between light and dark: each has a contrast of more than 3 to white and to black.
INK = "#7d8590"
COLORS = ("#2f81f7", "#d4702c", "#2da44e", "#a371f7")
FONT = f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}"'
DASHES = ("", "6 4", "2 3", "8 3 2 3")  # who sees no colours tells the lines by these
N_TICKS = 5

Points = Sequence[Sequence[float]]


class Scale:
    """Values to pixels, along one axis; `log` where values span more than two powers of ten."""

    def __init__(self, values: Sequence[float], low_px: float, high_px: float, *, log: bool) -> None:
        self._log = log
        self._low_px, self._high_px = low_px, high_px
        if log:
            self.ticks = [10.0**n for n in range(math.floor(math.log10(min(values))), _up(max(values)) + 1)]
        else:
            self.ticks = _round_ticks(max(values))

    def __call__(self, value: float) -> float:
        low, high, here = (math.log10(v) if self._log else v for v in (self.ticks[0], self.ticks[-1], value))
        return self._low_px + (here - low) / (high - low) * (self._high_px - self._low_px)


def _up(value: float) -> int:
    return math.ceil(math.log10(value) - 1e-9)


def _round_ticks(most: float) -> list[float]:
    """From 0 in round steps to at least `most`."""
    step = 10 ** math.floor(math.log10(most / N_TICKS))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if most / (step * factor) <= N_TICKS + 0.5)
    return [n * step for n in range(math.ceil(most / step - 1e-9) + 1)]


def draw(growth: Growth) -> str:
    """The plot of a growth; the vertical axis begins at 0."""
    xs = [x for points in growth.lines.values() for x, _ in points]
    ys = [y for points in growth.lines.values() for _, y in points]
    across = Scale(xs, LEFT, WIDTH - RIGHT, log=max(xs) / min(xs) > 100)
    up = Scale(ys, HEIGHT - BOTTOM, TOP, log=False)
    parts = [*_axes(growth, across, up), *_lines(growth, across, up)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {FONT}>',
            f"<title>{escape(growth.what)}: {escape(growth.y)} by {escape(growth.x)}</title>",
            *parts,
            "</svg>\n",
        )
    )


def _axes(growth: Growth, across: Scale, up: Scale) -> Iterator[str]:
    for tick in up.ticks:
        y = f"{up(tick):.1f}"
        yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="{INK}" stroke-opacity="0.3"/>'
        yield f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{tick:,.4g}</text>'
    for tick in across.ticks:
        x, below = f"{across(tick):.1f}", HEIGHT - BOTTOM + 18
        yield f'<text x="{x}" y="{below}" text-anchor="middle">{tick:,.0f}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(growth.x)}</text>'
    yield f'<text x="8" y="16">{escape(growth.y)}</text>'


def _lines(growth: Growth, across: Scale, up: Scale) -> Iterator[str]:
    right = float(WIDTH - RIGHT)
    for (label, points), color, dashes in zip(growth.lines.items(), COLORS, DASHES, strict=False):
        path = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in points)
        yield f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        yield from (
            f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{color}"/>' for x, y in points
        )
        yield f'<text x="{right}" y="16" text-anchor="end" fill="{color}">{escape(label)}</text>'
        right -= 14 + 6.5 * len(label)
