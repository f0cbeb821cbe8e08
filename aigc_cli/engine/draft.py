"""Guessing the next tokens by following a text that the reply copies.

Texts are the predicted reply, the prompt, and the reply itself (prompt lookup, Saxena 2023). One place in
them is followed at a time; every drawn token tells whether the guess was right, drafted or not, so how far a
guess can be trusted is known before a draft is paid for.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from operator import mul

NO_TOKEN = -1  # between the texts: equal to nothing that is drawn
KEY = 3  # tokens that must agree before a place is followed: two match all over in code
LONGEST_MATCH = 32  # tokens looked back to tell places apart
NEAREST = 3  # places compared on either side of where the prediction was left
# Shares of right guesses to begin with, by how many tokens came as expected before (0, 1, 2-3, 4-7, …, 32 and
# more), and how many guesses these shares count as. A prediction is a promise, other text only looks alike.
PRIOR_WEIGHT = 8.0
PREDICTION_PRIOR = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98)
CONTEXT_PRIOR = (0.2, 0.3, 0.4, 0.6, 0.75, 0.93, 0.96)


class _Trust:
    """The share of right guesses by the length of the agreement before."""

    def __init__(self, prior: Sequence[float]) -> None:
        self._hits = [share * PRIOR_WEIGHT for share in prior]
        self._guesses = [PRIOR_WEIGHT] * len(prior)

    def note(self, agreed: int, *, hit: bool) -> None:
        level = min(agreed.bit_length(), len(self._hits) - 1)
        self._guesses[level] += 1
        self._hits[level] += hit

    def shares(self, agreed: int, count: int) -> list[float]:
        """For each of the next guesses, how likely it is right when those before it are."""
        top = len(self._hits) - 1
        levels = (min(length.bit_length(), top) for length in range(agreed, agreed + count))
        return [self._hits[level] / self._guesses[level] for level in levels]


class Drafter:
    """Follows the text that a reply copies. Work per token does not grow with the texts."""

    def __init__(self, prediction: Sequence[int], context: Sequence[int]) -> None:
        """Index the texts.

        Args:
            prediction: tokens that the reply will mostly copy; may be empty.
            context: the tokens before the reply.
        """
        self._tokens = [*prediction, NO_TOKEN, *context]
        self._n_prediction = len(prediction)
        self._in_prediction: dict[tuple[int, ...], list[int]] = {}
        for start in range(len(prediction) - KEY):
            key = tuple(self._tokens[start : start + KEY])
            self._in_prediction.setdefault(key, []).append(start + KEY)
        keys = zip(context, context[1:], context[2:], strict=False)
        first = len(prediction) + 1 + KEY
        self._last: dict[tuple[int, ...], int] = {key: first + n for n, key in enumerate(keys)}
        self._trust_in_prediction = _Trust(PREDICTION_PRIOR)
        self._trust_in_context = _Trust(CONTEXT_PRIOR)
        # The place of the token that is expected next, and how many tokens in a row came as expected. The
        # start of a prediction is trusted like its middle.
        self._at: int | None = 0 if prediction else None
        self._agreed = LONGEST_MATCH if prediction else 0
        self._left_at = 0  # where in the prediction the reply last went its own way

    def push(self, token: int) -> None:
        """Take a token that was drawn."""
        at, tokens = self._at, self._tokens
        hit = at is not None and tokens[at] == token
        if at is not None:
            self._trust(at).note(self._agreed, hit=hit)
        tokens.append(token)
        key = tuple(tokens[-KEY:])
        if at is not None and hit:
            # A prediction that came to its end is followed no longer.
            self._at = at + 1 if at + 1 != self._n_prediction else None
            self._agreed += 1
        else:
            self._find(key, at)
        self._last[key] = len(tokens)

    def chances(self, most: int) -> list[float]:
        """For 1, 2, … tokens of a draft, up to `most`: how likely so many of them are right."""
        if self._at is None:
            return []
        count = min(most, self._end(self._at) - self._at)
        return list(accumulate(self._trust(self._at).shares(self._agreed, count), mul))

    def draft(self, count: int) -> list[int]:
        """The tokens that are expected next."""
        return [] if self._at is None else self._tokens[self._at : self._at + count]

    def _trust(self, at: int) -> _Trust:
        return self._trust_in_prediction if at < self._n_prediction else self._trust_in_context

    def _end(self, at: int) -> int:
        return self._n_prediction if at < self._n_prediction else len(self._tokens)

    def _find(self, key: tuple[int, ...], lost: int | None) -> None:
        """Follow the place with the longest match; of equals, that nearest to the last one."""
        if lost is not None and lost < self._n_prediction:
            self._left_at = lost
        places = self._in_prediction.get(key, [])
        middle = bisect_left(places, self._left_at)
        near = places[max(0, middle - NEAREST) : middle + NEAREST]
        if (latest := self._last.get(key)) is not None:
            near = [*near, latest]
        if near:
            self._agreed, _, self._at = max((self._match(at), -abs(at - self._left_at), at) for at in near)
        elif lost is not None and lost + 1 < self._n_prediction:
            self._at, self._agreed = lost + 1, 0  # one token may have been exchanged
        else:
            self._at, self._agreed = None, 0

    def _match(self, at: int) -> int:
        """How many tokens before this place equal the last ones drawn."""
        tokens = self._tokens
        length = KEY
        while length < min(LONGEST_MATCH, at) and tokens[at - 1 - length] == tokens[-1 - length]:
            length += 1
        return length
