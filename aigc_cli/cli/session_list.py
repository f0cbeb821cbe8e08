"""Sessions as lines of a list, cut to the window's width."""

from collections.abc import Iterator, Sequence

from aigc_cli.chat.store import Found, Summary
from aigc_cli.render.console import sanitize

_UNITS = ((365 * 86_400, "y"), (7 * 86_400, "wk"), (86_400, "d"), (3600, "h"), (60, "min"))
_GAP = 2
_LEAST_TITLE = 16  # columns; in a narrower window the other columns go first


def age_text(seconds: float) -> str:
    """How long ago, in one unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def shorten(text: str, columns: int) -> str:
    """The text cut to this many columns; Chinese, Japanese, Korean and emoji take two each."""
    from rich.cells import cell_len, set_cell_size  # 20 ms

    return text if cell_len(text) <= columns else f"{set_cell_size(text, max(columns - 1, 0)).rstrip()}…"


def session_lines(
    sessions: Sequence[Summary | Found], now: float, columns: int | None, *, header: bool = True
) -> Iterator[str]:
    """A table of sessions; `columns` None cuts nothing. What a search found stands below its session."""
    titles = ("ID", "AGE", "TURNS", "MODEL")
    summaries = [each.summary if isinstance(each, Found) else each for each in sessions]
    rows = [_cells(summary, now) for summary in summaries]
    shown = [*([titles] if header else []), *rows]
    widths = [max(len(row[n]) for row in shown) for n in range(len(titles))]
    n_columns = len(titles)
    while columns is not None and n_columns > 1 and _left(widths, n_columns) + _LEAST_TITLE > columns:
        n_columns -= 1
    left = _left(widths, n_columns)
    room = None if columns is None else max(columns - left, 1)
    if header:
        yield _line(titles, widths, n_columns, "TITLE" if room is None else shorten("TITLE", room))
    for each, summary, row in zip(sessions, summaries, rows, strict=True):
        title = sanitize(summary.title) or "(no words)"
        yield _line(row, widths, n_columns, title if room is None else shorten(title, room))
        if isinstance(each, Found) and each.excerpt:
            excerpt = f"    {sanitize(each.excerpt)}"
            yield excerpt if columns is None else shorten(excerpt, columns)


def _cells(summary: Summary, now: float) -> tuple[str, ...]:
    # a model's name is ASCII in practice; anything else would only shift a column
    return (
        summary.id,
        age_text(now - summary.updated),
        f"{summary.n_turns:,}",
        sanitize(shorten(summary.model, 20)),
    )


def _left(widths: Sequence[int], n_columns: int) -> int:
    return sum(widths[:n_columns]) + _GAP * n_columns


def _line(row: Sequence[str], widths: Sequence[int], n_columns: int, title: str) -> str:
    cells = [f"{text:<{widths[n]}}" for n, text in enumerate(row[:n_columns])]
    return (" " * _GAP).join([*cells, title]).rstrip()
