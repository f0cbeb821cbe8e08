"""Recipes that make a human text better: a diff and a question at a terminal, the new text in a pipe."""

from contextlib import closing
from dataclasses import replace

from aigc_cli.cli.edit_files import EditWish, edit_files, print_diffs, rewritten
from aigc_cli.cli.edit_review import Proposal, show_diff
from aigc_cli.cli.recipe_edit import edit_wish, tasks_of
from aigc_cli.cli.recipe_run import RecipeRun
from aigc_cli.cli.report import note
from aigc_cli.errors import ExitCode, UsageError
from aigc_cli.render.console import sanitize
from aigc_cli.tasks.edit import EditTask
from aigc_cli.tasks.text_file import TextFile


def serve(run: RecipeRun) -> int:
    """Files are changed after a yes, or printed into a pipe; words and stdin are printed."""
    given = run.options
    if run.targets and (given["yes"] or given["dry_run"] or run.app.stdout.isatty()):
        edit_files(run.app, tasks_of(run), edit_wish(run, may_stay=True))
        return ExitCode.DONE
    if given["yes"]:
        raise UsageError("-y writes files, and none is named", f"aigc {run.recipe.name} notes.md -y")
    tasks = tasks_of(run) if run.targets else [_task(run)]
    asked = replace(run, options={**given, "dry_run": True})  # nothing is written: nobody has to say yes
    _print(run, tasks, edit_wish(asked, may_stay=True))
    return ExitCode.DONE


def _task(run: RecipeRun) -> EditTask:
    """The words of the line, and stdin, as a text to change."""
    parts = [run.said, *(each.text for each in run.attachments)]
    text = "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
    if not text.strip():
        raise UsageError("there is no text", f"aigc {run.recipe.name} notes.md")
    file = TextFile(run.app.cwd / "text", "the text", text.encode(), text)
    question = replace(run, values={**run.values, "text": ""}).words_of_question(())
    return EditTask(file, question, None)


def _print(run: RecipeRun, tasks: list[EditTask], wish: EditWish) -> None:
    app = run.app
    with closing(app.open_engine(run.settings)) as engine:
        for task in tasks:
            text = rewritten(app, engine, task, wish, tasks)
            exact = task.file.with_text(text)
            if text == task.file.text:
                note(app, f"{task.file.name} stays as it is")
            if run.options["dry_run"]:
                print_diffs(app, run.settings, [(task, text)])
                continue
            is_screen = app.stdout.isatty()
            if is_screen and text != task.file.text:
                show_diff(app, run.settings, app.stderr, Proposal(task.file.name, task.file.exact, exact))
            app.stdout.write(sanitize(exact) if is_screen else exact)
