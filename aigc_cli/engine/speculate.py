"""Speculative decoding: guessed tokens are evaluated in one batch and kept as far as the model agrees.

Each row of a draft is drawn by the reply's own sampler from the model's own distribution, and the draft goes
on only where the drawn token is the guessed one. So the reply is what it would be without drafts, greedy or
sampled. What drafts change is the time: a batch of 16 costs less than 16 steps; what it costs is measured.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from aigc_cli.engine.draft import Drafter
from aigc_cli.engine.evaluation import TokenCells
from aigc_cli.engine.reply import Reply
from aigc_cli.events import Delta

# What a batch with logits for each row costs in single steps until it was measured: a 1.5B model in Q4_K_M
# on two cores with AVX-512. Weights are read once for all rows, and from 8 rows on they come in tiles of 16,
# so 8 cost nearly as much as 16. A GPU is found to be cheaper at the first draft. 64 would be no slower than
# 63, but from there on llama.cpp's flash attention takes a kernel that rounds ten times more coarsely (logits
# of 32-bit weights: 0.01 off).
PRIOR_COSTS = {1: 1.0, 2: 1.5, 3: 1.9, 4: 2.4, 6: 3.3, 8: 5.6, 16: 6.2, 24: 8.3, 32: 9.5, 48: 12.8, 63: 16.0}
SIZES = tuple(PRIOR_COSTS)
NEWEST_SHARE = 0.2  # of the newest measurement in the running mean
WORTH_IT = 1.1  # expected gain in speed from which a draft is tried
# What wrong drafts may cost: this share of the time so far, and at first so many steps. Steps that were won
# can be lost again.
TOLERATED_LOSS = 0.01
GRACE, GRACE_FOR_PREDICTION = 7.0, 32.0


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

    def note(self, n_rows: int, seconds: float) -> None:
        """Take a measurement."""
        size = self._size(n_rows)
        self._counts[size] += 1
        mean = self._seconds.get(size, seconds)
        share = max(NEWEST_SHARE, 1 / self._counts[size])
        self._seconds[size] = mean + share * (seconds - mean)

    def in_steps(self, n_rows: int) -> float:
        """What a batch costs, in evaluations of a single token."""
        size = self._size(n_rows)
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

    def _error(self, size: int) -> float:
        """Logarithm of what a batch of this size costs, over what was guessed."""
        return math.log(self._seconds[size] / self._seconds[1] / self._prior[size])

    @staticmethod
    def _size(n_rows: int) -> int:
        return SIZES[min(bisect_left(SIZES, n_rows), len(SIZES) - 1)]


class Speculation:
    """Decides how long the next draft is, down to none."""

    def __init__(self, costs: BatchCosts, prediction: Sequence[int], prompt: Sequence[int]) -> None:
        self._costs = costs
        self._prediction = prediction
        self._prompt = prompt
        self._won = 0.0  # steps that drafts have saved so far; below 0: lost
        self._grace = GRACE_FOR_PREDICTION if prediction else GRACE
        self._drafter: Drafter | None = None
        self._n_seen = 0  # tokens of the reply that the drafter knows

    def draft(self, reply: Reply) -> list[int]:
        """The tokens to try after the last one drawn."""
        if self._drafter is None:
            # Only now that the first token is out: the index of 4,000 tokens takes a millisecond.
            self._drafter = Drafter(self._prediction, self._prompt)
        for token in reply.tokens[self._n_seen :]:
            self._drafter.push(token)
        self._n_seen = len(reply.tokens)
        return self._drafter.draft(self._length(self._drafter, reply))

    def _length(self, drafter: Drafter, reply: Reply) -> int:
        chances = drafter.chances(min(SIZES[-1], reply.n_left) - 1)
        if not chances:
            return 0
        tolerated = self._grace + TOLERATED_LOSS * len(reply.tokens)
        best, length, expected, taken = WORTH_IT, 0, 1.0, 0
        for size in (*(size for size in SIZES[1:] if size <= len(chances)), len(chances) + 1):
            expected += sum(chances[taken : size - 1])
            taken = size - 1
            cost = self._costs.in_steps(size)
            if expected / cost > best and self._won + tolerated >= cost - 1:
                best, length = expected / cost, taken
        return length

    def measured(self, n_draft: int, n_drawn: int, seconds: float) -> None:
        """Take what a batch cost and brought."""
        self._costs.note(n_draft + 1, seconds)
        if n_draft:
            self._won += n_drawn - self._costs.in_steps(n_draft + 1)


def decode_with_drafts(
    sequence: TokenCells,
    n_prompt: int,
    reply: Reply,
    speculation: Speculation,
    clock: Callable[[], float],
) -> Iterator[Delta]:
    """Draw a reply to its end, after the prompt in `sequence`, whose last token was just evaluated.

    Raises:
        Aborted: the evaluation was cancelled; the reply has no finish reason yet.
    """
    if delta := reply.draw(sequence.handle):
        yield delta
    while reply.finish_reason is None:
        draft = speculation.draft(reply)
        n_known = len(reply.tokens)
        sequence.reserve(n_prompt + n_known + len(draft))
        started = clock()
        sequence.evaluate([reply.tokens[-1], *draft], all_logits=True)
        for row in range(len(draft) + 1):
            delta = reply.draw(sequence.handle, row)
            if row == 0:  # a GPU is waited for when the first logits are read
                seconds = clock() - started
            if delta:
                yield delta
            if reply.finish_reason or reply.tokens[-1:] != draft[row : row + 1]:
                break
        speculation.measured(len(draft), row + 1, seconds)
        if draft:
            reply.n_drafted += len(draft)
            reply.n_accepted += row
            sequence.truncate(n_prompt + n_known + row)
