"""`aigc gen`: one file from a description."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options
from aigc_cli.cli.code_output import show_code
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.ending import cut_short
from aigc_cli.cli.inputs import read_inputs, refuse_oversize
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.reply import Reply, prefill_progress, run_reply
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Sampling
from aigc_cli.errors import AigcError, CheckFailed, ExitCode, NoCodeInReply, UsageError
from aigc_cli.events import Delta, Event
from aigc_cli.render.console import detect_traits
from aigc_cli.render.progress import stats_line
from aigc_cli.render.view import View, open_view
from aigc_cli.tasks.code_blocks import CodeBlock
from aigc_cli.tasks.generate import FileTask, code_of_reply, file_request
from aigc_cli.tasks.languages import Language, language_called, language_of
from aigc_cli.tasks.syntax import parse
from aigc_cli.tasks.workspace import named_path, refuse_bad_target, write_atomic

STDOUT = "-"


@setting_options("system", *options.ENGINE, *options.SAMPLING, *options.VIEW)
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
    stop: options.Stop = None,
    no_stdin: options.NoStdin = False,
    flags: options.Flags,
) -> int:
    """Write one file: code only, no fence, checked for syntax, whole or not at all."""
    app = app_context(ctx)
    if not output:
        raise UsageError("gen needs -o FILE", "aigc gen 'a word counter' -o wc.py; -o - prints the code")
    target = None if output == STDOUT else named_path(output, app.cwd)
    if target:
        refuse_bad_target(target, output, overwrite=force)
    language = _language(lang, "" if target is None else output)
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling(), stop or ())  # a bad value is told before a model is loaded
    inputs = read_inputs(app, prompt or [], file or [], no_stdin=no_stdin)
    name = "" if target is None else target.name
    task = FileTask(inputs.prompt, inputs.attachments, name, language)
    if target and language is None:
        note(app, f"no language is known for {output!r}; --lang names one")
    with closing(app.open_engine(settings)) as engine:
        refuse_oversize(len(inputs.message), engine.info.n_ctx)
        sampling = sampling_from(settings, engine.info.sampling, stop or ())
        request = replace(file_request(task, settings.system, sampling), private=not settings.history)
        reply = run_reply(app, engine, request, _views(app, settings, task, to_stdout=target is None))
    code = code_of_reply(task, reply.text)
    if settings.stats:
        app.stderr.write(stats_line(reply.done) + "\n")
    failure = _failure(task, reply, code)
    if target is None:
        _print(app, settings, task, code)
    elif failure is None:
        write_atomic(target, code, output)
        what = language.name if language else "text"
        note(app, f"wrote {output} ({code.count(chr(10)):,} lines, {what})")
    elif code:
        raise _with_draft(failure, target, output, code)
    if failure:
        raise failure
    return ExitCode.DONE


def _language(lang: str | None, output: str) -> Language | None:
    if lang is None:
        return language_of(output) if output else None
    language = language_called(lang)
    if language is None:
        raise UsageError(f"no language is called {lang!r}", "use its usual name: python, go, c++, dockerfile")
    return language


def _views(app: AppContext, settings: Settings, task: FileTask, *, to_stdout: bool) -> list[View]:
    """Code is watched as it is written wherever a terminal is, and never twice on the same one."""
    progress = prefill_progress(app)
    stream = app.stdout if to_stdout else app.stderr
    if not detect_traits(stream, app.env, settings.color).moves_cursor:
        return [progress]
    return [progress, _CodeView(open_view(stream, app.env, settings), task)]


class _CodeView:
    """Shows a reply that begins inside a block of code to a view of Markdown."""

    def __init__(self, view: View, task: FileTask) -> None:
        self._view = view
        self._task = task
        self._begun = False

    def show(self, event: Event) -> None:
        """Open the block before the first text; the view itself ends one that is left open."""
        if isinstance(event, Delta) and not self._begun:
            self._begun = True
            self._view.show(Delta(self._task.reply_prefix, n_tokens=0))
        self._view.show(event)

    def close(self) -> None:
        """End the reply."""
        self._view.close()


def _print(app: AppContext, settings: Settings, task: FileTask, code: str) -> None:
    if code and not detect_traits(app.stdout, app.env, settings.color).moves_cursor:
        tag = task.language.tag if task.language else ""
        show_code(app, settings, [CodeBlock(tag, code)])


def _failure(task: FileTask, reply: Reply, code: str) -> AigcError | None:
    """Why this code is not what was asked for."""
    if error := cut_short(reply):
        return error
    if not code:
        return NoCodeInReply("the reply holds no code", "say what the file shall do")
    if problems := parse(task.language, code).problems:
        return CheckFailed(
            f"the code is no valid {_name(task)}: {problems[0]}", "run it again, or say it otherwise"
        )
    return None


def _with_draft(failure: AigcError, target: Path, output: str, code: str) -> AigcError:
    """Keep what the model wrote beside the file, which stays as it was."""
    draft = target.with_name(f"{target.name}.draft")
    write_atomic(draft, code)
    failure.message += f"; {output} is not written"
    failure.hint = f"the draft is in {output}.draft" + (f"; {failure.hint}" if failure.hint else "")
    return failure


def _name(task: FileTask) -> str:
    return task.language.name if task.language else "text"
