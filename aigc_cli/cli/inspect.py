"""`aigc inspect`: what a model does with a text, step by step: tokens, next token, attention, layers."""

from typing import TYPE_CHECKING, Any

import typer

from aigc_cli.cli.inputs import refuse_oversize
from aigc_cli.cli.inspecting import (
    AsChat,
    AsJson,
    File,
    Force,
    Html,
    Screen,
    Words,
    local_options,
    n_characters,
    read_prompt,
    target,
    token_facts,
    views,
)
from aigc_cli.cli.options import SAMPLING, Flags, app_context, setting_options
from aigc_cli.errors import ExitCode
from aigc_cli.render.console import ColorDepth
from aigc_cli.render.token_text import TokenView, draw_list, draw_text, label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigc_cli.cli.context import AppContext
    from aigc_cli.config import Settings
    from aigc_cli.engine.base import Chat, Text

inspect_app = typer.Typer(
    help="Look into the model: tokens, the next token, attention, layers.", rich_markup_mode=None
)
PLACE = ("model", "context", "threads", "gpu_layers", "color", "system")
CHAIN = tuple(name for name in SAMPLING if name != "max_tokens")


@inspect_app.command()
@setting_options(*PLACE)
def tokens(
    ctx: typer.Context,
    *,
    text: Words = None,
    file: File = None,
    chat: AsChat = False,
    as_json: AsJson = False,
    html: Html = None,
    force: Force = False,
    flags: Flags,
) -> int:
    """Show a text as the model reads it: token by token, with ids."""
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    goal = target(app, html, as_json=as_json, force=force)
    prompt = read_prompt(app, settings, text, file, as_chat=chat)
    found, n_ctx, model = _tokens(app, settings, prompt)
    summary = _count_line(found, n_characters(prompt), n_ctx)
    goal.deliver(
        app,
        settings,
        facts=lambda: _facts(found, n_ctx, model),
        page=lambda: _page(found, summary, model),
        drawing=lambda screen: _draw(found, summary, screen),
    )
    return ExitCode.DONE


def _tokens(
    app: "AppContext", settings: "Settings", prompt: "Text | Chat"
) -> tuple[list[TokenView], int, str]:
    """The tokens, the size of the window and the name of the model, of which only the vocabulary is loaded."""
    options = local_options(app, settings)
    refuse_oversize(n_characters(prompt), options.n_ctx)
    from aigc_cli.engine.inspection import spell, tokenize  # numpy and llama.cpp, 0.3 s
    from aigc_cli.engine.model import Model

    model = Model(options.path, vocab_only=True, cancelled=lambda: False)
    try:
        return views(spell(model, tokenize(model, prompt))), options.n_ctx, options.name
    finally:
        model.close()


def _count_line(found: "Sequence[TokenView]", n_chars: int, n_ctx: int) -> str:
    n = len(found)
    each = f", {n_chars / n:.1f} characters a token" if n_chars else ""
    plural = "" if n == 1 else "s"
    return f"{n:,} token{plural}{each}; {n / n_ctx:.2%} of a context window of {n_ctx:,}"


def _draw(found: "Sequence[TokenView]", summary: str, screen: Screen) -> list[str]:
    if screen.depth is ColorDepth.NONE:  # for grep and friends: one a line
        return [f"{index}\t{token.id}\t{label(token.piece)}" for index, token in enumerate(found)] + [summary]
    text = draw_text(found, screen.depth, screen.columns)
    return [*text, "", *draw_list(found, screen.depth, screen.columns), "", summary]


def _facts(found: "Sequence[TokenView]", n_ctx: int, model: str) -> dict[str, Any]:
    return {
        "model": model,
        "count": len(found),
        "context": n_ctx,
        "share": len(found) / n_ctx,
        "tokens": [token_facts(index, token) for index, token in enumerate(found)],
    }


def _page(found: "Sequence[TokenView]", summary: str, model: str) -> str:
    from aigc_cli.render.page import tokens_page

    return tokens_page(found, summary, model)
