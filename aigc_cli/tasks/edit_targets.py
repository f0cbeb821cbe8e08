"""What shall be changed: files, some lines of one (`app.py:10-40`), or something that one defines."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aigc_cli.atomic import mode_of
from aigc_cli.chat.prompt import Attachment
from aigc_cli.errors import FileError, UsageError
from aigc_cli.tasks.definitions import definitions, find_definition
from aigc_cli.tasks.edit import EditTask
from aigc_cli.tasks.hunks import lines_of
from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.syntax import parse
from aigc_cli.tasks.text_file import read_text_file
from aigc_cli.tasks.workspace import named_path, refuse_bad_target

_RANGE = re.compile(r"(?P<name>.+):(?P<first>\d+)(?P<dash>-)?(?P<last>\d+)?")
_ANYBODY_WRITES = 0o222


def edit_tasks(names: Sequence[str], instruction: str, symbol: str | None, cwd: Path) -> list[EditTask]:
    """A task for each file that is named; with a symbol, one for the file that defines it.

    Raises:
        FileError: a file can't be read or written, or is no text.
        UsageError: there are no such lines, or no such definition.
    """
    tasks = [_task(name, instruction, cwd) for name in names]
    paths = [task.file.path for task in tasks]
    if twice := next((task for task in tasks if paths.count(task.file.path) > 1), None):
        raise UsageError(f"{twice.file.name!r} is named twice", "one part of a file at a time")
    return tasks if symbol is None else [_with_symbol(tasks, symbol)]


def _task(word: str, instruction: str, cwd: Path) -> EditTask:
    match = _RANGE.fullmatch(word)
    whole = match is None or named_path(word, cwd).exists()  # a file can be called so
    name = word if match is None or whole else match["name"]
    path = named_path(name, cwd)
    if path.exists() or path.is_symlink():
        refuse_bad_target(path, name, overwrite=True)
        if not (mode_of(path) or 0) & _ANYBODY_WRITES:  # root could write it, and should not by mistake
            raise FileError(f"{name!r} is read-only", f"chmod u+w {name}")
    file = read_text_file(path, name)
    task = EditTask(file, instruction, language_of(name, file.text[:200]))
    if match is None or whole:
        return task
    return replace(task, part=_part(match, len(lines_of(file.text)), word))


def _part(match: re.Match[str], n_lines: int, word: str) -> tuple[int, int]:
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else n_lines if match["dash"] else first
    if not 1 <= first <= last <= n_lines:
        raise UsageError(f"{word!r}: there are no such lines", f"the file has lines 1 to {n_lines:,}")
    return first, last


def _with_symbol(tasks: Sequence[EditTask], symbol: str) -> EditTask:
    """The task for the one definition of this name; the other files are for the model to look at."""
    if part := next((task for task in tasks if task.part), None):
        raise UsageError(
            f"--symbol and the lines of {part.file.name!r} both say what to change", "choose one"
        )
    found: list[EditTask] = []
    failure: UsageError | None = None
    for task in tasks:
        defined = definitions(parse(task.language, task.file.text))
        try:
            definition = find_definition(defined, symbol, task.file.name)
        except UsageError as error:
            failure = error
            continue
        found.append(replace(task, part=(definition.first, definition.last)))
    if not found:
        raise failure or UsageError(f"nothing defines {symbol!r}", "name a file")
    if len(found) > 1:
        where = ", ".join(f"{task.file.name}:{task.part[0]}-{task.part[1]}" for task in found if task.part)
        raise UsageError(f"{symbol!r} is defined in {len(found)} of the files: {where}", "name one of them")
    others = [task for task in tasks if task.file is not found[0].file]
    return replace(found[0], context=tuple(as_context(task) for task in others))


def as_context(task: EditTask) -> Attachment:
    """A file that another task's model may look at."""
    return Attachment(task.file.name, task.file.text, task.tag)
