"""`aigc fill`: what is missing at a place of a file, printed or put in."""

import json
import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options, stdin
from aigc_cli.cli.code_output import show_code
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.question import answer_to, stopped
from aigc_cli.cli.reply import prefill_progress, run_replies
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import MOST_CANDIDATES, ContextFile, Engine, Request, Sampling
from aigc_cli.errors import (
    CheckFailed,
    ExitCode,
    Interrupted,
    NoCodeInReply,
    UnsupportedFeature,
    UsageError,
)
from aigc_cli.events import FinishReason
from aigc_cli.render.progress import stats_line
from aigc_cli.tasks.attachments import read_attachment
from aigc_cli.tasks.code_blocks import CodeBlock
from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.workspace import named_path

if TYPE_CHECKING:
    from aigc_cli.tasks.fill import Fill
    from aigc_cli.tasks.fill_end import FillEnd
    from aigc_cli.tasks.gap import Gap, Place
    from aigc_cli.tasks.text_file import TextFile

_NONE = ("n", "no", "q", "否", "不")

_Place = Annotated[
    str,
    typer.Argument(metavar="FILE:LINE[:COL]", help="where to write; without COL at the end of the line"),
]
_Candidates = Annotated[
    int,
    typer.Option(
        "-n", "--candidates", metavar="N", min=1, max=MOST_CANDIDATES, help="so many different ones"
    ),
]
_Lines = Annotated[
    int, typer.Option("--lines", metavar="N", min=0, help="at most so many lines; 0: to the end of the block")
]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the options say.

    Attributes:
        place: as the person wrote it.
    """

    settings: Settings
    place: str
    gap: "Gap"
    end: "FillEnd"
    extra: tuple[ContextFile, ...]
    n_candidates: int


@setting_options(*options.ENGINE, *options.SAMPLING, *options.VIEW)
def fill(
    ctx: typer.Context,
    *,
    place: _Place,
    insert: Annotated[bool, typer.Option("-i", "--insert", help="put it into the file")] = False,
    candidates: _Candidates = 1,
    lines: _Lines = 0,
    file: options.Files = None,
    no_context: Annotated[
        bool, typer.Option("--no-context", help="look at no other files than those of -f")
    ] = False,
    from_stdin: Annotated[
        bool, typer.Option("--stdin", help="take the file's text from stdin: an editor's, unsaved")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the candidates as JSON")] = False,
    flags: options.Flags,
) -> int:
    """Write what is missing at a place of a file, from what stands before and after it."""
    from aigc_cli.tasks.fill_end import end_of  # the parsers: not for --help
    from aigc_cli.tasks.gap import gap_at, read_place

    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling())  # a bad value is told before a model is loaded
    where = read_place(place)
    if insert and from_stdin:
        raise UsageError("-i can't change standard input", "leave out --stdin or -i")
    text_file, text = (None, _piped(app)) if from_stdin else _read(app, where, insert=insert)
    gap = gap_at(where, text, language_of(where.name, text[:200]))
    extra = _extra(app, gap, file or [], is_alone=no_context)
    wish = _Wish(settings, place, gap, end_of(gap, lines), extra, candidates)
    with closing(app.open_engine(settings)) as engine:
        found = _found(app, engine, wish)
    if not found:
        raise NoCodeInReply("the model put nothing there", "try another place, or -n 3")
    if text_file and insert:
        return _insert(app, wish, text_file, found)
    return _print(app, wish, found, as_json=as_json)


def _piped(app: AppContext) -> str:
    return stdin.read_stdin(app).replace("\r\n", "\n")


def _read(app: AppContext, where: "Place", *, insert: bool) -> "tuple[TextFile, str]":
    from aigc_cli.tasks.text_file import read_text_file  # as above
    from aigc_cli.tasks.workspace import refuse_bad_target

    path = named_path(where.name, app.cwd)
    if insert and path.exists():
        refuse_bad_target(path, where.name, overwrite=True)
    read = read_text_file(path, where.name)
    return read, read.text


def _extra(app: AppContext, gap: "Gap", files: Sequence[str], *, is_alone: bool) -> tuple[ContextFile, ...]:
    """Other files for the model to look at; those that the person named are next to the gap."""
    from aigc_cli.tasks.neighbours import neighbours  # as above

    named = [read_attachment(each, app.cwd) for each in files]
    found: tuple[ContextFile, ...] = ()
    if not is_alone:
        path = Path(named_path(gap.name, app.cwd)).resolve()
        root = app.cwd.resolve() if path.is_relative_to(app.cwd.resolve()) else path.parent
        found = neighbours(path, gap.filled(""), gap.language, root)
    return (*found, *(ContextFile(each.name, each.text) for each in named))


def _found(app: AppContext, engine: Engine, wish: _Wish) -> "list[Fill]":
    """What may go there, the best first. If the only one is none or does not parse, a few more are drawn."""
    from aigc_cli.tasks.fill import RETRY_CANDIDATES, fills

    replies = _replies(app, engine, wish, wish.n_candidates)
    found = fills(wish.gap, replies, wish.end)
    if wish.n_candidates == 1 and (not found or found[0].problem):
        reason = f"it does not parse ({found[0].problem})" if found else "nothing was said"
        note(app, f"{reason}; {RETRY_CANDIDATES} more")
        replies += _replies(app, engine, wish, RETRY_CANDIDATES)
        found = fills(wish.gap, replies, wish.end)[:1]
    return found


def _replies(
    app: AppContext, engine: Engine, wish: _Wish, n_candidates: int
) -> list[tuple[str, FinishReason]]:
    """Ask in the best way that the engine has.

    Raises:
        Interrupted: Ctrl-C.
        UnsupportedFeature: there is none.
    """
    from aigc_cli.tasks.fill import sampling_for, ways

    settings = wish.settings
    sampling = sampling_for(
        sampling_from(settings, engine.info.sampling),
        n_candidates,
        is_temperature_set=settings.temperature is not None,
    )
    failure: UnsupportedFeature | None = None
    for said, request in ways(wish.gap, wish.extra, wish.end, sampling, engine.info):
        asked = replace(request, candidates=n_candidates, private=not settings.history)
        try:
            replies = _answered(app, engine, wish, asked)
        except UnsupportedFeature as error:
            failure = failure or error
            continue
        if said:
            note(app, said)
        return replies
    raise failure or UnsupportedFeature("this model can neither fill in nor chat", "aigc models list")


def _answered(
    app: AppContext, engine: Engine, wish: _Wish, request: Request
) -> list[tuple[str, FinishReason]]:
    from aigc_cli.tasks.ending_engine import EndingEngine

    answers = run_replies(
        app, EndingEngine(engine, wish.end), request, [prefill_progress(app, counts_reply=True)]
    )
    if wish.settings.stats:
        app.stderr.writelines(stats_line(each.done) + "\n" for each in answers)
    if any(each.done.finish_reason is FinishReason.INTERRUPTED for each in answers):
        raise Interrupted("interrupted; nothing is written")
    return [(each.text, each.done.finish_reason) for each in answers]


def _print(app: AppContext, wish: _Wish, found: "Sequence[Fill]", *, as_json: bool) -> int:
    """All of them; several are numbered."""
    tag = wish.gap.language.tag if wish.gap.language else ""
    if as_json:
        shown = [{"text": each.text, "problem": each.problem or None} for each in found]
        app.stdout.write(json.dumps({"place": wish.place, "candidates": shown}, ensure_ascii=False) + "\n")
    elif app.stdout.isatty() or wish.n_candidates > 1:
        for number, each in enumerate(found, 1):
            if wish.n_candidates > 1:
                app.stdout.write(f"{number}:\n")
            show_code(app, wish.settings, [CodeBlock(tag, each.text.strip("\n"))])
    else:
        app.stdout.write(found[0].text)
    _tell_doubt(app, found[0])
    if found[0].problem:
        raise _failed(wish, found[0])
    return ExitCode.DONE


def _failed(wish: _Wish, best: "Fill") -> CheckFailed:
    return CheckFailed(
        f"with it {wish.gap.name} is no valid {wish.gap.language.name if wish.gap.language else 'text'}:"
        f" {best.problem}",
        "run it again with -n 4, or --lines 1",
    )


def _tell_doubt(app: AppContext, best: "Fill") -> None:
    if best.doubt and not best.problem:
        note(app, f"look at it: {best.doubt}")


def _insert(app: AppContext, wish: _Wish, text_file: "TextFile", found: "Sequence[Fill]") -> int:
    from aigc_cli.tasks.journal import Journal, Replacement  # SQLite

    chosen = found[0] if len(found) == 1 or not app.stdin.isatty() else _chosen(app, wish, found)
    if chosen.problem:
        error = _failed(wish, chosen)
        error.message += "; nothing is written"
        raise error
    _tell_doubt(app, chosen)
    exact = text_file.with_text(wish.gap.filled(chosen.text))
    replacement = Replacement(text_file.path, text_file.name, text_file.content, text_file.encoded(exact))
    command = shlex.join(["aigc", "fill", wish.place, "-i"])
    warning = Journal(app.directories.state, app.now).apply([replacement], command)
    n_lines = chosen.text.strip("\n").count("\n") + 1
    note(app, f"put {n_lines:,} {'line' if n_lines == 1 else 'lines'} into {text_file.name}")
    note(app, f"this can't be undone: {warning}" if warning else "aigc undo takes it back")
    return ExitCode.DONE


def _chosen(app: AppContext, wish: _Wish, found: "Sequence[Fill]") -> "Fill":
    """The one that the person names.

    Raises:
        Interrupted: none of them.
    """
    for number, each in enumerate(found, 1):
        app.stderr.write(f"{number}:\n")
        app.stderr.write(_shown(each, wish))
    while True:
        answer = answer_to(app, f"which one? [1-{len(found)}, n] ")
        if answer in _NONE:
            raise stopped()
        if answer.isdecimal() and 1 <= int(answer) <= len(found):
            return found[int(answer) - 1]


def _shown(each: "Fill", wish: _Wish) -> str:
    from aigc_cli.render.console import sanitize

    problem = (
        f"(no valid {wish.gap.language.name}: {each.problem})\n" if each.problem and wish.gap.language else ""
    )
    return sanitize(each.text).strip("\n") + "\n" + problem
