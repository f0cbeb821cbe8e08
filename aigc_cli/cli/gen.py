"""`aigc gen`: one file from a description, checked and repaired."""

import json
import shlex
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options
from aigc_cli.cli.code_output import show_code
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.drafting import Drafting, run_tries
from aigc_cli.cli.ending import cut_short_by
from aigc_cli.cli.inputs import Inputs, read_inputs, refuse_oversize
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import MOST_CANDIDATES, Sampling
from aigc_cli.errors import AigcError, CheckFailed, ExitCode, FileError, NoCodeInReply, UsageError
from aigc_cli.render.console import detect_traits
from aigc_cli.tasks.checks import Check, CommandCheck, ExampleCheck, SyntaxCheck, refuse_missing_program
from aigc_cli.tasks.code_blocks import CodeBlock
from aigc_cli.tasks.examples import find_examples
from aigc_cli.tasks.generate import FileTask
from aigc_cli.tasks.hunks import unified_diff
from aigc_cli.tasks.journal import Journal, Replacement
from aigc_cli.tasks.languages import Language, language_called, language_of
from aigc_cli.tasks.repair import RETRY_CANDIDATES, Judged, Plan
from aigc_cli.tasks.run_examples import interpreter_for, runnable
from aigc_cli.tasks.sandbox import find_isolation
from aigc_cli.tasks.workspace import named_path, read_text, refuse_bad_target, write_atomic

STDOUT = "-"
_MOST_TRIES = 100

_Check = Annotated[
    str | None,
    typer.Option(
        "--check", metavar="CMD", help="a command that accepts the file by exiting with 0; {file} is its name"
    ),
]
_RunExamples = Annotated[
    bool, typer.Option("--run-examples", help="run the code on the examples in the prompt, in a sandbox")
]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="print the code, or the diff to an existing file, and write nothing"),
]
_NoDraft = Annotated[bool, typer.Option("--no-draft", help="keep no FILE.draft when no draft passes")]
_Json = Annotated[bool, typer.Option("--json", help="print a report with the code and all tries")]
_Candidates = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--candidates",
        metavar="N",
        min=1,
        max=MOST_CANDIDATES,
        help=f"drafts of each try, at once; else 1 at first, {RETRY_CANDIDATES} later",
    ),
]
_Tries = Annotated[
    int,
    typer.Option(
        "--tries",
        metavar="N",
        min=1,
        max=_MOST_TRIES,
        help="tries until a draft passes its checks",
    ),
]


@dataclass(frozen=True, slots=True)
class _Goal:
    """Where the code goes.

    Attributes:
        output: as the person wrote it.
        target: None for stdout.
        before: what the target held when the command began; None if it was not there.
    """

    output: str
    target: Path | None
    before: bytes | None
    language: Language | None
    prompt: str
    is_dry: bool
    keeps_draft: bool
    as_json: bool

    @property
    def file_name(self) -> str:
        """The name that the model and the checks see."""
        return self.target.name if self.target else ""


@setting_options("system", *options.ENGINE, *options.RESIDENT, *options.SAMPLING, *options.VIEW)
def gen(
    ctx: typer.Context,
    *,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="what the file is for; - reads it from stdin")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="the file to write; - prints the code"),
    ] = None,
    file: options.Files = None,
    lang: Annotated[
        str | None,
        typer.Option("--lang", metavar="NAME", help="its language, when the file name does not tell"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite an existing file")] = False,
    dry_run: _DryRun = False,
    check: _Check = None,
    run_examples: _RunExamples = False,
    tries: _Tries = 3,
    candidates: _Candidates = None,
    no_draft: _NoDraft = False,
    as_json: _Json = False,
    stop: options.Stop = None,
    no_stdin: options.NoStdin = False,
    flags: options.Flags,
) -> int:
    """Write one file: code only, no fence, checked and repaired, whole or not at all."""
    app = app_context(ctx)
    if not output:
        raise UsageError("gen needs -o FILE", "aigc gen 'a word counter' -o wc.py; -o - prints the code")
    target, before = (None, None) if output == STDOUT else _target(app, output, overwrite=force or dry_run)
    language = _language(lang, "" if target is None else output)
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling(), stop or ())  # a bad value is told before a model is loaded
    inputs = read_inputs(app, prompt or [], file or [], no_stdin=no_stdin)
    goal = _Goal(
        output,
        target,
        before,
        language,
        inputs.prompt,
        is_dry=dry_run,
        keeps_draft=not no_draft,
        as_json=as_json,
    )
    checks = _checks(app, goal, inputs, check, run_examples=run_examples)
    if target and language is None:
        note(app, f"no language is known for {output!r}; --lang names one")
    task = FileTask(inputs.prompt, inputs.attachments, goal.file_name, language)
    with closing(app.open_engine(settings)) as engine:
        refuse_oversize(len(inputs.message), engine.info.n_ctx)
        sampling = sampling_from(settings, engine.info.sampling, stop or ())
        is_set = settings.temperature is not None
        plan = Plan(task, settings.system, sampling, is_set, tries, candidates, private=not settings.history)
        to_stdout = target is None and not as_json
        drafting = run_tries(app, settings, engine, plan, checks, to_stdout=to_stdout)
    return _finish(app, settings, goal, drafting)


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


def _checks(
    app: AppContext, goal: _Goal, inputs: Inputs, command: str | None, *, run_examples: bool
) -> list[Check]:
    """What the drafts must pass, the cheapest first."""
    language = goal.language
    suffix = language.suffixes[0] if language and language.suffixes else ".txt"
    name = goal.file_name or f"draft{suffix}"
    checks: list[Check] = [SyntaxCheck(language)] if language and language.grammar else []
    if command is not None:
        refuse_missing_program(command, app.env)
        checks.append(CommandCheck(command, name, app.cwd, app.env))
    if not run_examples:
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


def _finish(app: AppContext, settings: Settings, goal: _Goal, drafting: Drafting) -> int:
    failure = drafting.stopped or _failure(drafting.best)
    code = drafting.code
    is_written = failure is None and goal.target is not None and not goal.is_dry
    if is_written and goal.target:
        _write(app, settings, goal, goal.target, code)
    if goal.as_json:
        report = _report(goal, drafting, failure, is_written=is_written)
        app.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    elif code and (goal.target is None or (goal.is_dry and failure is None)):
        # on a terminal, code that goes to stdout is watched as it comes
        is_screen = detect_traits(app.stdout, app.env, settings.color).moves_cursor
        _print(app, settings, goal, code, was_watched=is_screen and drafting.shows_best_last)
    if is_written:
        note(app, f"wrote {goal.output} ({_described(goal, code)})")
    if failure is None:
        return ExitCode.DONE
    if code and goal.target:
        _keep_draft(goal, goal.target, code, failure)
    raise failure


def _write(app: AppContext, settings: Settings, goal: _Goal, target: Path, code: str) -> None:
    """Write the file; one that is overwritten can be had back."""
    if goal.before is None:
        write_atomic(target, code, goal.output)
        return
    content = code.encode("utf-8", "surrogateescape")
    words = ["aigc", "gen", *([goal.prompt] if settings.history else []), "-o", goal.output]
    replacement = Replacement(target, goal.output, goal.before, content)
    warning = Journal(app.directories.state, app.now).apply([replacement], shlex.join(words))
    note(app, f"this can't be undone: {warning}" if warning else "aigc undo brings the old file back")


def _described(goal: _Goal, code: str) -> str:
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


def _keep_draft(goal: _Goal, target: Path, code: str, failure: AigcError) -> None:
    """Keep the best that the model wrote beside the file, which stays as it was."""
    failure.message += f"; {goal.output} is not written"
    if goal.is_dry or not goal.keeps_draft:
        return
    write_atomic(target.with_name(f"{target.name}.draft"), code)
    failure.hint = f"the draft is in {goal.output}.draft" + (f"; {failure.hint}" if failure.hint else "")


def _print(app: AppContext, settings: Settings, goal: _Goal, code: str, *, was_watched: bool) -> None:
    if goal.target and goal.target.exists():
        diff = unified_diff(goal.output, read_text(goal.target, goal.output), code)
        show_code(app, settings, [CodeBlock("diff", diff)])
    elif goal.target or not was_watched:
        show_code(app, settings, [CodeBlock(goal.language.tag if goal.language else "", code)])


def _report(
    goal: _Goal, drafting: Drafting, failure: AigcError | None, *, is_written: bool
) -> dict[str, Any]:
    stats = [reply.done.stats for reply in drafting.replies]
    return {
        "file": goal.output,
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
