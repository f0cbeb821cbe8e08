"""What evaluating several tokens at once costs on this machine, in evaluations of a single one."""

import math
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

# What a batch with logits for each row costs in single steps until it was measured: a 1.5B model in Q4_K_M
# on two cores with AVX-512. Weights are read once for all rows, and from 8 rows on they come in tiles of 16,
# so 8 cost nearly as much as 16. A GPU is found to be cheaper at the first draft. 64 would be no slower than
# 63, but from there on llama.cpp's flash attention takes a kernel that rounds ten times more coarsely (logits
# of 32-bit weights: 0.01 off).
PRIOR_COSTS = {1: 1.0, 2: 2.0, 3: 2.5, 4: 3.1, 6: 4.3, 8: 7.0, 16: 7.6, 24: 9.8, 32: 10.4, 48: 13.8, 63: 17.0}
SIZES = tuple(PRIOR_COSTS)
NEWEST_SHARE = 0.2  # of the newest measurement in the running mean


def _prior(measured: Mapping[int, float]) -> Mapping[int, float]:
    """What to expect of batches: what was measured, and the rest as much dearer than guessed as that was."""
    errors = [math.log(cost / PRIOR_COSTS[size]) for size, cost in measured.items()]
    factor = math.exp(sum(errors) / len(errors)) if errors else 1.0
    return {size: measured.get(size, max(1.0, cost * factor)) for size, cost in PRIOR_COSTS.items()} | {
        1: 1.0
    }


class BatchCosts:
    """Seconds that batches of different sizes take on this machine, measured or guessed from others."""

    def __init__(self, steps: Mapping[int, float] | None = None) -> None:
        """`steps`: what batches of some sizes were measured to cost before, in evaluations of one token."""
        self._seconds: dict[int, float] = {}  # running means
        self._counts: Counter[int] = Counter()
        self._prior = _prior({size: steps[size] for size in SIZES if size in steps} if steps else {})
        self._was_measured = bool(steps)
        self._in_steps: dict[int, float] = {}  # by size, as far as asked for since the last measurement

    @property
    def are_guessed(self) -> bool:
        """Whether no batch of several tokens was measured yet, now or before."""
        return not self._was_measured and self._counts.keys() <= {1}

    def note(self, n_rows: int, seconds: float) -> None:
        """Take a measurement."""
        self._in_steps.clear()
        size = self._size(n_rows)
        self._counts[size] += 1
        mean = self._seconds.get(size, seconds)
        share = max(NEWEST_SHARE, 1 / self._counts[size])
        self._seconds[size] = mean + share * (seconds - mean)

    def in_steps(self, n_rows: int) -> float:
        """What a batch costs, in evaluations of a single token."""
        size = self._size(n_rows)
        if size not in self._in_steps:
            self._in_steps[size] = self._estimate(size)
        return self._in_steps[size]

    def _estimate(self, size: int) -> float:
        if size == 1 or not self._seconds.get(1):
            return self._prior[size]
        # How much dearer than guessed the batches of other sizes are says what to expect of this one, and
        # counts as one measurement of it: a hiccup at its first must not rule a size out for ever.
        errors = {
            other: self._error(other) for other in self._seconds if other > 1 and self._seconds[other] > 0
        }
        others = [error for other, error in errors.items() if other != size]
        expected = sum(others) / len(others) if others else 0.0
        n_measured = self._counts[size] if size in errors else 0
        error = (expected + n_measured * errors.get(size, 0.0)) / (1 + n_measured)
        return max(1.0, self._prior[size] * math.exp(error))

    def steps_in(self, seconds: float) -> float | None:
        """A time in evaluations of a single token; None before any batch was measured."""
        singles = [measured / self._prior[size] for size, measured in self._seconds.items() if measured > 0]
        return seconds / (self._seconds.get(1) or statistics.median(singles)) if singles else None

    def _error(self, size: int) -> float:
        """Logarithm of what a batch of this size costs, over what was guessed."""
        return math.log(self._seconds[size] / self._seconds[1] / self._prior[size])

    @staticmethod
    def _size(n_rows: int) -> int:
        return SIZES[min(bisect_left(SIZES, n_rows), len(SIZES) - 1)]
