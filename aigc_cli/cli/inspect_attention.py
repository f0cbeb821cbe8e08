"""`aigc inspect attention`: which earlier tokens the model looked at."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aigc_cli.cli.inspecting import (
    EVALUATING,
    OUTPUT,
    TEXT,
    Given,
    Screen,
    open_inspector,
    text_options,
    token_facts,
    views,
)
from aigc_cli.cli.options import Flags, app_context, setting_options
from aigc_cli.errors import ExitCode, UsageError
from aigc_cli.render.heat import draw_heat, draw_looks
from aigc_cli.render.token_text import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigc_cli.engine.attention import AttentionMaps
    from aigc_cli.render.token_text import TokenView

ALL, MEAN = "all", "mean"
_DIGITS = 6  # of a weight in JSON
_Layer = Annotated[
    str, typer.Option("--layer", metavar="N|all|mean", help="a layer, every layer, or the mean of all")
]
_Head = Annotated[str, typer.Option("--head", metavar="N|mean", help="a head, or the mean of all")]
_TokenAt = Annotated[
    int | None,
    typer.Option("--token", metavar="I", min=0, help="only what this token looked at, by its number"),
]
_Rollout = Annotated[
    bool, typer.Option("--rollout", help="the flow through all layers, residual connections included")
]
_NoSink = Annotated[
    bool, typer.Option("--no-sink", help="leave the first token out, which collects idle attention")
]


@dataclass(frozen=True, slots=True)
class _Map:
    """One map to show: its name, and its weights [token, earlier token]."""

    name: str
    weights: Any


@dataclass(frozen=True, slots=True)
class _Found:
    """What is shown, and what was measured on the way."""

    model: str
    tokens: "Sequence[TokenView]"
    maps: "Sequence[_Map]"
    attention: "AttentionMaps"

    @property
    def summary(self) -> list[str]:
        """The facts about all of it."""
        n_layers, share = len(self.attention.layers), self.attention.first_token_share
        sink = f"{share:.0%} of the attention rests on the first token, {label(self.tokens[0].piece)}"
        plural = "" if n_layers == 1 else "s"
        return [
            f"{len(self.tokens):,} tokens, {n_layers} layer{plural} of {self.attention.n_heads} heads",
            f"attention sink: {sink}",
        ]


@setting_options(*EVALUATING)
@text_options(*TEXT, *OUTPUT)
def attention(
    ctx: typer.Context,
    *,
    layer: _Layer = MEAN,
    head: _Head = MEAN,
    token: _TokenAt = None,
    rollout: _Rollout = False,
    no_sink: _NoSink = False,
    given: Given,
    flags: Flags,
) -> int:
    """Show which earlier tokens each token looked at: a heat map."""
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    one_layer, one_head = _number("layer", layer, ALL, MEAN), _number("head", head, MEAN)
    if rollout and layer != MEAN:
        raise UsageError("--rollout goes through all layers", "leave --layer out")
    goal = given.target(app)
    prompt = given.prompt(app, settings)
    with open_inspector(app, settings, prompt) as inspector:
        tokens = views(inspector.tokens(prompt))
        if token is not None and token >= len(tokens):
            raise UsageError(f"there is no token {token}", f"the text has tokens 0 to {len(tokens) - 1}")
        found = inspector.attention(prompt, layer=one_layer, head=one_head)
        model = inspector.options.name
    shown = _Found(model, tokens, _maps(found, layer, rollout=rollout, no_sink=no_sink), found)
    for_page = found if rollout or one_layer is not None else None
    goal.deliver(
        app,
        settings,
        facts=lambda: _facts(shown, token, head),
        page=lambda: _page(shown, for_page is None, no_sink=no_sink),
        drawing=lambda screen: _draw(shown, token, screen),
    )
    return ExitCode.DONE


def _number(option: str, value: str, *words: str) -> int | None:
    if value in words:
        return None
    if not value.isascii() or not value.isdigit():
        raise UsageError(f"--{option} is {value!r}", f"it takes a number from 0 on, or {' or '.join(words)}")
    return int(value)


def _maps(found: "AttentionMaps", layer: str, *, rollout: bool, no_sink: bool) -> list[_Map]:
    from aigc_cli.engine.attention import without_first  # numpy

    if rollout:
        flow = found.rollout()
        if no_sink:
            return [_Map("rollout without the first token", without_first(flow))]
        return [_Map("rollout", flow)]
    if layer == MEAN:
        maps = [_Map("mean of all layers", found.weights.mean(axis=0))]
    else:
        maps = [
            _Map(f"layer {number}", weights)
            for number, weights in zip(found.layers, found.weights, strict=True)
        ]
    return [_Map(each.name, without_first(each.weights)) for each in maps] if no_sink else maps


def _draw(found: _Found, token: int | None, screen: Screen) -> list[str]:
    rows: list[str] = []
    for map_ in found.maps:
        if token is not None:
            rows.append(f"{map_.name}: token {token} {label(found.tokens[token].piece)} looked at")
            weights = map_.weights[token, : token + 1].tolist()
            rows += draw_looks(found.tokens[: token + 1], weights, screen.depth, screen.columns)
        else:
            drawn = draw_heat(found.tokens, map_.weights.tolist(), screen.depth, screen.columns)
            rows += [f"{map_.name}: each row is a token, and what it looked at", *drawn.rows]
            if drawn.first:
                rows.append(
                    f"no room for tokens 0 to {drawn.first - 1}: widen the window, --token I, --html FILE"
                )
        rows.append("")
    return [*rows, *found.summary]


def _facts(found: _Found, token: int | None, head: str) -> dict[str, Any]:
    rows = range(len(found.tokens)) if token is None else [token]
    return {
        "model": found.model,
        "head": head if head == MEAN else int(head),
        "heads": found.attention.n_heads,
        "first_token_share": found.attention.first_token_share,
        "tokens": [token_facts(index, each) for index, each in enumerate(found.tokens)],
        "maps": [
            {
                "name": each.name,
                "rows": [
                    {
                        "token": row,
                        "weights": [round(w, _DIGITS) for w in each.weights[row, : row + 1].tolist()],
                    }
                    for row in rows
                ],
            }
            for each in found.maps
        ],
    }


def _page(found: _Found, has_all_layers: bool, *, no_sink: bool) -> str:  # noqa: FBT001  # named at its one call
    from aigc_cli.render.page import attention_page

    maps = list(found.maps)
    if has_all_layers:
        names = {each.name for each in maps}
        others = [
            *_maps(found.attention, MEAN, rollout=False, no_sink=no_sink),
            *_maps(found.attention, MEAN, rollout=True, no_sink=False),
            *_maps(found.attention, MEAN, rollout=True, no_sink=True),
            *_maps(found.attention, ALL, rollout=False, no_sink=no_sink),
        ]
        maps += [each for each in others if each.name not in names]
    below = [
        (each.name, [w for row in range(len(found.tokens)) for w in each.weights[row, : row + 1].tolist()])
        for each in maps
    ]
    return attention_page(found.tokens, below, "; ".join(found.summary), found.model)
