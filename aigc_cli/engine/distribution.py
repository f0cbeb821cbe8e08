"""The distribution of the next token, and what each sampler of the chain leaves of it."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.library import lib
from aigc_cli.engine.logprobs import highest
from aigc_cli.engine.model import Model
from aigc_cli.engine.sampler import CANDIDATE, as_native, build_links

DRAW = ("draw", "greedy")  # what chooses; greedy leaves one token, drawing leaves all


@dataclass(frozen=True, slots=True)
class Stage:
    """What is left after one sampler.

    Attributes:
        name: of its option, such as top_k.
        setting: the option's value; empty where it has none of its own.
        tokens: the survivors, in no order.
        probabilities: theirs, which sum to 1.
    """

    name: str
    setting: str
    tokens: Any
    probabilities: Any

    def of(self, token: int) -> float | None:
        """The probability of a token; None when it is out."""
        at = np.flatnonzero(self.tokens == token)
        return float(self.probabilities[at[0]]) if at.size else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that may come next.

    Attributes:
        after: its probability after each stage; None from where it is out.
    """

    token: int
    piece: bytes
    probability: float
    after: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class StageSummary:
    """A sampler's name and setting, and how many tokens it leaves."""

    name: str
    setting: str
    n_left: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """The most probable next tokens, best first.

    Attributes:
        entropy_bits: of the whole distribution, before any sampler.
        n_vocab: how many tokens it is over.
        choice: the token that is taken.
    """

    candidates: tuple[Candidate, ...]
    stages: tuple[StageSummary, ...]
    entropy_bits: float
    n_vocab: int
    choice: Candidate


def softmax(logits: Any) -> Any:
    """Probabilities in float64."""
    shifted = np.exp(logits.astype(np.float64) - float(logits.max()))
    return shifted / shifted.sum()


def entropy_bits(probabilities: Any) -> float:
    """Shannon entropy: the number of yes-or-no questions that the choice is worth."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum()) + 0.0  # no negative zero


def stages(model: Model, logits: Any, sampling: Sampling, said: Sequence[int]) -> list[Stage]:
    """Send a distribution through the engine's own samplers, one after the other.

    Args:
        model: whose tokens they are.
        logits: of the whole vocabulary.
        sampling: the options; samplers that do nothing are left out.
        said: tokens that the penalties count as said before.
    """
    candidates = np.zeros(model.n_vocab, dtype=CANDIDATE)
    candidates["id"] = np.arange(model.n_vocab)
    candidates["logit"] = logits
    array = as_native(candidates)
    passed = []
    for link in build_links(model, sampling):
        try:
            if link.is_off or link.name == "draw":
                continue
            for token in said:
                lib.llama_sampler_accept(link.native, token)
            lib.llama_sampler_apply(link.native, ctypes.byref(array))
            left = _left(array)
            if link.name == "greedy":
                left = left[[array.selected]]
            passed.append(Stage(link.name, link.setting, left["id"], softmax(left["logit"])))
        finally:
            lib.llama_sampler_free(link.native)
    return passed


def _left(array: Any) -> Any:
    """A copy of the candidates that are left."""
    n_bytes = array.size * CANDIDATE.itemsize
    return np.frombuffer(ctypes.string_at(array.data, n_bytes), dtype=CANDIDATE)


def read_distribution(
    model: Model, logits: Any, n_top: int, sampling: Sampling | None, said: Sequence[int]
) -> Distribution:
    """The `n_top` most probable tokens, with what the samplers do to them.

    Without `sampling` there are no stages and the choice is the most probable token. With it the choice is
    drawn from what the last stage leaves; the seed and the number of tokens said decide which.
    """
    probabilities = softmax(logits)
    passed = stages(model, logits, sampling, said) if sampling else []
    best = highest(logits, min(max(n_top, 1), model.n_vocab))

    def candidate(token: int) -> Candidate:
        after = tuple(stage.of(token) for stage in passed)
        return Candidate(token, model.spelling(token), float(probabilities[token]), after)

    chosen = _draw(passed[-1], sampling, len(said)) if passed and sampling else best[0]
    return Distribution(
        candidates=tuple(candidate(token) for token in best),
        stages=tuple(StageSummary(stage.name, stage.setting, len(stage.tokens)) for stage in passed),
        entropy_bits=entropy_bits(probabilities),
        n_vocab=model.n_vocab,
        choice=candidate(chosen),
    )


def _draw(stage: Stage, sampling: Sampling, n_said: int) -> int:
    seed = None if sampling.seed is None else [sampling.seed, n_said]
    return int(np.random.default_rng(seed).choice(stage.tokens, p=stage.probabilities))
