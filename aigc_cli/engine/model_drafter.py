"""Guessing the next tokens by asking a small model (speculative decoding, Leviathan et al. 2023).

A small model is asked token by token, so each guess has its price, and how long a draft should be depends on
how sure the small model is. What its probabilities are worth with this large model is learned as they agree.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aigc_cli.engine.batch_costs import NEWEST_SHARE, SIZES, BatchCosts
from aigc_cli.engine.draft import HitRates

# Shares of right guesses to begin with, by the small model's probability (from 0, .3, .5, …), and how many
# guesses these shares count as: it is sure of most tokens.
EDGES = (0.3, 0.5, 0.7, 0.85, 0.95, 0.99)
PRIOR_SHARES = (0.15, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)
PRIOR_WEIGHTS = (2.0, 3.0, 4.0, 4.0, 6.0, 8.0, 16.0)
MEMORY = 0.99  # what an older guess counts for, when a newer one as sure comes: texts differ
USUAL_NEWEST_SHARE = 0.05
WORTH_IT = 1.05  # expected gain in speed from which the small model is asked
TRIAL = 3  # tokens of the first draft, from which one learns what batches cost here
# A prompt that the small model has not read is read once the reply is so much longer, in steps of the large
# one: a short reply would not pay for it.
READ_SHARE = 0.25
MOST_UNREAD = 8  # tokens that are read in any case: what came since the last draft
READ_AT_ONCE = 64  # tokens of a prompt between two steps of the large model: the reply must not pause


class SmallModel(Protocol):
    """A small model with the tokens of a large one."""

    @property
    def is_ready(self) -> bool:
        """Whether it is loaded."""
        ...

    @property
    def relative_size(self) -> float:
        """The bytes of its weights over those of the large model: about what its steps cost."""
        ...

    @property
    def n_ctx(self) -> int:
        """The most tokens that it can hold."""
        ...

    def n_unread(self, tokens: Sequence[int]) -> int:
        """How many of these tokens it would have to evaluate."""
        ...

    def read(self, tokens: Sequence[int]) -> None:
        """Evaluate what it does not hold of them; it holds nothing else afterwards. Raises `Aborted`."""
        ...

    def best(self) -> tuple[int, float]:
        """The most probable token after all that it holds, and its probability."""
        ...

    def push(self, token: int) -> None:
        """Evaluate one more token. Raises `Aborted`."""
        ...


@dataclass(slots=True)
class _Mean:
    """A running mean in which the newest values count most."""

    value: float | None = None
    newest_share: float = NEWEST_SHARE

    def note(self, value: float) -> None:
        self.value = value if self.value is None else self.value + self.newest_share * (value - self.value)


class ModelDrafter:
    """Asks a small model for drafts, as long as they are expected to pay. It serves all requests."""

    def __init__(self, model: SmallModel, costs: BatchCosts, clock: Callable[[], float]) -> None:
        self._model = model
        self._costs = costs
        self._clock = clock
        self._acceptance = HitRates(PRIOR_SHARES, PRIOR_WEIGHTS, MEMORY)
        self._step_s, self._read_s = _Mean(), _Mean()  # seconds a token: one by one, and many at once
        # How likely a guess is right before its probability is known; those that were not drafted count too.
        self._usual = _Mean(self._acceptance.mean, USUAL_NEWEST_SHARE)
        self._probabilities: list[float] = []  # of the last draft
        self.cost = 0.0  # of the last draft, in steps of the large model

    def draft(self, prompt: Sequence[int], reply: Sequence[int], most: int) -> list[int]:
        """The tokens to try after the reply; none where that would not pay.

        Args:
            prompt: the tokens before the reply.
            reply: those that were drawn so far; the last one was not evaluated yet.
            most: the longest draft.
        """
        self._probabilities, self.cost = [], 0.0
        most = min(most, SIZES[-1] - 1)
        if not self._model.is_ready or most < 1 or not self._goes_on(0, 1.0, 1.0, most):
            return []
        tokens = [*prompt, *reply]
        if len(tokens) + most > self._model.n_ctx:
            return []
        n_unread = self._model.n_unread(tokens)
        share_of_a_batch = self._costs.in_steps(SIZES[-1]) / SIZES[-1]
        price = n_unread * self._in_steps(self._read_s, self._model.relative_size * share_of_a_batch)
        if n_unread > MOST_UNREAD:
            if price <= READ_SHARE * len(reply):
                self._catch_up(tokens[: len(tokens) - n_unread + READ_AT_ONCE], min(n_unread, READ_AT_ONCE))
            return []
        started = self._clock()
        self._model.read(tokens)
        draft = self._ask(most)
        seconds = self._clock() - started
        self.cost = self._costs.steps_in(seconds) or len(draft) * self._model.relative_size
        return draft

    def _catch_up(self, tokens: Sequence[int], n_new: int) -> None:
        """Read some of the prompt: an investment, for which no draft answers."""
        started = self._clock()
        self._model.read(tokens)
        self._read_s.note((self._clock() - started) / n_new)

    def note(self, n_accepted: int) -> None:
        """Take how many tokens of the last draft the large model drew too."""
        for index, probability in enumerate(self._probabilities[: n_accepted + 1]):
            self._acceptance.note(bisect_right(EDGES, probability), hit=index < n_accepted)

    def _ask(self, most: int) -> list[int]:
        draft: list[int] = []
        chance = expected = 1.0
        values = [1.0]  # expected tokens by the length of the draft
        while self._goes_on(len(draft), chance, expected, most):
            started = self._clock()
            if draft:
                self._model.push(draft[-1])
            token, probability = self._model.best()
            if draft:
                self._step_s.note(self._clock() - started)
            draft.append(token)
            self._probabilities.append(probability)
            share = self._acceptance.share(bisect_right(EDGES, probability))
            self._usual.note(share)
            chance *= share
            expected += chance
            values.append(expected)
        if self._costs.are_guessed:
            return draft
        # What was asked is paid for; now only the batch counts.
        n_best = max(range(len(values)), key=lambda n: values[n] / self._costs.in_steps(n + 1))
        del self._probabilities[n_best:]
        return draft[:n_best]

    def _goes_on(self, n: int, chance: float, expected: float, most: int) -> bool:
        """Whether a draft of n tokens should get longer, as far as can be told before its next token."""
        if self._costs.are_guessed:
            return n < min(TRIAL, most)
        step, usual = self._in_steps(self._step_s, self._model.relative_size), self._usual.value or 0.0
        now = expected / (self._costs.in_steps(n + 1) + n * step)
        best = 0.0
        for length in range(n + 1, most + 1):
            chance *= usual
            expected += chance
            best = max(best, expected / (self._costs.in_steps(length + 1) + length * step))
        return best > (now if n else WORTH_IT)

    def _in_steps(self, seconds: _Mean, otherwise: float) -> float:
        """A measured time in steps of the large model, or what to expect of it."""
        measured = None if seconds.value is None else self._costs.steps_in(seconds.value)
        return otherwise if measured is None else measured
