"""`aigc ask`: one question, one answer on stdout."""

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aigc_cli.chat.prompt import sampling_from, system_message
from aigc_cli.cli import options
from aigc_cli.cli.code_output import show_code
from aigc_cli.cli.confidence import N_ALTERNATIVES, confidence_view, tell_doubts
from aigc_cli.cli.constraint import read_constraint
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.ending import cut_short, raise_unless_whole
from aigc_cli.cli.inputs import Inputs, read_inputs, refuse_oversize
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.reply import Reply, prefill_progress, run_reply
from aigc_cli.config import Settings
from aigc_cli.engine.base import Chat, Choices, Constraint, Engine, Message, Request, Sampling
from aigc_cli.errors import ExitCode, NoCodeInReply, UnsupportedFeature, UsageError
from aigc_cli.render.confidence import confidence_facts
from aigc_cli.render.progress import stats_line
from aigc_cli.render.view import open_view
from aigc_cli.tasks.code_blocks import extract_code_blocks
from aigc_cli.tasks.workspace import InputTooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigc_cli.chat.store import Kept
    from aigc_cli.render.view import View


_Confidence = Annotated[
    bool, typer.Option("--confidence", help="colour each token by its probability, and list doubtful spots")
]
_Schema = Annotated[
    str | None,
    typer.Option("--schema", metavar="FILE|JSON", help="the reply is JSON that fits this JSON Schema"),
]
_Grammar = Annotated[
    str | None, typer.Option("--grammar", metavar="FILE", help="the reply fits this GBNF grammar")
]
_Choices = Annotated[str | None, typer.Option("--choices", metavar="A,B,C", help="the reply is one of these")]
_Resume = Annotated[str | None, typer.Option("--resume", metavar="ID", help="go on with this session")]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question and what its reply depends on.

    Attributes:
        goes_on: it is a turn of the session `kept`, or of a new one.
        system: takes the place of the session's own system prompt.
        top_logprobs: how many alternatives to ask for with each token; None asks for no probabilities.
    """

    inputs: Inputs
    constraint: Constraint | None
    stop: tuple[str, ...]
    goes_on: bool
    kept: "Kept | None"
    system: str | None
    top_logprobs: int | None


@setting_options("system", *options.ENGINE, *options.RESIDENT, *options.SAMPLING, *options.VIEW)
def ask(
    ctx: typer.Context,
    *,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="the question; - reads it from stdin")
    ] = None,
    file: options.Files = None,
    continue_: options.Continue = False,
    resume: _Resume = None,
    code: Annotated[
        bool, typer.Option("--code", help="print only the code of the reply; exit 6 if none")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print one JSON object with text, code and counts")
    ] = False,
    schema: _Schema = None,
    grammar: _Grammar = None,
    choices: _Choices = None,
    stop: options.Stop = None,
    confidence: _Confidence = False,
    raw: options.Raw = False,
    no_stdin: options.NoStdin = False,
    flags: options.Flags,
) -> int:
    """Answer one question; standard input and -f files go with it.

    It is not kept, unless it goes on with a session.
    """
    app = app_context(ctx)
    if code and as_json:
        raise UsageError("--code and --json exclude one another", "--json holds the code too")
    constraint = read_constraint(app.cwd, schema=schema, grammar=grammar, choices=choices)
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling(), stop or ())  # a bad value is told before a model is loaded
    goes_on = continue_ or resume is not None
    kept = _kept(app, settings, resume, newest=continue_) if goes_on else None
    inputs = _read_inputs(app, settings, prompt or [], file or [], no_stdin=no_stdin)
    system = settings.system if flags["system"] is not None else None
    top_logprobs = N_ALTERNATIVES if confidence else None
    asked = _Asked(inputs, constraint, tuple(stop or ()), goes_on, kept, system, top_logprobs)
    form = _Form(code=code, as_json=as_json, raw=raw, confidence=confidence)
    with closing(app.open_engine(settings)) as engine:
        reply = _reply(app, settings, engine, asked, form.views(app, settings))
        info = engine.info
    form.finish(app, settings, reply, info.model, is_choice=isinstance(constraint, Choices))
    raise_unless_whole(app, reply, settings, info.n_ctx)
    return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Form:
    """In which form the reply is printed."""

    code: bool
    as_json: bool
    raw: bool
    confidence: bool

    def views(self, app: AppContext, settings: Settings) -> "list[View]":
        """What shows the reply while it comes."""
        shown = [] if self.code or self.as_json else [self._view(app, settings)]
        return [prefill_progress(app, counts_reply=not shown), *shown]

    def _view(self, app: AppContext, settings: Settings) -> "View":
        if self.confidence and not self.raw:
            return confidence_view(app, settings)
        return open_view(app.stdout, app.env, settings, raw=self.raw)

    def finish(
        self, app: AppContext, settings: Settings, reply: Reply, model: str, *, is_choice: bool
    ) -> None:
        """Print what is printed at the end."""
        if self.as_json:
            app.stdout.write(json.dumps(_as_json(reply, model), ensure_ascii=False) + "\n")
        elif self.code:
            _print_code(app, settings, reply, raw=self.raw)
        elif is_choice and not app.stdout.isatty():
            app.stdout.write("\n")  # a choice is a line; other replies stay as the model wrote them
        if self.confidence and reply.text and not (self.as_json and reply.tokens):
            tell_doubts(app, reply.tokens)
        if settings.stats:
            app.stderr.write(f"{stats_line(reply.done)}\n")


def _reply(
    app: AppContext, settings: Settings, engine: Engine, asked: _Asked, views: "Sequence[View]"
) -> Reply:
    refuse_oversize(len(asked.inputs.message), engine.info.n_ctx)
    if not engine.info.has_chat_template:
        raise UnsupportedFeature(
            f"{engine.info.model} has no chat template: it continues text and does not answer questions",
            "aigc complete 'TEXT' continues a text; aigc models list names models that answer",
        )
    if not asked.goes_on:
        sampling = sampling_from(settings, engine.info.sampling, asked.stop)
        request = _request(asked, settings, sampling)
        return run_reply(app, engine, request, views)
    from aigc_cli.cli.asking_on import ask_on, talk_for  # sqlite3: a question on its own needs none
    from aigc_cli.cli.resuming import go_on

    talk = talk_for(app, settings, engine, asked.stop)
    talk.top_logprobs = asked.top_logprobs
    if asked.kept:
        go_on(talk, asked.kept, asked.system)
    return ask_on(talk, asked.inputs, views, asked.constraint)


def _kept(app: AppContext, settings: Settings, session_id: str | None, *, newest: bool) -> "Kept | None":
    from aigc_cli.cli.asking_on import session_to_continue  # as above

    return session_to_continue(app, settings, session_id, newest=newest)


def _read_inputs(
    app: AppContext, settings: Settings, words: list[str], files: list[str], *, no_stdin: bool
) -> Inputs:
    try:
        return read_inputs(app, words, files, no_stdin=no_stdin)
    except InputTooLarge as error:
        with closing(app.open_engine(settings)) as engine:  # it alone knows the window that this does not fit
            refuse_oversize(error.n_bytes, engine.info.n_ctx)
        raise


def _request(asked: _Asked, settings: Settings, sampling: Sampling) -> Request:
    messages = (*system_message(settings.system), Message("user", asked.inputs.message))
    return Request(
        Chat(messages),
        sampling,
        asked.constraint,
        top_logprobs=asked.top_logprobs,
        private=not settings.history,
    )


def _print_code(app: AppContext, settings: Settings, reply: Reply, *, raw: bool) -> None:
    blocks = extract_code_blocks(reply.text)
    if blocks:
        show_code(app, settings, blocks, raw=raw)
    elif cut_short(reply) is None:
        raise NoCodeInReply(
            "the reply holds no code", "ask for code outright; without --code the reply is shown"
        )


def _as_json(reply: Reply, model: str) -> dict[str, Any]:
    stats = reply.done.stats
    return ({"confidence": confidence_facts(reply.tokens)} if reply.tokens else {}) | {
        "model": model,
        "text": reply.text,
        "code": [
            {"language": block.language, "code": block.code} for block in extract_code_blocks(reply.text)
        ],
        "finish_reason": reply.done.finish_reason.value,
        "tokens": {
            "prompt": stats.prompt_tokens,
            "cached": stats.cached_tokens,
            "reply": stats.reply_tokens,
        },
        "timings": {
            "first_token_s": reply.first_token_s,
            "prefill_s": stats.prefill_s,
            "decode_s": stats.decode_s,
            "prefill_tokens_per_s": stats.prefill_tokens_per_s,
            "decode_tokens_per_s": stats.decode_tokens_per_s,
        },
    }
