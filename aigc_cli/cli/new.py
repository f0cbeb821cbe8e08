"""`aigc new`: a project of several files from one description, planned, confirmed, checked."""

import json
import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.inputs import Inputs, read_inputs, refuse_oversize
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.question import answer_to, stopped
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine, Sampling
from aigc_cli.errors import AigcError, CheckFailed, ExitCode, FileError, Interrupted, UsageError
from aigc_cli.events import FinishReason
from aigc_cli.render.console import window_size
from aigc_cli.render.progress import stats_line
from aigc_cli.tasks.workspace import named_path

if TYPE_CHECKING:
    from typing import TextIO

    from aigc_cli.cli.project_files import Project
    from aigc_cli.tasks.project_plan import ProjectPlan
    from aigc_cli.tasks.project_state import ProjectState

_MOST_TRIES = 100
_PLAN_RETRY_TEMPERATURE = 0.3
_YES = ("y", "yes", "是", "好")
_NO = ("n", "no", "q", "否", "不")

_Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="DIR PROMPT", help="a new directory, and what the project shall be"),
]


@setting_options("system", *options.ENGINE, *options.SAMPLING, *options.VIEW)
def new(
    ctx: typer.Context,
    *,
    words: _Words = None,
    file: options.Files = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="write the files without asking")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and write nothing")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with a project that was interrupted")
    ] = False,
    tries: Annotated[
        int | None,
        typer.Option("--tries", metavar="N", min=1, max=_MOST_TRIES, help="tries at each file; unset: 3"),
    ] = None,
    no_stdin: options.NoStdin = False,
    flags: options.Flags,
) -> int:
    """Make a project of several files: a plan first, then each file, checked and repaired."""
    from aigc_cli.cli.project_files import Project  # the parsers and the sandbox: not for --help
    from aigc_cli.cli.project_options import given_options
    from aigc_cli.tasks.project_state import TRIES, ProjectState

    app = app_context(ctx)
    if not words:
        raise UsageError("new needs a directory", "aigc new todo 'a to-do app with FastAPI and SQLite'")
    name, *prompt = words
    if resume:
        if prompt or dry_run:
            raise UsageError("--resume goes on with the plan that is there", f"aigc new {name} --resume")
        return _resume(app, flags, name, tries)
    settings = _settings(app, flags)
    if not (yes or dry_run or (app.stdin.isatty() and app.stderr.isatty())):
        raise UsageError(
            "new needs a yes, and there is no terminal to ask on", "-y writes, --dry-run prints the plan"
        )
    folder = _new_folder(app, name)
    inputs = read_inputs(app, prompt, file or [], no_stdin=no_stdin)
    with closing(app.open_engine(settings)) as engine:
        refuse_oversize(len(inputs.message), engine.info.n_ctx)
        plan = _planned(app, settings, engine, inputs)
        if dry_run:
            _show(app.stdout, name, plan)
            return ExitCode.DONE
        plan = plan if yes else _confirmed(app, name, plan)
        state = ProjectState(inputs.prompt, inputs.attachments, plan, tries=tries or TRIES)
        state.options = given_options(flags)
        return _make(Project(app, settings, folder, name), engine, state)


def _settings(app: AppContext, flags: options.Flags) -> Settings:
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling())  # a bad value is told before a model is loaded
    return settings


def _new_folder(app: AppContext, name: str) -> Path:
    """The directory, which is not there or is empty.

    Raises:
        FileError: it holds something, or can't be one.
    """
    from aigc_cli.tasks.project_paths import STATE_FOLDER
    from aigc_cli.tasks.project_state import state_path

    folder = named_path(name, app.cwd).resolve()
    try:
        if not folder.exists():
            if not folder.parent.is_dir():
                raise FileError(f"{name!r}: no directory {str(folder.parent)!r}", f"mkdir -p {folder.parent}")
            return folder
        held = sorted(each.name for each in folder.iterdir())
    except NotADirectoryError:
        raise FileError(f"{name!r} is a file", "name a new directory") from None
    except OSError as error:
        raise FileError(f"{name!r} can't be used: {error.strerror}") from error
    if state_path(folder).is_file():
        raise FileError(
            f"{name!r} holds an unfinished project",
            f"{shlex.join(['aigc', 'new', name, '--resume'])} goes on with it",
        )
    if held and held != [STATE_FOLDER]:
        raise FileError(f"{name!r} is not empty: it holds {held[0]!r}", "name a new directory")
    return folder


def _planned(app: AppContext, settings: Settings, engine: Engine, inputs: Inputs) -> "ProjectPlan":
    """The better of two plans; the second is made only if something is wrong with the first."""
    first = _plan(app, settings, engine, inputs, [])
    if isinstance(first, tuple) and not first[1]:
        return first[0]
    problems = first[1] if isinstance(first, tuple) else [first.message]
    note(app, f"the plan is not sound ({problems[0]}); once more")
    second = _plan(app, settings, engine, inputs, problems)
    sound = [each for each in (first, second) if isinstance(each, tuple)]
    if not sound:
        raise first if isinstance(first, AigcError) else CheckFailed("there is no plan")
    plan, left_out = min(sound, key=lambda each: (len(each[1]), -len(each[0].files)))
    for problem in left_out:
        note(app, f"left out of the plan: {problem}")
    return plan


def _plan(
    app: AppContext, settings: Settings, engine: Engine, inputs: Inputs, problems: Sequence[str]
) -> "tuple[ProjectPlan, list[str]] | CheckFailed":
    from aigc_cli.tasks.project_plan import plan_request, read_plan

    # What a publisher recommends is for talk: a penalty on repetition would keep JSON from being written.
    temperature = _PLAN_RETRY_TEMPERATURE if problems else 0.0
    base = Sampling(temperature=temperature, stop=engine.info.sampling.stop)
    request = plan_request(
        inputs.prompt, inputs.attachments, settings.system, sampling_from(settings, base), problems
    )
    request = replace(request, private=not settings.history)
    reply = run_reply(app, engine, request, [prefill_progress(app, counts_reply=True)])
    if settings.stats:
        app.stderr.write(stats_line(reply.done) + "\n")
    if reply.done.finish_reason is FinishReason.INTERRUPTED:
        raise Interrupted("interrupted; nothing is written")
    try:
        return read_plan(reply.text)
    except CheckFailed as error:
        return error


def _show(stream: "TextIO", name: str, plan: "ProjectPlan") -> None:
    from aigc_cli.tasks.project import all_paths

    _draw(stream, name, all_paths(plan))
    for command in plan.run:
        stream.write(f"$ {command}\n")
    stream.flush()


def _draw(stream: "TextIO", name: str, files: Sequence[tuple[str, str]]) -> None:
    from aigc_cli.render.tree import tree_rows

    columns = window_size(stream).columns - 1 if stream.isatty() else None
    stream.writelines(f"{row}\n" for row in tree_rows(name.rstrip("/") + "/", files, columns))


def _confirmed(app: AppContext, name: str, plan: "ProjectPlan") -> "ProjectPlan":
    """The plan as the person wants it.

    Raises:
        Interrupted: not at all.
    """
    while True:
        _show(app.stderr, name, plan)
        n_files = len(plan.files)
        answer = answer_to(app, f"write {n_files} {'file' if n_files == 1 else 'files'}? [y,n,e] ")
        if answer in _YES:
            return plan
        if answer in _NO:
            raise stopped()
        if answer == "e":
            plan = _by_hand(app, plan)
        else:
            app.stderr.write("y  write them\nn  write nothing\ne  change the plan in your editor first\n")


def _by_hand(app: AppContext, plan: "ProjectPlan") -> "ProjectPlan":
    from aigc_cli.cli.editor import edited_by_hand
    from aigc_cli.tasks.project_plan import plan_as_json, read_plan

    shown = json.dumps(plan_as_json(plan), ensure_ascii=False, indent=2)
    try:
        plan, problems = read_plan(edited_by_hand(app, shown, ".json"))
    except AigcError as error:
        problems = [error.message]
    for problem in problems:
        note(app, problem)
    return plan


def _resume(app: AppContext, flags: options.Flags, name: str, tries: int | None) -> int:
    from aigc_cli.cli.project_files import Project
    from aigc_cli.cli.project_options import remember
    from aigc_cli.tasks.project_state import load_state

    folder = named_path(name, app.cwd).resolve()
    state = load_state(folder, name)
    settings = _settings(app, remember(app, name, state, flags))
    state.tries = tries or state.tries
    n_left = len(state.plan.files) - len(state.done)
    note(app, f"{n_left} of {len(state.plan.files)} files are left to write")
    with closing(app.open_engine(settings)) as engine:
        return _make(Project(app, settings, folder, name), engine, state)


def _make(project: "Project", engine: Engine, state: "ProjectState") -> int:
    from aigc_cli.cli.project_files import write_files

    try:
        write_files(project, engine, state)
    finally:
        if state.done or state.drafts:
            _draw(project.app.stdout, project.name, _results(state))
    if state.drafts:
        n_drafts = len(state.drafts)
        raise CheckFailed(
            f"{n_drafts} of {len(state.plan.files)} files did not pass: {', '.join(state.drafts)}",
            f"{project.resume_line(state)} tries them again",
        )
    return ExitCode.DONE


def _results(state: "ProjectState") -> list[tuple[str, str]]:
    def remark(path: str) -> str:
        if path in state.drafts:
            return f"draft: {state.drafts[path]}"
        return "ok" if path in state.done else "not written yet"

    rows = [(file.path, remark(file.path)) for file in state.plan.files]
    is_whole = all(file.path in state.done or file.path in state.drafts for file in state.plan.files)
    return [*rows, ("README.md", "ok" if is_whole else "not written yet")]
