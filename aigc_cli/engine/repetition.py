"""Notices a reply that repeats itself: the same line or block over and over, as small models do."""

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_PERIOD = 256  # tokens: a block of some 25 lines
MIN_REPEATED = 160  # tokens: shorter runs are legitimate (rows of zeros, a ruler, an ASCII table)
MIN_COPIES = 4  # of a long block: three alike in a row still happen in generated tests


class RepetitionGuard:
    """Counts, for each period p, how many tokens in a row equal the one p tokens before.

    `push` costs one vector operation over `MAX_PERIOD` counters, whatever the length of the reply.
    """

    def __init__(self, copied: Sequence[int] = ()) -> None:
        """Watch a reply that may copy `copied`: what repeats there, such as a table, may repeat as long."""
        self._recent = np.full(MAX_PERIOD, -1, dtype=np.int64)  # newest first
        self._run = np.zeros(MAX_PERIOD, dtype=np.int64)
        periods = np.arange(1, MAX_PERIOD + 1)
        self._limit = np.maximum(MIN_REPEATED, periods * (MIN_COPIES - 1))
        if len(copied) > MIN_REPEATED:
            self._limit += _longest_runs(np.array(copied, dtype=np.int64))

    def push(self, token: int) -> bool:
        """Take the next token; True when the reply has become a loop."""
        self._run = np.where(self._recent == token, self._run + 1, 0)
        self._recent[1:] = self._recent[:-1]
        self._recent[0] = token
        return bool((self._run >= self._limit).any())

    @property
    def n_repeated(self) -> int:
        """How many tokens in a row, up to now, repeat what was before them."""
        return int(self._run.max())


def _longest_runs(tokens: Any) -> Any:
    """For each period, the most tokens in a row that equal the one a period before them."""
    runs = np.zeros(MAX_PERIOD, dtype=np.int64)
    for period in range(1, min(MAX_PERIOD, len(tokens) - 1) + 1):
        differing = np.flatnonzero(tokens[period:] != tokens[:-period])
        edges = np.concatenate(([-1], differing, [len(tokens) - period]))
        runs[period - 1] = np.diff(edges).max() - 1
    return runs
