"""`aigc complete`: a text goes on, without a chat template."""

import json
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options
from aigc_cli.cli.ending import raise_unless_whole
from aigc_cli.cli.inputs import refuse_oversize
from aigc_cli.cli.inspecting import Given, text_of, text_options
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.reply import Reply, prefill_progress, run_replies
from aigc_cli.engine.base import MOST_CANDIDATES, Request, Sampling
from aigc_cli.errors import ExitCode, Interrupted
from aigc_cli.events import Delta, FinishReason
from aigc_cli.render.plain import PlainView
from aigc_cli.render.progress import stats_line

if TYPE_CHECKING:
    from aigc_cli.cli.context import AppContext
    from aigc_cli.render.view import View

_Candidates = Annotated[
    int,
    typer.Option(
        "-n", "--candidates", metavar="N", min=1, max=MOST_CANDIDATES, help="continuations to draw at once"
    ),
]


@setting_options(*options.ENGINE, *options.RESIDENT, *options.SAMPLING, "stats")
@text_options("text", "file")
def complete(
    ctx: typer.Context,
    *,
    candidates: _Candidates = 1,
    stop: options.Stop = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all continuations")] = False,
    given: Given,
    flags: options.Flags,
) -> int:
    """Continue a text as it is: every model can, those without a chat template too.

    The continuation is printed and the text is not.
    """
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling(), stop or ())  # a bad value is told before a model is loaded
    prompt = given.prompt(app, settings)
    streams = candidates == 1 and not as_json
    views: list[View] = [prefill_progress(app, counts_reply=not streams)]
    with closing(app.open_engine(settings)) as engine:
        info = engine.info
        refuse_oversize(len(text_of(prompt)), info.n_ctx)
        sampling = sampling_from(settings, info.sampling, stop or ())
        request = Request(prompt, sampling, candidates=candidates, private=not settings.history)
        replies = run_replies(app, engine, request, [*views, PlainView(app.stdout)] if streams else views)
    if as_json:
        facts = {"model": info.model, "completions": [_facts(reply) for reply in replies]}
        app.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
    elif not streams:
        _write_all(app, replies)
    if settings.stats:
        app.stderr.write("".join(f"{stats_line(reply.done)}\n" for reply in replies))
    if len(replies) == 1:
        raise_unless_whole(app, replies[0], settings, info.n_ctx)
    elif any(reply.done.finish_reason is FinishReason.INTERRUPTED for reply in replies):
        raise Interrupted
    return ExitCode.DONE


def _write_all(app: "AppContext", replies: Sequence[Reply]) -> None:
    """The continuations, each below a line with its number."""
    view = PlainView(app.stdout)
    for number, reply in enumerate(replies, 1):
        end = "" if reply.text.endswith("\n") else "\n"
        view.show(Delta(f"--- {number}\n{reply.text}{end}"))


def _facts(reply: Reply) -> dict[str, Any]:
    stats = reply.done.stats
    return {
        "text": reply.text,
        "finish_reason": reply.done.finish_reason.value,
        "tokens": {"prompt": stats.prompt_tokens, "reply": stats.reply_tokens},
    }
