"""How sure the model was: a reply in the colours of its tokens' probabilities, and its doubtful spots.

A probability says how much the model favoured a token among all others, not whether the text is right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO, assert_never

from aigc_cli.events import Alternative, Delta, Done, EngineDied, Event, Prefill, Queued, TokenLogprob
from aigc_cli.render.console import Sanitizer, sanitize
from aigc_cli.render.palette import render
from aigc_cli.render.spans import Paint
from aigc_cli.render.token_text import label

DOUBTFUL = 0.5  # a token below this was less probable than all others together
MOST_DOUBTS = 10
_MOST_RIVALS = 3
_LEAST_RIVAL = 0.01
_BEFORE = 24  # characters of the line that are shown before a doubtful spot
_LEVELS = ((0.9, ""), (0.7, "36"), (0.4, "35"))  # from this probability on: SGR parameters
_LOWEST = "1;4;31"
LEGEND = ((">90%", ""), ("70-90%", "36"), ("40-70%", "35"), ("<40%", _LOWEST))


@dataclass(frozen=True, slots=True)
class Doubt:
    """A spot where the model nearly said something else.

    Attributes:
        line: of the reply, from 1 on.
        before: what stands before it in that line.
        rivals: what else was likely, best first.
    """

    line: int
    before: str
    token: TokenLogprob
    rivals: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """The numbers of one reply.

    Attributes:
        mean_logprob: natural logarithm, mean over the tokens.
        doubts: the most doubtful spots, in the order of the reply.
        n_doubtful: how many there are in all.
    """

    n_tokens: int
    mean_logprob: float
    lowest: float
    doubts: tuple[Doubt, ...]
    n_doubtful: int

    @property
    def perplexity(self) -> float:
        """Between how many equally likely tokens the model chose, on average."""
        return math.exp(-self.mean_logprob)


def assess(tokens: Sequence[TokenLogprob]) -> Confidence:
    """The confidence of a reply of at least one token."""
    logprobs = [token.logprob for token in tokens]
    doubts = _doubts(tokens)
    kept = sorted(doubts, key=lambda doubt: doubt.token.logprob)[:MOST_DOUBTS]
    return Confidence(
        n_tokens=len(tokens),
        mean_logprob=sum(logprobs) / len(logprobs),
        lowest=math.exp(min(logprobs)),
        doubts=tuple(doubt for doubt in doubts if doubt in kept),
        n_doubtful=len(doubts),
    )


def _doubts(tokens: Sequence[TokenLogprob]) -> list[Doubt]:
    found = []
    said = b""
    line = 1
    for token in tokens:
        if math.exp(token.logprob) < DOUBTFUL:
            rivals = [
                each
                for each in token.alternatives
                if each.piece != token.piece and math.exp(each.logprob) >= _LEAST_RIVAL
            ]
            before = said.decode("utf-8", "replace")
            found.append(Doubt(line, before, token, tuple(rivals[:_MOST_RIVALS])))
        line += token.piece.count(b"\n")
        said = (said + token.piece).rpartition(b"\n")[2]
    return found


def confidence_facts(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """All of it in JSON."""
    found = assess(tokens)
    return {
        "mean_logprob": found.mean_logprob,
        "perplexity": found.perplexity,
        "lowest_probability": found.lowest,
        "doubts": [{"line": each.line, **_token_facts(each.token)} for each in found.doubts],
        "tokens": [_token_facts(token) for token in tokens],
    }


def _token_facts(token: TokenLogprob) -> dict[str, Any]:
    return {
        **_piece_facts(token),
        "alternatives": [_piece_facts(each) for each in token.alternatives],
    }


def _piece_facts(token: TokenLogprob | Alternative) -> dict[str, Any]:
    text = token.piece.decode("utf-8", "replace")
    return {"text": text, "bytes": list(token.piece), "logprob": token.logprob}


def draw_doubts(tokens: Sequence[TokenLogprob]) -> list[str]:
    """The doubtful spots, a line each, and the figures of the whole reply."""
    found = assess(tokens)
    rows = [_doubt_row(doubt) for doubt in found.doubts]
    if found.n_doubtful > len(found.doubts):
        n_more = found.n_doubtful - len(found.doubts)
        rows.append(f"and {n_more} less doubtful spot{'' if n_more == 1 else 's'}")
    plural = "" if found.n_tokens == 1 else "s"
    rows.append(
        f"{found.n_tokens:,} token{plural}: mean log-probability {found.mean_logprob:.3f}, perplexity"
        f" {found.perplexity:.2f}, lowest probability {found.lowest:.2f}"
    )
    return rows


def _doubt_row(doubt: Doubt) -> str:
    before = sanitize(doubt.before).strip()
    if len(before) > _BEFORE:
        before = f"…{before[-_BEFORE:]}"
    place = f"{before} " if before else ""
    said = f"{label(doubt.token.piece)} {math.exp(doubt.token.logprob):.2f}"
    rivals = ", ".join(f"{label(each.piece)} {math.exp(each.logprob):.2f}" for each in doubt.rivals)
    return f"line {doubt.line}: {place}[{said}]{f' or {rivals}' if rivals else ''}"


def colored(tokens: Sequence[TokenLogprob]) -> str:
    """The text of the tokens, each in the colour of its probability."""
    sanitizer = Sanitizer()
    paints = []
    held, lowest = b"", 0.0
    for token in tokens:
        held, lowest = held + token.piece, min(lowest, token.logprob)
        try:
            text = held.decode()
        except UnicodeDecodeError as error:
            if error.end == len(held):  # the rest of the character comes with the next token
                continue
            text = held.decode("utf-8", "replace")
        paints.append(Paint(sanitizer.feed(text), _sgr(lowest)))
        held, lowest = b"", 0.0
    paints.append(Paint(sanitizer.feed(held.decode("utf-8", "replace")), _sgr(lowest)))
    return render(paints)


def legend() -> str:
    """What the colours mean."""
    return render([Paint(f" {name} ", sgr) for name, sgr in LEGEND]).strip()


def _sgr(logprob: float) -> str:
    probability = math.exp(logprob)
    return next((sgr for least, sgr in _LEVELS if probability >= least), _LOWEST)


class ConfidenceView:
    """Writes a reply on a terminal as it comes, each piece in the colour of its least probable token."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sanitizer = Sanitizer()
        self._last = "\n"

    def show(self, event: Event) -> None:
        """Write the text of a `Delta`; other events have none."""
        match event:
            case Delta(text, tokens=tokens):
                lowest = min((token.logprob for token in tokens), default=0.0)
                self._write(self._sanitizer.feed(text), _sgr(lowest))
            case EngineDied():
                self.close()  # a line about it follows
            case Queued() | Prefill() | Done():
                pass
            case _:
                assert_never(event)

    def close(self) -> None:
        """End the line."""
        if self._last != "\n":
            self._write("\n", "")

    def _write(self, text: str, sgr: str) -> None:
        if text:
            self._stream.write(render([Paint(text, sgr)]))
            self._stream.flush()
            self._last = text[-1]
