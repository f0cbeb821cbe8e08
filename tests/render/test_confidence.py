"""How sure the model was: the figures, the doubtful spots, the colours."""

import io
import json
import math
import re

import pytest

from aigc_cli.events import Alternative, Delta, Done, FinishReason, Stats, TokenLogprob
from aigc_cli.render.confidence import (
    MOST_DOUBTS,
    ConfidenceView,
    assess,
    colored,
    confidence_facts,
    draw_doubts,
)

SGR = re.compile(r"\x1b\[[0-9;]*m")


def token(piece: str | bytes, probability: float, **rivals: float) -> TokenLogprob:
    spelled = piece if isinstance(piece, bytes) else piece.encode()
    others = [Alternative(name.encode(), math.log(share)) for name, share in rivals.items()]
    ranked = sorted([Alternative(spelled, math.log(probability)), *others], key=lambda each: -each.logprob)
    return TokenLogprob(spelled, math.log(probability), tuple(ranked))


def test_the_figures_are_those_of_the_definition() -> None:
    found = assess([token("a", 0.5), token("b", 0.25)])
    assert found.mean_logprob == pytest.approx((math.log(0.5) + math.log(0.25)) / 2)
    assert found.perplexity == pytest.approx(math.sqrt(8))
    assert found.lowest == pytest.approx(0.25)


def test_a_doubtful_spot_has_its_line_and_what_else_was_likely() -> None:
    reply = [
        token("a = 1\n", 0.99),
        token("b", 0.9),
        token(".sort", 0.41, sorted=0.38, order=0.1, x=0.001),
        token("()", 1),
    ]
    (doubt,) = assess(reply).doubts
    assert (doubt.line, doubt.before, doubt.token.piece) == (2, "b", b".sort")
    assert [each.piece for each in doubt.rivals] == [b"sorted", b"order"]
    assert draw_doubts(reply)[0] == "line 2: b [.sort 0.41] or sorted 0.38, order 0.10"


def test_of_many_doubts_the_worst_are_listed_in_their_order() -> None:
    reply = [token(f"{n}\n", 0.4 if n % 2 else 0.1) for n in range(4 * MOST_DOUBTS)]
    found = assess(reply)
    assert found.n_doubtful == 4 * MOST_DOUBTS
    assert [doubt.line for doubt in found.doubts] == [2 * n + 1 for n in range(MOST_DOUBTS)]
    assert f"and {3 * MOST_DOUBTS} less doubtful spots" in draw_doubts(reply)


def test_what_a_model_says_is_no_escape_sequence_in_the_list() -> None:
    rows = draw_doubts([token("\x1b]0;x\x07\x1b[31m", 0.9), token("\x1b[2J", 0.2, **{"\x9b31m": 0.15})])
    assert all(row.isprintable() for row in rows)


def test_colors_change_no_text_and_keep_characters_whole() -> None:
    star = "🙂".encode()
    reply = [
        token("sure ", 0.95),
        token(star[:2], 0.3),
        token(star[2:], 1),
        token("\xff", 0.5),
        token(b"\xff", 1),
    ]
    drawn = colored(reply)
    assert SGR.sub("", drawn) == "sure 🙂ÿ\ufffd"
    assert "\x1b[1;4;31m🙂" in drawn


def test_the_view_writes_the_text_in_colors_and_ends_its_line() -> None:
    stream = io.StringIO()
    view = ConfidenceView(stream)
    view.show(Delta("sure ", tokens=(token("sure ", 0.95),)))
    view.show(Delta("not\x1b[2J", tokens=(token("no", 0.9), token("t", 0.1))))
    view.show(Done(FinishReason.STOP, Stats()))
    view.close()
    view.close()
    assert stream.getvalue() == "sure \x1b[1;4;31mnot\x1b[0m\n"


def test_the_json_holds_every_token() -> None:
    facts = json.loads(json.dumps(confidence_facts([token("a", 0.9), token("b", 0.3, c=0.2)])))
    assert [each["text"] for each in facts["tokens"]] == ["a", "b"]
    assert facts["doubts"][0]["alternatives"][1]["text"] == "c"
    assert facts["perplexity"] == pytest.approx(math.exp(-facts["mean_logprob"]))
