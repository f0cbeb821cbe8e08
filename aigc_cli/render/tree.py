"""A tree of files, each with a remark, as rows of text. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from aigc_cli.render.console import sanitize
from aigc_cli.render.spans import Paint
from aigc_cli.render.wrap import chop, measure

_GAP = "  "
_MOST_ALIGNED = 40  # columns: a longer name does not push the remarks of all others aside

_Folder = dict[str, "_Folder | str"]


def tree_rows(root: str, files: Sequence[tuple[str, str]], columns: int | None = None) -> list[str]:
    """Rows for paths with slashes, in their order, directories where they first appear.

    Args:
        root: what the tree is called.
        files: path and remark of each; none is below another that is a file.
        columns: where rows are cut; None for nowhere.
    """
    top: _Folder = {}
    for path, remark in files:
        *folders, name = path.split("/")
        level = top
        for folder in folders:
            inner = level.setdefault(folder, {})
            level = inner if isinstance(inner, dict) else {}
        level[name] = remark
    drawn = list(_drawn(top, ""))
    width = max((w for name, _ in drawn if (w := measure(name)) <= _MOST_ALIGNED), default=0)
    rows = [
        f"{name}{' ' * (width - measure(name))}{_GAP}{remark}" if remark else name for name, remark in drawn
    ]
    return [_cut(row, columns) for row in (sanitize(root), *rows)]


def _drawn(folder: Mapping[str, "_Folder | str"], indent: str) -> Iterator[tuple[str, str]]:
    for index, (name, inner) in enumerate(folder.items()):
        is_last = index == len(folder) - 1
        row = f"{indent}{'└── ' if is_last else '├── '}{sanitize(name)}"
        if isinstance(inner, str):
            yield row, sanitize(" ".join(inner.split()))
            continue
        yield f"{row}/", ""
        yield from _drawn(inner, indent + ("    " if is_last else "│   "))


def _cut(row: str, columns: int | None) -> str:
    if columns is None or measure(row) <= columns:
        return row
    return "".join(paint.text for paint in chop([Paint(row, "")], max(columns - 1, 1))[0]) + "…"
