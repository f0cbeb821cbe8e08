"""Files changed by a model: asked for, guarded, shown, and written after a yes. `aigc edit` and recipes."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.ending import cut_short
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine, Request, Sampling
from aigc_cli.errors import AigcError, CheckFailed, Interrupted, NoCodeInReply, UsageError
from aigc_cli.events import FinishReason
from aigc_cli.render.console import ColorDepth, detect_traits
from aigc_cli.render.progress import stats_line

if TYPE_CHECKING:
    from aigc_cli.cli.edit_review import Answer, Proposal
    from aigc_cli.tasks.edit import EditTask

N_TRIES = 2
_RETRY_TEMPERATURE = 0.3  # the same words again at 0 may well give the same mistake


@dataclass(frozen=True, slots=True)
class EditWish:
    """What is wanted of every file of one command.

    Attributes:
        command: its name, for the journal.
        said: the person's own words, for the journal.
        check: a command line that accepts each file by exiting with 0.
        is_guarded: whether text that seems lost or broken is refused, and not only told.
        objection: why a new text must not be written, whatever the guards are set to; empty if it may be.
        salvage: what of a text that was refused to the last may be written; empty if nothing.
        sampling: values that take the place of those for an edit.
        may_stay: whether a text that stays as it is is an answer too.
        answer: asks the person; None reads the answer from stdin.
    """

    settings: Settings
    command: str
    said: str
    check: str | None = None
    is_guarded: bool = True
    yes: bool = False
    dry_run: bool = False
    objection: Callable[["EditTask", str], str] | None = None
    salvage: Callable[["EditTask", str], str] | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    may_stay: bool = False
    answer: "Answer | None" = None


def refuse_unanswered(command: str, *, can_ask: bool, yes: bool, dry_run: bool) -> None:
    """Refuse a change that nobody could say yes to.

    Raises:
        UsageError: there is nobody to ask, and the options say nothing either.
    """
    if not (yes or dry_run or can_ask):
        raise UsageError(
            f"{command} needs a yes, and there is no terminal to ask on",
            "-y writes, --dry-run prints the diff",
        )


def edit_files(
    app: AppContext, tasks: Sequence["EditTask"], wish: EditWish, shown: Sequence["EditTask"] = ()
) -> int:
    """Rewrite files, and write what the person wants of it, or print the diffs; gives how many were written.

    The files of the tasks `shown` are for the model to look at, as far as there is room for them.

    Raises:
        CheckFailed: what the model wrote is refused, or it changed nothing.
        NoCodeInReply: it wrote nothing.
        ContextOverflow: a file does not fit the window twice.
        Interrupted: the person does not want to go on; nothing is written.
    """
    each = replace(wish, may_stay=wish.may_stay or len(tasks) > 1)  # of several, some may stay as they are
    with closing(app.open_engine(wish.settings)) as engine:
        edited = [(task, rewritten(app, engine, task, each, [*tasks, *shown])) for task in tasks]
    changed = [(task, text) for task, text in edited if text != task.file.text]
    if not changed and wish.may_stay:
        note(app, "there is nothing to change")
        return 0
    if not changed:
        raise CheckFailed("the model changed nothing", "say more exactly what shall change and how")
    if wish.dry_run:
        print_diffs(app, wish.settings, changed)
        return 0
    return write_changes(app, changed, wish)


def rewritten(
    app: AppContext, engine: Engine, task: "EditTask", wish: EditWish, others: "Sequence[EditTask]" = ()
) -> str:
    """The new text of one file; the model may look at others as far as there is room for them.

    Raises:
        AigcError: see `edit_files`.
    """
    from aigc_cli.tasks.edit import edit_request
    from aigc_cli.tasks.edit_room import fitted
    from aigc_cli.tasks.edit_targets import as_context

    context = [as_context(other) for other in others if other.file is not task.file]
    task, left_out, n_most = fitted(engine, task, context, wish.settings.system)
    if left_out:
        note(app, f"{task.file.name}: no room to show the model {', '.join(left_out)}")
    # What a publisher recommends is for talk: a penalty on repetition would keep a text from being copied.
    base = replace(Sampling(temperature=0.0, stop=engine.info.sampling.stop), **wish.sampling)
    reason = ""
    for attempt in range(1, N_TRIES + 1):
        sampling = _limited(sampling_from(wish.settings, base), n_most)
        request = edit_request(task, wish.settings.system, sampling, reason)
        text, failure, reason = _attempt(app, engine, task, request, wish)
        if failure is None and text == task.file.text and not wish.may_stay:
            reason = "the model changed nothing"
            failure = CheckFailed(reason, "say more exactly what shall change and how")
        if failure is None:
            return text
        if attempt == N_TRIES:
            if kept := _salvaged(app, task, text, wish):
                note(app, f"{task.file.name}: {reason}; only the other places are taken")
                return kept
            raise failure
        base = replace(base, temperature=_RETRY_TEMPERATURE)
        note(app, f"{failure.message}; once more")
    raise AssertionError  # the last attempt returns or raises


def _salvaged(app: AppContext, task: "EditTask", text: str, wish: EditWish) -> str:
    """What of the last try may be written after all; empty if nothing."""
    kept = wish.salvage(task, text) if wish.salvage and text else ""
    return "" if not kept or _failure(app, task, kept, wish)[0] else kept


def _limited(sampling: Sampling, n_most: int) -> Sampling:
    return sampling if sampling.max_tokens else replace(sampling, max_tokens=n_most)


def _attempt(
    app: AppContext, engine: Engine, task: "EditTask", request: Request, wish: EditWish
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


def _failure(app: AppContext, task: "EditTask", text: str, wish: EditWish) -> tuple[AigcError | None, str]:
    from aigc_cli.tasks.checks import CommandCheck
    from aigc_cli.tasks.edit_guards import Edit, objection

    if text == task.file.text:
        return None, ""
    if wish.objection and (reason := wish.objection(task, text)):
        return CheckFailed(f"{task.file.name} is not changed: {reason}", "run it again"), reason
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


def print_diffs(app: AppContext, settings: Settings, changed: "Sequence[tuple[EditTask, str]]") -> None:
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


def write_changes(app: AppContext, changed: "Sequence[tuple[EditTask, str]]", wish: EditWish) -> int:
    """Write the changes that the person says yes to, and say how to take them back; gives how many.

    Raises:
        Interrupted: the person does not want to go on; nothing is written.
        FileError: a file can't be written.
    """
    from aigc_cli.cli.edit_review import reviewed, show_diff
    from aigc_cli.tasks.hunks import count_changed
    from aigc_cli.tasks.journal import Journal, Replacement

    replacements = []
    told = []
    for (task, _), proposal in zip(changed, _proposals(changed), strict=True):
        if wish.yes:
            exact: str | None = proposal.new
            if app.stderr.isatty():
                show_diff(app, wish.settings, app.stderr, proposal)
        else:
            exact = reviewed(app, wish.settings, proposal, wish.answer)
        if exact is None or exact == task.file.exact:
            note(app, f"{task.file.name} stays as it is")
            continue
        content = task.file.encoded(exact)
        replacements.append(Replacement(task.file.path, task.file.name, task.file.content, content))
        n_added, n_removed = count_changed(task.file.exact, exact)
        told.append(f"changed {task.file.name} (+{n_added} -{n_removed})")
    if not replacements:
        return 0
    words = [
        "aigc",
        wish.command,
        *(task.file.name for task, _ in changed),
        *([wish.said] if wish.said and wish.settings.history else []),
    ]
    warning = Journal(app.directories.state, app.now).apply(replacements, shlex.join(words))
    for line in told:
        note(app, line)
    note(app, f"this can't be undone: {warning}" if warning else "aigc undo takes it back")
    return len(replacements)
