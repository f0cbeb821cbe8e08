"""Recipes that change files, as `aigc edit` does: their question is the instruction."""

from dataclasses import replace
from typing import Any

from aigc_cli.cli.edit_files import EditWish, edit_files, refuse_unanswered
from aigc_cli.cli.recipe_run import RecipeRun, needs_file
from aigc_cli.errors import ExitCode, UsageError
from aigc_cli.tasks.checks import refuse_missing_program
from aigc_cli.tasks.edit import EditTask
from aigc_cli.tasks.edit_targets import edit_tasks
from aigc_cli.tasks.hunks import changes_between, with_changes
from aigc_cli.tasks.same_code import code_change, unprovable


def serve(run: RecipeRun) -> int:
    """Change the files that the line names."""
    edit_files(run.app, tasks_of(run), edit_wish(run))
    return ExitCode.DONE


def serve_comments(run: RecipeRun) -> int:
    """Change comments and docstrings; a text whose code is not the same is refused."""
    tasks = tasks_of(run)
    for task in tasks:
        if reason := unprovable(task.language, task.file.text):
            raise UsageError(
                f"{task.file.name}: that its code stays the same could not be proven: {reason}",
                f"aigc edit {task.file.name} 'add comments' goes without the proof",
            )
    edit_files(run.app, tasks, edit_wish(run, objection=_other_code, salvage=_comments_alone))
    return ExitCode.DONE


def tasks_of(run: RecipeRun) -> list[EditTask]:
    """A task for each file.

    Raises:
        UsageError: no file is named.
        FileError: one can't be read or written.
    """
    if not run.targets:
        raise needs_file(run)
    symbol = run.options.get("symbol")
    tasks = edit_tasks(run.targets, run.words_of_question(), symbol, run.app.cwd)
    return [replace(task, context=(*run.attachments, *task.context)) for task in tasks]


def edit_wish(run: RecipeRun, **more: Any) -> EditWish:
    """What the options say.

    Raises:
        UsageError: nobody could say yes; or the program of `--check` is missing.
    """
    given = run.options
    refuse_unanswered(run.recipe.name, can_ask=run.can_ask, yes=given["yes"], dry_run=given["dry_run"])
    if given["check"] is not None:
        refuse_missing_program(given["check"], run.app.env)
    return EditWish(
        run.settings,
        run.recipe.name,
        run.said,
        given["check"],
        not given["no_guards"],
        given["yes"],
        given["dry_run"],
        sampling=run.recipe.sampling,
        answer=run.answer,
        **more,
    )


def _other_code(task: EditTask, text: str) -> str:
    return code_change(task.language, task.file.text, text) if task.language else "its language is not known"


def _comments_alone(task: EditTask, text: str) -> str:
    """The old text with those of the changes that leave its code as it is; empty if there are none."""
    old = task.file.text
    changes = changes_between(old, text)
    chosen: list[int] = []
    for index in range(len(changes)):
        if not _other_code(task, with_changes(old, changes, [*chosen, index])):
            chosen.append(index)
    return with_changes(old, changes, chosen) if chosen else ""
