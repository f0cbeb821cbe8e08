"""`aigc inspect`: what a model does with a text, step by step: tokens, next token, attention, layers."""

from typing import TYPE_CHECKING, Any

import typer

from aigc_cli.cli.inputs import refuse_oversize
from aigc_cli.cli.inspect_attention import attention
from aigc_cli.cli.inspect_next import layers, next_token
from aigc_cli.cli.inspect_step import step
from aigc_cli.cli.inspecting import (
    OUTPUT,
    PLACE,
    TEXT,
    Given,
    Screen,
    local_options,
    n_characters,
    text_options,
    token_facts,
    views,
)
from aigc_cli.cli.options import Flags, app_context, setting_options
from aigc_cli.engine.base import Text
from aigc_cli.errors import ExitCode
from aigc_cli.render.console import ColorDepth
from aigc_cli.render.token_text import TokenView, draw_list, draw_text, label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigc_cli.cli.context import AppContext
    from aigc_cli.config import Settings
    from aigc_cli.engine.base import Chat

inspect_app = typer.Typer(
    help="Look into the model: tokens, the next token, attention, layers.", rich_markup_mode=None
)
inspect_app.command("next")(next_token)
inspect_app.command()(step)
inspect_app.command()(attention)
inspect_app.command()(layers)


@inspect_app.command()
@setting_options(*PLACE)
@text_options(*TEXT, *OUTPUT)
def tokens(
    ctx: typer.Context,
    *,
    given: Given,
    flags: Flags,
) -> int:
    """Show a text as the model reads it: token by token, with ids."""
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    goal = given.target(app)
    prompt = given.prompt(app, settings)
    found, n_ctx, model = _tokens(app, settings, prompt)
    summary = _count_line(found, prompt, n_ctx)
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
    """The tokens, the size of the window and the model's name; only its vocabulary is loaded."""
    options = local_options(app, settings)
    refuse_oversize(n_characters(prompt), options.n_ctx)
    from aigc_cli.engine.inspection import spell, tokenize  # numpy and llama.cpp, 0.3 s
    from aigc_cli.engine.model import Model

    model = Model(options.path, vocab_only=True, cancelled=lambda: False)
    try:
        return views(spell(model, tokenize(model, prompt))), options.n_ctx, options.name
    finally:
        model.close()


def _count_line(found: "Sequence[TokenView]", prompt: "Text | Chat", n_ctx: int) -> str:
    n = len(found)
    # a chat holds the template's text besides
    each = f", {len(prompt.text) / n:.1f} characters a token" if isinstance(prompt, Text) else ""
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
