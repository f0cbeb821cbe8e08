"""Probabilities of tokens: the model's own distribution, and no token without its own."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.engine.base import Request, Sampling, Text
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.library import lib
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.engine.logprobs import highest, log_sum_exp
from aigc_cli.engine.model import Model
from aigc_cli.events import Alternative, Delta, TokenLogprob
from tests.engine.replies import ask
from tests.tiny_model import SPECIAL

PROMPT = "hello world"


def probabilities_after(path: Path, text: str) -> dict[bytes, float]:
    """Softmax of the logits after a text, in double precision, by the token's bytes."""
    model = Model(path, cancelled=lambda: False)
    context = Context(model, ContextOptions(2048, 1))
    tokens = model.tokenize(text, special=True)
    context.open(tokens).evaluate(tokens)
    logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(context.handle, -1), (model.n_vocab,))
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    shares = exponentials / exponentials.sum()
    named = {model.piece(n) or model.text_of(n).encode(): float(shares[n]) for n in range(model.n_vocab)}
    context.close()
    model.close()
    return named


def tokens_of(engine: LlamaEngine, request: Request) -> list[TokenLogprob]:
    return [token for e in engine.stream(request) if isinstance(e, Delta) for token in e.tokens]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0, max_tokens=1),
        Sampling(temperature=2, top_k=3, top_p=0.5, repeat_penalty=1.8, seed=5, max_tokens=1),
    ],
)
def test_probabilities_are_the_softmax_of_the_logits_whatever_the_sampling(
    tiny_model: Path, engine: LlamaEngine, sampling: Sampling
) -> None:
    (drawn,) = tokens_of(engine, Request(Text(PROMPT), sampling, top_logprobs=20))
    expected = probabilities_after(tiny_model, PROMPT)
    assert math.exp(drawn.logprob) == pytest.approx(expected[drawn.piece], abs=1e-5)
    best = sorted(expected, key=lambda piece: -expected[piece])[:20]
    assert [rival.piece for rival in drawn.alternatives] == best
    for rival in drawn.alternatives:
        assert math.exp(rival.logprob) == pytest.approx(expected[rival.piece], abs=1e-5)


def test_a_greedy_token_is_its_own_best_alternative(engine: LlamaEngine) -> None:
    drawn = tokens_of(engine, Request(Text(PROMPT), Sampling(temperature=0, max_tokens=30), top_logprobs=3))
    assert len(drawn) == 30
    for token in drawn:
        assert token.alternatives[0] == Alternative(token.piece, token.logprob)
        assert len(token.alternatives) == 3


def test_a_deltas_tokens_are_those_it_counts_and_spell_its_text(engine: LlamaEngine) -> None:
    n_held_back = 0
    # Random bytes: nearly every character is split or broken, and the stop string's start is held back.
    for seed in range(8):
        sampling = Sampling(
            temperature=1.5, top_k=0, top_p=1, min_p=0, seed=seed, max_tokens=150, stop=("a~", "or!")
        )
        request = Request(Text(PROMPT), sampling, top_logprobs=0)
        deltas = [event for event in engine.stream(request) if isinstance(event, Delta)]
        for delta in deltas:
            assert len(delta.tokens) == delta.n_tokens
            assert all(token.alternatives == () for token in delta.tokens)
        tokens = [token for delta in deltas for token in delta.tokens]
        text = b"".join(
            token.piece for token in tokens if token.piece.decode("utf-8", "replace") not in SPECIAL
        )
        assert text.decode("utf-8", "replace") == "".join(delta.text for delta in deltas)
        n_held_back += sum(delta.n_tokens > 1 for delta in deltas)
    assert n_held_back


def test_no_probabilities_unless_asked_for(engine: LlamaEngine) -> None:
    assert all(not e.tokens for e in engine.stream(ask("hello")) if isinstance(e, Delta))


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=400),
    st.integers(min_value=0, max_value=30),
)
def test_the_highest_are_found_group_by_group(values: list[float], count: int) -> None:
    logits = np.array(values, dtype=np.float32)
    found = highest(logits, count)
    assert [logits[n] for n in found] == sorted(logits, reverse=True)[:count]
    assert len(set(found)) == len(found)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50))
def test_the_sum_does_not_overflow(values: list[float]) -> None:
    logits = np.array(values, dtype=np.float32)
    assert log_sum_exp(logits, np.empty_like(logits)) == pytest.approx(
        np.logaddexp.reduce(logits.astype(np.float64)), abs=1e-5
    )


@pytest.mark.parametrize("spread", [0.0, 1.0, 8.0])
def test_the_sum_over_a_large_vocabulary_is_exact_enough(spread: float) -> None:
    logits = (np.random.default_rng(1).standard_normal(152_000) * spread).astype(np.float32)
    assert log_sum_exp(logits, np.empty_like(logits)) == pytest.approx(
        np.log(np.exp(logits.astype(np.float64)).sum()), abs=2e-6
    )
