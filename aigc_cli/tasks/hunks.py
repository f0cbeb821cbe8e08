"""The difference of two texts: its hunks, some of them applied, the unified diff that tools read. Pure."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

CONTEXT_LINES = 3
_MUST_BE_QUOTED = re.compile('[\x00-\x1f\x7f"\\\\\udc80-\udcff]')
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


@dataclass(frozen=True, slots=True)
class Change:
    """Some lines in a row that others take the place of; either may be none.

    Attributes:
        old_start: how many lines of the old text come before.
        new_start: how many lines of the new text come before.
        old: the lines that go, with their line ends.
        new: the lines that come.
    """

    old_start: int
    new_start: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hunk:
    """Changes that stand close to each other, and the lines around them."""

    old_start: int
    new_start: int
    lines: tuple[tuple[str, str], ...]  # each with " ", "-" or "+"

    @property
    def n_old(self) -> int:
        """How many lines of the old text it covers."""
        return sum(sign != "+" for sign, _ in self.lines)

    @property
    def n_new(self) -> int:
        """How many lines of the new text it covers."""
        return sum(sign != "-" for sign, _ in self.lines)


def lines_of(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one, as git has it."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def changes_between(old: str, new: str) -> list[Change]:
    """What differs, in order; between two changes at least one line is the same."""
    before, after = lines_of(old), lines_of(new)
    # most of a file is the same before and after the first and last change: no need to compare it all
    n_head = _n_equal(before, after)
    rest_before, rest_after = before[n_head:], after[n_head:]
    n_tail = _n_equal(rest_before[::-1], rest_after[::-1])
    middle_before = rest_before[: len(rest_before) - n_tail]
    middle_after = rest_after[: len(rest_after) - n_tail]
    matcher = SequenceMatcher(None, middle_before, middle_after, autojunk=False)
    return [
        Change(n_head + i, n_head + k, tuple(middle_before[i:j]), tuple(middle_after[k:m]))
        for kind, i, j, k, m in matcher.get_opcodes()
        if kind != "equal"
    ]


def _n_equal(before: Sequence[str], after: Sequence[str]) -> int:
    n = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        n += 1
    return n


def count_changed(old: str, new: str) -> tuple[int, int]:
    """How many lines come, and how many go."""
    changes = changes_between(old, new)
    return sum(len(change.new) for change in changes), sum(len(change.old) for change in changes)


def with_changes(old: str, changes: Sequence[Change], chosen: Collection[int]) -> str:
    """The old text with the chosen ones of its changes, by their index."""
    lines = lines_of(old)
    out: list[str] = []
    position = 0
    for index, change in enumerate(changes):
        out += lines[position : change.old_start]
        out += change.new if index in chosen else change.old
        position = change.old_start + len(change.old)
    out += lines[position:]
    return "".join(_separated(out))


def _separated(lines: Sequence[str]) -> Iterator[str]:
    """Only the last line may be without an end: a choice of changes can put lines after one that was."""
    for line in lines[:-1]:
        yield line if line.endswith("\n") else f"{line}\n"
    yield from lines[-1:]


def hunks_of(old: str, changes: Sequence[Change], n_context: int = CONTEXT_LINES) -> list[Hunk]:
    """The changes with lines around them; those whose surroundings touch are one hunk."""
    lines = lines_of(old)
    groups: list[list[Change]] = []
    for change in changes:
        previous = groups[-1][-1] if groups else None
        if previous and change.old_start - (previous.old_start + len(previous.old)) <= 2 * n_context:
            groups[-1].append(change)
        else:
            groups.append([change])
    return [_hunk(lines, group, n_context) for group in groups]


def _hunk(lines: Sequence[str], group: Sequence[Change], n_context: int) -> Hunk:
    start = max(0, group[0].old_start - n_context)
    shown: list[tuple[str, str]] = []
    position = start
    for change in group:
        shown += [(" ", line) for line in lines[position : change.old_start]]
        shown += [("-", line) for line in change.old]
        shown += [("+", line) for line in change.new]
        position = change.old_start + len(change.old)
    shown += [(" ", line) for line in lines[position : position + n_context]]
    return Hunk(start, group[0].new_start - (group[0].old_start - start), tuple(shown))


def unified_diff(name: str, old: str, new: str) -> str:
    """A diff that `git apply` and `patch -p1` take; empty when nothing differs.

    Names are relative to the directory where it is applied (there is no `diff --git` line, which would make
    them relative to the top of a repository).
    """
    hunks = hunks_of(old, changes_between(old, new))
    if not hunks:
        return ""
    out = [f"--- {_diff_name('a', name)}\n", f"+++ {_diff_name('b', name)}\n"]
    for hunk in hunks:
        out.append(f"@@ -{_span(hunk.old_start, hunk.n_old)} +{_span(hunk.new_start, hunk.n_new)} @@\n")
        for sign, line in hunk.lines:
            out.append(sign + line)
            if not line.endswith("\n"):
                out.append("\n\\ No newline at end of file\n")
    return "".join(out)


def _span(start: int, n_lines: int) -> str:
    # with no lines, the number is that of the line before (POSIX diff -u)
    first = start + 1 if n_lines else start
    return str(first) if n_lines == 1 else f"{first},{n_lines}"


def _diff_name(side: str, name: str) -> str:
    path = f"{side}/{name.lstrip('/')}"
    if _MUST_BE_QUOTED.search(path):  # in C's notation, as git writes it
        return f'"{_MUST_BE_QUOTED.sub(_escaped, path)}"'
    return f"{path}\t" if " " in path else path  # a tab ends a name with spaces


def _escaped(match: re.Match[str]) -> str:
    # a byte of a name that is no UTF-8 stands as a surrogate
    return _ESCAPES.get(match[0], f"\\{ord(match[0]) & 0xFF:03o}")
