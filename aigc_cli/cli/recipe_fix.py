"""Recipes that make a command pass: it is run, its error read, a change proposed, and it is run again."""

import re
from dataclasses import replace
from pathlib import Path

from aigc_cli.chat.prompt import Attachment
from aigc_cli.cli.edit_files import edit_files
from aigc_cli.cli.recipe_edit import edit_wish
from aigc_cli.cli.recipe_run import RecipeRun
from aigc_cli.cli.report import note
from aigc_cli.cli.yes_no import is_yes
from aigc_cli.errors import CheckFailed, ExitCode, UsageError
from aigc_cli.render.console import sanitize
from aigc_cli.tasks.checks import refuse_missing_program
from aigc_cli.tasks.definitions import definitions
from aigc_cli.tasks.edit import EditTask
from aigc_cli.tasks.edit_room import TooLargeToEdit
from aigc_cli.tasks.edit_targets import edit_tasks
from aigc_cli.tasks.error_places import Place, end_of, places, to_change
from aigc_cli.tasks.sandbox import Ending, Limits, Ran, run_limited
from aigc_cli.tasks.syntax import parse

_LIMITS = Limits(wall_s=300, output_bytes=2**20)
_MOST_SHOWN = 3  # files beside the one that is changed
_PROGRAM = re.compile(r"[\w.+-]+(?=\s|$)")


def serve(run: RecipeRun) -> int:
    """Run the command; where it fails, propose a change, and offer to run it again."""
    line = run.said
    _refuse_words(run, line)
    wish = edit_wish(run)
    ran = _run(run, line)
    if _passes(ran):
        note(run.app, f"nothing to fix: {line} passes")
        return ExitCode.DONE
    found = places([line, ran.output], run.app.cwd)
    task, shown = _tasks(run, ran, found)
    try:
        n_written = edit_files(run.app, [task], wish, shown)
    except TooLargeToEdit:
        if not (smaller := _around(task, found)):
            raise
        n_written = edit_files(run.app, [smaller], wish, shown)
    if not n_written or not (wish.yes or is_yes(run.answer(f"run {line} again? [y/N]"))):
        return ExitCode.DONE
    ran = _run(run, line)
    if not _passes(ran):
        raise CheckFailed(
            f"{line} still fails ({_how(ran)})", "aigc undo takes the change back; or once more"
        )
    note(run.app, f"{line} passes now")
    return ExitCode.DONE


def _refuse_words(run: RecipeRun, line: str) -> None:
    """A line whose first word is no program may be a question that begins with the recipe's name."""
    match = _PROGRAM.match(line)
    try:
        if match:
            refuse_missing_program(match[0], run.app.env)
    except UsageError as error:
        name = run.recipe.name
        raise UsageError(
            f"{name} runs a command, and no program is called {line.split(maxsplit=1)[0]!r}",
            f"aigc {name} -- pytest -q; to ask the model: aigc ask {name} {line}",
        ) from error


def _run(run: RecipeRun, line: str) -> Ran:
    app = run.app
    note(app, f"running {line}")
    ran = run_limited(["sh", "-c", line], folder=app.cwd, env=app.env, limits=_LIMITS)
    if not _passes(ran):
        app.stderr.write(sanitize(end_of(ran.output)) + "\n")
        note(app, f"{line} fails ({_how(ran)})")
    return ran


def _passes(ran: Ran) -> bool:
    return ran.ending is Ending.EXIT and ran.exit_code == 0


def _how(ran: Ran) -> str:
    return f"exit {ran.exit_code}" if ran.ending is Ending.EXIT else f"killed after {_LIMITS.wall_s:g} s"


def _tasks(run: RecipeRun, ran: Ran, found: list[Place]) -> tuple[EditTask, list[EditTask]]:
    """The file to change, and those that the error names besides.

    Raises:
        UsageError: the error names no file of the project.
    """
    app, top = run.app, run.app.cwd.resolve()
    path = None if run.options["at"] else to_change(found, app.cwd)
    target = run.options["at"] or (str(path.relative_to(top)) if path else "")
    if not target:
        raise UsageError("the error names no file of this directory", "--at FILE says which one to change")
    asked = replace(run, targets=(target,))
    task = edit_tasks([target], asked.words_of_question(exit=_how(ran)), None, app.cwd)[0]
    said = Attachment(f"output of {run.said}", end_of(ran.output))
    others = [str(place.path.relative_to(top)) for place in found if not _is_same(place.path, task)]
    shown = edit_tasks(others[:_MOST_SHOWN], "", None, app.cwd)
    return replace(task, context=(*run.attachments, said)), shown


def _is_same(path: Path, task: EditTask) -> bool:
    return path == task.file.path.resolve()


def _around(task: EditTask, found: list[Place]) -> EditTask | None:
    """The definition that the error points into, of a file too large for the window."""
    line = next((place.line for place in found if _is_same(place.path, task)), 0)
    holding = [
        each for each in definitions(parse(task.language, task.file.text)) if each.first <= line <= each.last
    ]
    if task.part or not holding:
        return None
    smallest = min(holding, key=lambda each: each.last - each.first)
    return replace(task, part=(smallest.first, smallest.last))
