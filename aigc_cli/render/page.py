"""Self-contained HTML pages: tokens, distributions and attention in a browser, without a network."""

import base64
import html
import json
import struct
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from aigc_cli.render.distribution import Ranked, Sieve, percent
from aigc_cli.render.token_text import HUES, TokenView, label

# a page that holds a text loads nothing and sends nothing
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_SCALE = 65_535  # weights travel as 16-bit numbers: 2.7 characters each


def tokens_page(tokens: Sequence[TokenView], summary: str, model: str) -> str:
    """A text with its tokens in colours; hovering over one shows its number, id and bytes."""
    spans = "".join(_token_span(index, token) for index, token in enumerate(tokens))
    body = f'<p class="note">{_text(summary)}</p><div class="text">{spans}</div>'
    return _page("Tokens", model, body)


def distribution_page(
    context: str,
    ranked: Sequence[Ranked],
    sieves: Sequence[Sieve],
    *,
    choice: bytes,
    summary: str,
    model: str,
) -> str:
    """The most probable next tokens with bars, and a column for each sampler."""
    heads = "".join(f"<th>{_text(sieve.title)}</th>" for sieve in sieves)
    rows = "".join(_ranked_row(number, each, choice) for number, each in enumerate(ranked, 1))
    left = "".join(f"<td>{sieve.n_left:,}</td>" for sieve in sieves)
    foot = f'<tr class="left"><td></td><td>tokens left</td><td></td><td></td>{left}</tr>' if sieves else ""
    table = (
        "<table><thead><tr><th></th><th>token</th><th>probability</th><th></th>"
        f"{heads}</tr></thead><tbody>{rows}{foot}</tbody></table>"
    )
    body = f'<pre class="text">{_text(context)}▁</pre><p class="note">{_text(summary)}</p>{table}'
    return _page("The next token", model, body)


def layers_page(context: str, guesses: Sequence[tuple[str, Sequence[Ranked]]], model: str) -> str:
    """A row for each layer with its best guesses, the darker the more probable; the answer is marked."""
    answer = guesses[-1][1][0].piece
    rows = "".join(
        f"<tr><th>{_text(name)}</th>{''.join(_guess_cell(each, answer) for each in ranked)}</tr>"
        for name, ranked in guesses
    )
    said = f"the answer, {label(answer)}, is underlined wherever a layer guesses it"
    body = (
        f'<pre class="text">{_text(context)}▁</pre><p class="note">{_text(said)}</p>'
        f'<div class="scroll"><table class="layers"><tbody>{rows}</tbody></table></div>'
    )
    return _page("Layers", model, body)


def attention_page(
    tokens: Sequence[TokenView], maps: Sequence[tuple[str, Sequence[float]]], summary: str, model: str
) -> str:
    """Heat maps to choose from; hovering shows a weight, and in the text what a token looked at.

    Args:
        tokens: of the text.
        maps: a name and the weights of each map, row after row, only up to the diagonal.
        summary: a line on top.
        model: its name.
    """
    facts = {
        "tokens": [label(token.piece) for token in tokens],
        "maps": [{"name": name, "weights": _packed(weights)} for name, weights in maps],
    }
    choices = "".join(f'<option value="{n}">{_text(name)}</option>' for n, (name, _) in enumerate(maps))
    spans = "".join(
        f'<span class="token" data-at="{index}" tabindex="0">{_text(label(token.piece))}</span>'
        for index, token in enumerate(tokens)
    )
    body = (
        f'<p class="note">{_text(summary)}</p>'
        f'<p><label>map <select id="map">{choices}</select></label> <output id="look">'
        "hover over a token or a cell</output></p>"
        f'<div class="text" id="text">{spans}</div><div class="scroll"><canvas id="heat"></canvas></div>'
    )
    return _page("Attention", model, body, facts)


def _packed(weights: Sequence[float]) -> str:
    numbers = [round(min(max(weight, 0.0), 1.0) * _SCALE) for weight in weights]
    return base64.b64encode(struct.pack(f"<{len(numbers)}H", *numbers)).decode()


def _token_span(index: int, token: TokenView) -> str:
    title = f"{index}: id {token.id}, bytes {token.piece.hex(' ').upper()}"
    kind = "token control" if token.is_control else "token"
    hue = "" if token.is_control else f' style="--hue:{HUES[index % len(HUES)]}"'
    # a break in the text where the token breaks a line
    shown = _text(label(token.piece)).replace("↵", "↵\n")
    return f'<span class="{kind}"{hue} title="{_text(title)}" tabindex="0">{shown}</span>'


def _ranked_row(number: int, each: Ranked, choice: bytes) -> str:
    width = f"{each.probability * 100:.3f}%"
    after = "".join(
        '<td class="out">out</td>' if share is None else f'<td title="{share!r}">{_text(percent(share))}</td>'
        for share in each.after
    )
    is_choice = ' class="choice"' if each.piece == choice else ""
    return (
        f"<tr{is_choice}><td>{number}</td><td><code>{_text(label(each.piece))}</code></td>"
        f'<td title="{each.probability!r}">{_text(percent(each.probability))}</td>'
        f'<td class="bar"><i style="width:{width}"></i></td>{after}</tr>'
    )


def _guess_cell(each: Ranked, answer: bytes) -> str:
    kind = "guess choice" if each.piece == answer else "guess"
    name = _text(label(each.piece))
    return (
        f'<td class="{kind}" style="--share:{each.probability:.3f}" title="{each.probability!r}">'
        f'<code title="{name}">{name}</code> {_text(percent(each.probability))}</td>'
    )


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _page(title: str, model: str, body: str, facts: Mapping[str, Any] | None = None) -> str:
    folder = files("aigc_cli.render")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    script = ""
    if facts is not None:
        packed = json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")
        code = folder.joinpath("page.js").read_text(encoding="utf-8")
        script = f'<script type="application/json" id="facts">{packed}</script><script>{code}</script>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{_text(title)}: {_text(model)}</title><style>{style}</style></head>"
        f'<body><h1>{_text(title)}</h1><p class="model">{_text(model)}</p>{body}{script}</body></html>\n'
    )
