"""A table on standard output: columns as wide as needed, fewer of them on a narrow terminal."""

from collections.abc import Sequence

from aigc_cli.cli.context import AppContext
from aigc_cli.render.console import window_size


def write_columns(app: AppContext, rows: Sequence[Sequence[str]], droppable: Sequence[int]) -> None:
    """Write rows, the titles first.

    Args:
        app: whose standard output it is.
        rows: cells without control characters.
        droppable: the columns that a narrow terminal goes without, the least important first.
    """
    from rich.cells import cell_len  # 20 ms; names may hold wide characters

    widths = [max(cell_len(row[n]) for row in rows) for n in range(len(rows[0]))]
    kept = list(range(len(widths)))
    room = window_size(app.stdout).columns if app.stdout.isatty() else None
    for column in droppable:
        if room is None or sum(widths[n] for n in kept) + 2 * (len(kept) - 1) <= room:
            break
        kept.remove(column)
    for row in rows:
        padded = [row[n] + " " * (widths[n] - cell_len(row[n])) for n in kept]
        app.stdout.write("  ".join(padded).rstrip() + "\n")
