"""How probable a token was: the model's own distribution, before sampling options cut it."""

import ctypes
from typing import Any

import numpy as np

from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.events import Alternative, TokenLogprob

# The k highest of all lie at or above the k-th highest among the maxima of groups, so one pass rules out
# nearly all of the vocabulary. Group i is every width-th logit from i on: rows are compared whole, which
# takes a quarter of the time that neighbours take. 0.06 ms at 152k tokens; to partition all takes 1.5 ms.
GROUP = 64


def logits_after(context: Any, row: int, n_vocab: int) -> Any:
    """The logits after a row of the last evaluation, where llama.cpp has them: float32, one for each token.

    They are llama.cpp's own memory: valid until the next evaluation. (numpy's `as_array` does the same; with
    the caches full of weights, as after an evaluation, it takes 0.04 ms.)
    """
    pointer = lib.llama_get_logits_ith(context, row)
    memory: Any = (ctypes.c_float * n_vocab).from_address(ctypes.addressof(pointer.contents))
    return np.frombuffer(memory, dtype=np.float32)


class LogprobReader:
    """Reads probabilities from the logits of a context: softmax of the raw logits (natural logarithms)."""

    def __init__(self, model: Model, n_alternatives: int) -> None:
        self._model = model
        self._n_alternatives = min(n_alternatives, model.n_vocab)
        self._scratch = np.empty(model.n_vocab, dtype=np.float32)

    def read(self, context: Any, row: int, token: int) -> TokenLogprob:
        """The token's probability and those of the most probable ones."""
        logits = logits_after(context, row, self._model.n_vocab)
        log_total = log_sum_exp(logits, self._scratch)
        alternatives = tuple(
            Alternative(self._spell(rival), float(logits[rival]) - log_total)
            for rival in highest(logits, self._n_alternatives)
        )
        return TokenLogprob(self._spell(token), float(logits[token]) - log_total, alternatives)

    def _spell(self, token: int) -> bytes:
        """A token's bytes; control tokens, which stand for none, by their name."""
        return self._model.piece(token) or self._model.text_of(token).encode()


def log_sum_exp(logits: Any, scratch: Any) -> float:
    """Logarithm of the sum of exponentials; `scratch` is an array of the same shape that is overwritten."""
    top = logits.max()
    np.subtract(logits, top, out=scratch)
    np.exp(scratch, out=scratch)
    return float(top) + float(np.log(scratch.sum()))  # float32: numpy adds in pairs


def highest(logits: Any, count: int) -> list[int]:
    """Indices of the highest values, the best first."""
    if not count:
        return []
    width = len(logits) // GROUP
    if count < width:
        maxima = logits[: GROUP * width].reshape(GROUP, width).max(axis=0)
        near = np.flatnonzero(logits >= np.partition(maxima, -count)[-count])
    else:
        near = np.arange(len(logits))
    best: list[int] = near[np.argsort(-logits[near], kind="stable")][:count].tolist()
    return best
