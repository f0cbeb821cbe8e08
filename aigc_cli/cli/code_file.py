"""One file written by a model: drafted, checked, repaired, put in place. `aigc gen` and recipes."""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli.code_output import show_code
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.drafting import Drafting, run_tries
from aigc_cli.cli.ending import cut_short_by
from aigc_cli.cli.inputs import Inputs, refuse_oversize
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.errors import AigcError, CheckFailed, ExitCode, FileError, NoCodeInReply, UsageError
from aigc_cli.tasks.checks import Check, CommandCheck, ExampleCheck, SyntaxCheck, refuse_missing_program
from aigc_cli.tasks.code_blocks import CodeBlock
from aigc_cli.tasks.examples import find_examples
from aigc_cli.tasks.generate import FileTask
from aigc_cli.tasks.hunks import unified_diff
from aigc_cli.tasks.journal import Journal, Replacement
from aigc_cli.tasks.languages import Language, language_called, language_of
from aigc_cli.tasks.repair import Judged, Plan
from aigc_cli.tasks.run_examples import interpreter_for, runnable
from aigc_cli.tasks.sandbox import find_isolation
from aigc_cli.tasks.workspace import named_path, read_text, refuse_bad_target, write_atomic

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class CodeWish:
    """What is wanted of the file.

    Attributes:
        command: the command's name, for the journal.
        said: the person's own words, for the journal.
        output: as the person wrote it; `-` is stdout.
        lang: the language's name, when the file name does not tell.
        check: a command line that accepts the file by exiting with 0.
        checks: what a draft must pass besides.
        sampling: values that take the place of the model's recommended ones.
    """

    settings: Settings
    command: str
    said: str
    output: str
    lang: str | None = None
    force: bool = False
    dry_run: bool = False
    check: str | None = None
    run_examples: bool = False
    tries: int = 3
    candidates: int | None = None
    keeps_draft: bool = True
    as_json: bool = False
    stop: tuple[str, ...] = ()
    checks: Sequence[Check] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the code goes.

    Attributes:
        target: None for stdout.
        before: what the target held when the command began; None if it was not there.
    """

    wish: CodeWish
    target: Path | None
    before: bytes | None
    language: Language | None

    @property
    def file_name(self) -> str:
        """The name that the model and the checks see."""
        return self.target.name if self.target else ""


def goal_of(app: AppContext, wish: CodeWish) -> Goal:
    """Where it goes; what could not be written is told before anything is read or run.

    Raises:
        FileError: the file exists, or can't be written.
        UsageError: there is no such language.
    """
    if wish.output == STDOUT:
        return Goal(wish, None, None, _language(wish.lang, ""))
    target, before = _target(app, wish.output, overwrite=wish.force or wish.dry_run)
    return Goal(wish, target, before, _language(wish.lang, wish.output))


def write_code(app: AppContext, goal: Goal, inputs: Inputs) -> int:
    """Draft, check and repair it, then write or print it.

    Raises:
        CheckFailed: no draft passed; the best is kept beside the file.
        NoCodeInReply: none held code.
        AigcError: the engine failed.
    """
    wish, settings = goal.wish, goal.wish.settings
    checks = [*_checks(app, goal, inputs), *wish.checks]
    if goal.target and goal.language is None:
        note(app, f"no language is known for {wish.output!r}; --lang names one")
    task = FileTask(inputs.prompt, inputs.attachments, goal.file_name, goal.language)
    with closing(app.open_engine(settings)) as engine:
        refuse_oversize(len(inputs.message), engine.info.n_ctx)
        sampling = sampling_from(settings, replace(engine.info.sampling, **wish.sampling), wish.stop)
        is_set = settings.temperature is not None or "temperature" in wish.sampling
        private = not settings.history
        plan = Plan(task, settings.system, sampling, is_set, wish.tries, wish.candidates, private=private)
        to_stdout = goal.target is None and not wish.as_json
        drafting = run_tries(app, settings, engine, plan, checks, to_stdout=to_stdout)
    return _finish(app, goal, drafting)


def _target(app: AppContext, output: str, *, overwrite: bool) -> tuple[Path, bytes | None]:
    """The file to write, and what it holds already."""
    target = named_path(output, app.cwd)
    refuse_bad_target(target, output, overwrite=overwrite)
    try:
        return target, target.read_bytes() if target.exists() else None
    except OSError as error:
        raise FileError(f"{output!r} can't be read: {error.strerror}", "choose another name") from error


def _language(lang: str | None, output: str) -> Language | None:
    if lang is None:
        return language_of(output) if output else None
    language = language_called(lang)
    if language is None:
        raise UsageError(f"no language is called {lang!r}", "use its usual name: python, go, c++, dockerfile")
    return language


def _checks(app: AppContext, goal: Goal, inputs: Inputs) -> list[Check]:
    """What the drafts must pass, the cheapest first."""
    command = goal.wish.check
    language = goal.language
    suffix = language.suffixes[0] if language and language.suffixes else ".txt"
    name = goal.file_name or f"draft{suffix}"
    checks: list[Check] = [SyntaxCheck(language)] if language and language.grammar else []
    if command is not None:
        refuse_missing_program(command, app.env)
        checks.append(CommandCheck(command, name, app.cwd, app.env))
    if not goal.wish.run_examples:
        return checks
    if language is None or not interpreter_for(language, app.env):
        what = language.name if language else "a file of no known language"
        raise UsageError(f"--run-examples can't run {what}", "it runs Python, and JavaScript where node is")
    examples = tuple(runnable(find_examples(inputs.prompt), language))
    if not examples:
        raise UsageError(
            "--run-examples: the prompt holds no example", "such as: f(2) == 4, or: f(2) returns 4"
        )
    isolation = find_isolation(app.env.get("PATH"))
    note(app, f"each draft is run on {len(examples)} of your examples: {isolation.meaning}")
    return [*checks, ExampleCheck(examples, language, name, app.cwd, app.env, isolation)]


def _finish(app: AppContext, goal: Goal, drafting: Drafting) -> int:
    failure = drafting.stopped or _failure(drafting.best)
    code = drafting.code
    is_written = failure is None and goal.target is not None and not goal.wish.dry_run
    if is_written and goal.target:
        write_file(app, goal, goal.target, code)
    if goal.wish.as_json:
        report = _report(goal, drafting, failure, is_written=is_written)
        app.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    elif code and (goal.target is None or failure is None):
        _show(app, goal, drafting)
    if is_written:
        note(app, f"wrote {goal.wish.output} ({_described(goal, code)})")
    if failure is None:
        return ExitCode.DONE
    if code and goal.target:
        _keep_draft(goal, goal.target, code, failure)
    raise failure


def write_file(app: AppContext, goal: Goal, target: Path, code: str) -> None:
    """Write the file; one that is overwritten can be had back."""
    if goal.before is None:
        write_atomic(target, code, goal.wish.output)
        return
    content = code.encode("utf-8", "surrogateescape")
    wish = goal.wish
    said = [wish.said] if wish.said and wish.settings.history else []
    words = ["aigc", wish.command, *said, "-o", wish.output]
    replacement = Replacement(target, goal.wish.output, goal.before, content)
    warning = Journal(app.directories.state, app.now).apply([replacement], shlex.join(words))
    note(app, f"this can't be undone: {warning}" if warning else "aigc undo brings the old file back")


def _described(goal: Goal, code: str) -> str:
    language = goal.language
    unchecked = ", unchecked" if language and not language.grammar else ""
    return f"{code.count(chr(10)):,} lines, {language.name if language else 'text'}{unchecked}"


def _failure(best: Judged | None) -> AigcError | None:
    """Why the best draft is not what was asked for."""
    if best is None or best.is_passed:
        return None
    if error := cut_short_by(best.draft.finish_reason):
        return error
    if not best.draft.code:
        return NoCodeInReply("the reply holds no code", "say what the file shall do")
    said = best.failure.said if best.failure else ""
    return CheckFailed(f"no draft passed: {said}", "run it again, raise --tries, or say it otherwise")


def _keep_draft(goal: Goal, target: Path, code: str, failure: AigcError) -> None:
    """Keep the best that the model wrote beside the file, which stays as it was."""
    failure.message += f"; {goal.wish.output} is not written"
    if goal.wish.dry_run or not goal.wish.keeps_draft:
        return
    write_atomic(target.with_name(f"{target.name}.draft"), code)
    failure.hint = f"the draft is in {goal.wish.output}.draft" + (f"; {failure.hint}" if failure.hint else "")


def _show(app: AppContext, goal: Goal, drafting: Drafting) -> None:
    """Print the code where that is asked for; and show the best draft to who watched another one."""
    watched_another = drafting.on_screen and not drafting.is_best_newest
    if watched_another:
        note(app, "another draft is better:")
    wish, settings = goal.wish, goal.wish.settings
    code = CodeBlock(goal.language.tag if goal.language else "", drafting.code)
    if goal.target and wish.dry_run:
        if goal.target.exists():
            diff = unified_diff(wish.output, read_text(goal.target, wish.output), drafting.code)
            code = CodeBlock("diff", diff)
        show_code(app, settings, [code])
    elif watched_another or (goal.target is None and not drafting.on_screen):
        show_code(app, settings, [code], to_stderr=goal.target is not None)


def _report(goal: Goal, drafting: Drafting, failure: AigcError | None, *, is_written: bool) -> dict[str, Any]:
    stats = [reply.done.stats for reply in drafting.replies]
    return {
        "file": goal.wish.output,
        "language": goal.language.tag if goal.language else None,
        "passed": failure is None,
        "written": is_written,
        "error": failure.message if failure else None,
        "code": drafting.code,
        "tries": [
            {
                "number": attempt.number,
                "way": attempt.way.value,
                "passed": attempt.judged.is_passed,
                "doubt": attempt.judged.doubt or None,
                "checks": [
                    {"name": each.check, "passed": each.is_passed, "said": each.said or None}
                    for each in attempt.judged.verdicts
                ],
            }
            for attempt in drafting.tried
        ],
        "tokens": {
            "prompt": sum(each.prompt_tokens for each in stats),
            "cached": sum(each.cached_tokens for each in stats),
            "reply": sum(each.reply_tokens for each in stats),
        },
        "timings": {
            "prefill_s": sum(each.prefill_s for each in stats),
            "decode_s": sum(each.decode_s for each in stats),
        },
    }
