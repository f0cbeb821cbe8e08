"""`aigc edit`: a file changed as an instruction says, checked, shown, and written after a yes."""

import os
import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.ending import cut_short
from aigc_cli.cli.inputs import read_inputs
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine, Request, Sampling
from aigc_cli.errors import AigcError, CheckFailed, ExitCode, Interrupted, NoCodeInReply, UsageError
from aigc_cli.events import FinishReason
from aigc_cli.render.console import ColorDepth, detect_traits
from aigc_cli.render.progress import stats_line
from aigc_cli.tasks.workspace import named_path

if TYPE_CHECKING:
    from aigc_cli.chat.prompt import Attachment
    from aigc_cli.cli.edit_review import Proposal
    from aigc_cli.tasks.edit import EditTask

N_TRIES = 2
_RETRY_TEMPERATURE = 0.3  # the same words again at 0 may well give the same mistake


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the options say about every file of the command."""

    settings: Settings
    check: str | None
    is_guarded: bool
    is_only: bool  # the one file of the command


@setting_options("system", *options.ENGINE, *options.SAMPLING, *options.VIEW)
def edit(
    ctx: typer.Context,
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE... INSTRUCTION", help="what to change, or lines of it (FILE:10-40), and how"
        ),
    ] = None,
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", metavar="NAME", help="change only this function, class or Class.method"),
    ] = None,
    file: options.Files = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="CMD",
            help="a command that accepts each file by exiting with 0; {file} is its name",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="write without asking")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print a unified diff, for git apply, and write nothing")
    ] = False,
    no_guards: Annotated[
        bool, typer.Option("--no-guards", help="only warn of text that seems lost or broken")
    ] = False,
    no_stdin: options.NoStdin = False,
    flags: options.Flags,
) -> int:
    """Change files as an instruction says: shows a diff, asks, writes. aigc undo takes it back."""
    from aigc_cli.tasks.checks import refuse_missing_program
    from aigc_cli.tasks.edit_targets import edit_tasks  # difflib and the parsers: not for --help

    app = app_context(ctx)
    names, instruction = _split(app, words or [])
    can_ask = app.stdin.isatty() and app.stderr.isatty()
    if not (yes or dry_run or can_ask):
        raise UsageError(
            "edit needs a yes, and there is no terminal to ask on", "-y writes, --dry-run prints the diff"
        )
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling())  # a bad value is told before a model is loaded
    tasks = edit_tasks(names, instruction, symbol, app.cwd)
    inputs = read_inputs(app, [instruction], file or [], no_stdin=no_stdin)
    tasks = [_with_inputs(task, inputs.prompt, inputs.attachments) for task in tasks]
    if check is not None:
        refuse_missing_program(check, app.env)
    wish = _Wish(settings, check, not no_guards, len(tasks) == 1)
    with closing(app.open_engine(settings)) as engine:
        edited = [(task, _rewritten(app, engine, task, tasks, wish)) for task in tasks]
    changed = [(task, text) for task, text in edited if text != task.file.text]
    if not changed:
        raise CheckFailed("the model changed nothing", "say more exactly what shall change and how")
    if dry_run:
        return _print(app, settings, changed)
    return _write(app, settings, changed, ask=not yes)


def _split(app: AppContext, words: Sequence[str]) -> tuple[list[str], str]:
    """The files, and the instruction that comes last."""
    if len(words) < 2:  # noqa: PLR2004  # a file and an instruction
        raise UsageError("edit needs a file and an instruction", "aigc edit app.py 'rename f to parse'")
    *names, instruction = words
    if not instruction.strip():
        raise UsageError("the instruction is empty", "aigc edit app.py 'rename f to parse'")
    if instruction != "-" and " " not in instruction and named_path(instruction, app.cwd).is_file():
        raise UsageError(
            f"what shall be changed? {instruction!r} is a file",
            "the instruction comes last: 'rename f to parse'",
        )
    return names, instruction


def _with_inputs(task: "EditTask", instruction: str, attachments: "tuple[Attachment, ...]") -> "EditTask":
    return replace(task, instruction=instruction, context=(*attachments, *task.context))


def _rewritten(
    app: AppContext, engine: Engine, task: "EditTask", tasks: "Sequence[EditTask]", wish: _Wish
) -> str:
    """The new text of one file; the old one if the model leaves it so and other files are to be changed."""
    from aigc_cli.tasks.edit import edit_request
    from aigc_cli.tasks.edit_room import fitted
    from aigc_cli.tasks.edit_targets import as_context

    others = [as_context(other) for other in tasks if other.file is not task.file]
    task, left_out, n_most = fitted(engine, task, others, wish.settings.system)
    if left_out:
        note(app, f"{task.file.name}: no room to show the model {', '.join(left_out)}")
    # What a publisher recommends is for talk: a penalty on repetition would keep a text from being copied.
    base = Sampling(temperature=0.0, stop=engine.info.sampling.stop)
    reason = ""
    for attempt in range(1, N_TRIES + 1):
        sampling = _limited(sampling_from(wish.settings, base), n_most)
        request = edit_request(task, wish.settings.system, sampling, reason)
        text, failure, reason = _attempt(app, engine, task, request, wish)
        if failure is None:
            return text
        if attempt == N_TRIES:
            raise failure
        base = replace(base, temperature=_RETRY_TEMPERATURE)
        note(app, f"{failure.message}; once more")
    raise AssertionError  # the last attempt returns or raises


def _limited(sampling: Sampling, n_most: int) -> Sampling:
    return sampling if sampling.max_tokens else replace(sampling, max_tokens=n_most)


def _attempt(
    app: AppContext, engine: Engine, task: "EditTask", request: Request, wish: _Wish
) -> tuple[str, AigcError | None, str]:
    """One try: the new text of the file, what speaks against it, and that again for the model.

    Raises:
        Interrupted: Ctrl-C.
    """
    from aigc_cli.render.line_progress import LineProgress  # loads rich where a name is Chinese

    traits = detect_traits(app.stderr, app.env, "auto")
    n_lines = task.old.count("\n") + 1
    line = LineProgress(app.stderr, traits, app.clock, name=task.file.name, n_lines=n_lines)
    reply = run_reply(app, engine, request, [prefill_progress(app), line])
    if wish.settings.stats:
        app.stderr.write(stats_line(reply.done) + "\n")
    if reply.done.finish_reason is FinishReason.INTERRUPTED:
        raise Interrupted("interrupted; nothing is written")
    if error := cut_short(reply):
        return "", CheckFailed(f"{task.file.name}: {error.message}", error.hint), error.message
    text = task.with_reply(reply.text)
    if not text:
        error = NoCodeInReply("the reply holds no code", "say what shall change and how")
        return "", error, error.message
    return text, *_failure(app, task, text, wish)


def _failure(app: AppContext, task: "EditTask", text: str, wish: _Wish) -> tuple[AigcError | None, str]:
    from aigc_cli.tasks.checks import CommandCheck
    from aigc_cli.tasks.edit_guards import Edit, objection

    if text == task.file.text:
        if not wish.is_only:
            return None, ""
        reason = "the model changed nothing"
        return CheckFailed(reason, "say more exactly what shall change and how"), reason
    reason = objection(Edit(task.file.text, text, task.instruction, task.language))
    if reason and wish.is_guarded:
        error = CheckFailed(f"{task.file.name} is not changed: {reason}", "--no-guards takes it as it is")
        return error, reason
    if reason:
        note(app, f"{task.file.name}: {reason}")
    if not wish.check:
        return None, ""
    verdict = CommandCheck(wish.check, task.file.path.name, app.cwd, app.env).judge(task.file.with_text(text))
    if verdict.is_passed:
        return None, ""
    return CheckFailed(
        f"{task.file.name} is not changed: {verdict.said}", "say more exactly what shall change"
    ), verdict.detail


def _proposals(changed: "Sequence[tuple[EditTask, str]]") -> "list[Proposal]":
    from aigc_cli.cli.edit_review import Proposal

    return [
        Proposal(task.file.name, task.file.exact, task.file.with_text(text), task.tag)
        for task, text in changed
    ]


def _print(app: AppContext, settings: Settings, changed: "Sequence[tuple[EditTask, str]]") -> int:
    """The diffs on stdout: drawn for a person, in git's format for a program."""
    from aigc_cli.cli.edit_review import show_diff
    from aigc_cli.tasks.hunks import unified_diff
    from aigc_cli.tasks.text_file import is_for_git

    drawn = detect_traits(app.stdout, app.env, settings.color).depth is not ColorDepth.NONE
    for (task, _), proposal in zip(changed, _proposals(changed), strict=True):
        if drawn:
            show_diff(app, settings, app.stdout, proposal)
            continue
        if not is_for_git(task.file):
            note(app, f"{task.file.name} is not UTF-8: its diff is for reading, git apply can't take it")
        name = os.path.relpath(task.file.path, os.path.realpath(app.cwd))
        app.stdout.write(unified_diff(name, proposal.old, proposal.new))
    return ExitCode.DONE


def _write(
    app: AppContext, settings: Settings, changed: "Sequence[tuple[EditTask, str]]", *, ask: bool
) -> int:
    from aigc_cli.cli.edit_review import reviewed, show_diff
    from aigc_cli.tasks.hunks import count_changed
    from aigc_cli.tasks.journal import Journal, Replacement

    replacements = []
    told = []
    for (task, _), proposal in zip(changed, _proposals(changed), strict=True):
        if ask:
            exact = reviewed(app, settings, proposal)
        else:
            exact = proposal.new
            if app.stderr.isatty():
                show_diff(app, settings, app.stderr, proposal)
        if exact is None or exact == task.file.exact:
            note(app, f"{task.file.name} stays as it is")
            continue
        content = task.file.encoded(exact)
        replacements.append(Replacement(task.file.path, task.file.name, task.file.content, content))
        n_added, n_removed = count_changed(task.file.exact, exact)
        told.append(f"changed {task.file.name} (+{n_added} -{n_removed})")
    if not replacements:
        return ExitCode.DONE
    words = [
        *(task.file.name for task, _ in changed),
        *([changed[0][0].instruction] if settings.history else []),
    ]
    warning = Journal(app.directories.state, app.now).apply(
        replacements, shlex.join(["aigc", "edit", *words])
    )
    for line in told:
        note(app, line)
    note(app, f"this can't be undone: {warning}" if warning else "aigc undo takes it back")
    return ExitCode.DONE
