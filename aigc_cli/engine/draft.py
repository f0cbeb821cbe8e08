"""Guessing the next tokens by following a text that the reply copies.

Texts are the predicted reply, the prompt, and the reply itself (prompt lookup, Saxena 2023). One place in
them is followed at a time; every drawn token tells whether the guess was right, drafted or not, so how far a
guess can be trusted is known before a draft is paid for. A small change to the prediction is learned and
expected again where the same tokens stand: who renames a name once renames it everywhere.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

NO_TOKEN = -1  # between the texts: equal to nothing that is drawn
KEY = 3  # tokens that must agree before a place is followed: two match all over in code
LONGEST_MATCH = 32  # tokens looked back to tell places apart
NEAREST = 3  # places compared on either side of where the prediction was left
LONGEST_CHANGE = 8  # tokens, old or new, of a change that may come again
# Shares of right guesses to begin with, by how many tokens came as expected before (0, 1, 2-3, 4-7, …, 32 and
# more), and how many guesses these shares count as. A prediction is a promise, other text only looks alike.
PRIOR_WEIGHT = 8.0
PREDICTION_PRIOR = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98)
CONTEXT_PRIOR = (0.2, 0.3, 0.4, 0.6, 0.75, 0.93, 0.96)
# The same for a change that was seen once. One that is made at fewer than half of the places is not followed.
CHANGE_PRIOR, CHANGE_WEIGHT, EVEN = 0.6, 1.5, 0.5


class HitRates:
    """The share of right guesses by level: of whatever tells how far a guess can be trusted."""

    def __init__(self, prior: Sequence[float], weights: Sequence[float], memory: float = 1.0) -> None:
        """Begin with expectations.

        Args:
            prior: a share for each level.
            weights: how many guesses each of these shares counts as.
            memory: what an older guess counts for, when another one of its level comes.
        """
        self._hits = [share * weight for share, weight in zip(prior, weights, strict=True)]
        self._guesses = list(weights)
        self._memory = memory

    def note(self, level: int, *, hit: bool) -> None:
        """Take what came of a guess."""
        self._guesses[level] = self._guesses[level] * self._memory + 1
        self._hits[level] = self._hits[level] * self._memory + hit

    def share(self, level: int) -> float:
        """How likely a guess of this level is right."""
        return self._hits[level] / self._guesses[level]

    @property
    def mean(self) -> float:
        """How likely a guess is right whose level is not known."""
        return sum(self._hits) / sum(self._guesses)


class _Trust:
    """The share of right guesses by the length of the agreement before."""

    def __init__(self, prior: Sequence[float]) -> None:
        self._highest = len(prior) - 1
        self._rates = HitRates(prior, [PRIOR_WEIGHT] * len(prior))

    def note(self, agreed: int, *, hit: bool) -> None:
        self._rates.note(self._level(agreed), hit=hit)

    def share(self, agreed: int) -> float:
        """How likely the next guess is right when those before it were."""
        return self._rates.share(self._level(agreed))

    def _level(self, agreed: int) -> int:
        return min(agreed.bit_length(), self._highest)


@dataclass(slots=True)
class _Change:
    """Tokens of the prediction in whose place the reply had others, and how often it did so again."""

    old: list[int]
    new: list[int]
    share: float = CHANGE_PRIOR
    weight: float = CHANGE_WEIGHT

    def note(self, *, made: bool) -> None:
        self.share = (self.share * self.weight + made) / (self.weight + 1)
        self.weight += 1


@dataclass(frozen=True, slots=True)
class _Step:
    """A token, and where it leads: the next place, and what is left of a change to come before it."""

    token: int
    at: int
    rest: list[int]


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
        # What is expected next: what is left of a change, then the token at a place. And how many tokens in a
        # row came as expected; the start of a prediction is trusted like its middle.
        self._rest: list[int] = []
        self._at: int | None = 0 if prediction else None
        self._agreed = LONGEST_MATCH if prediction else 0
        self._left_at = 0  # where in the prediction the reply last went its own way
        self._changed_from: int | None = None  # where in `_tokens` that was, until the change is known
        self._changes: dict[int, _Change] = {}  # by the first of the old tokens

    def push(self, token: int) -> None:
        """Take a token that was drawn."""
        at = self._at
        self._tokens.append(token)
        key = tuple(self._tokens[-KEY:])
        if at is None or not self._follows(at, token):
            self._lose(at)
            self._find(key, at)
        self._learn_change()
        self._last[key] = len(self._tokens)

    def chances(self, most: int) -> list[float]:
        """For 1, 2, … tokens of a draft, up to `most`: how likely so many of them are right."""
        chances, chance = [], 1.0
        for _, share in islice(self._walk(), most):
            chance *= share
            chances.append(chance)
        return chances

    def draft(self, count: int) -> list[int]:
        """The tokens that are expected next."""
        return [token for token, _ in islice(self._walk(), count)]

    def _walk(self) -> Iterator[tuple[int, float]]:
        """The tokens that are expected, each with how likely it is when those before it came."""
        at, agreed, rest = self._at, self._agreed, self._rest
        if at is None:
            return
        trust, end = self._trust(at), self._end(at)
        while rest or at < end:
            share, change = trust.share(agreed), self._change(at, rest)
            if change is None:
                step = self._unchanged(at, rest)
            elif change.share >= EVEN:
                step, share = self._changed(at, change), share * change.share
            else:
                step, share = self._unchanged(at, rest), share * (1 - change.share)
            if step.token == NO_TOKEN:
                return
            yield step.token, share
            at, agreed, rest = step.at, agreed + 1, step.rest

    def _unchanged(self, at: int, rest: list[int]) -> _Step:
        return _Step(rest[0], at, rest[1:]) if rest else _Step(self._tokens[at], at + 1, [])

    def _changed(self, at: int, change: _Change) -> _Step:
        return self._unchanged(at + len(change.old), change.new)

    def _change(self, at: int, rest: list[int]) -> _Change | None:
        """The change that was made before where the same tokens stand, if it can be made here."""
        change = self._changes.get(self._tokens[at]) if at < self._n_prediction and not rest else None
        if change is None or self._tokens[at : at + len(change.old)] != change.old:
            return None
        return change

    def _follows(self, at: int, token: int) -> bool:
        """Whether the token could be expected, by a change or without; goes on behind it."""
        change = self._change(at, self._rest)
        step = self._changed(at, change) if change else self._unchanged(at, self._rest)
        is_made = step.token == token
        if change and not is_made:
            step = self._unchanged(at, self._rest)
        is_hit = step.token == token
        self._trust(at).note(self._agreed, hit=is_hit)
        if not is_hit:
            return False
        if change:
            change.note(made=is_made)
        # A prediction that came to its end is followed no longer.
        self._at = step.at if step.rest or step.at != self._n_prediction else None
        self._rest = step.rest
        self._agreed += 1
        return True

    def _trust(self, at: int) -> _Trust:
        return self._trust_in_prediction if at <= self._n_prediction else self._trust_in_context

    def _end(self, at: int) -> int:
        return self._n_prediction if at <= self._n_prediction else len(self._tokens)

    def _lose(self, at: int | None) -> None:
        """Note where the prediction was left: the last token was not expected there."""
        is_change = self._agreed >= KEY and not self._rest
        if at is not None and at < self._n_prediction and (is_change or self._changed_from is None):
            self._left_at = at
            self._changed_from = len(self._tokens) - 1 if is_change else None
        self._rest = []

    def _find(self, key: tuple[int, ...], lost: int | None) -> None:
        """Follow the place with the longest match; of equals, that nearest to where it was left."""
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

    def _learn_change(self) -> None:
        """Remember what came in place of what, once the prediction is found again behind it."""
        at, start = self._at, self._changed_from
        if start is None or at is None or at >= self._n_prediction or self._agreed < KEY:
            return
        self._changed_from = None
        n_old = at - self._agreed - self._left_at
        n_new = len(self._tokens) - self._agreed - start
        if min(n_old, n_new) < 0 or max(n_old, n_new) > LONGEST_CHANGE:
            return
        n_shared = 0 if n_old else 1  # tokens put in front of another are a change of that one
        old = self._tokens[self._left_at : self._left_at + n_old + n_shared]
        self._changes[old[0]] = _Change(old, self._tokens[start : start + n_new + n_shared])
