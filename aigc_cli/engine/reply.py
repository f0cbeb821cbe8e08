"""One reply in the making: tokens are drawn, spelled, and brought to an end."""

from dataclasses import dataclass
from typing import Any, Protocol

from aigc_cli.engine.detokenize import Detokenizer
from aigc_cli.engine.repetition import RepetitionGuard
from aigc_cli.events import Delta, FinishReason, TokenLogprob

REPLY_ROOM = 16  # tokens that a prompt must leave free: a window filled to the brim has no answer in it
LAST_ROW = -1  # of the logits that the last evaluation computed


class TokenSampler(Protocol):
    """Draws the next token."""

    def sample(self, context: Any, row: int = LAST_ROW) -> int:
        """The token that follows the one evaluated in this row of the last batch."""
        ...

    def finish_soon(self) -> None:
        """Prefer tokens that end the reply, where the sampler can."""
        ...


class TokenSpelling(Protocol):
    """Spells tokens."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the token ends a reply."""
        ...


class TokenProbabilities(Protocol):
    """Knows how probable a drawn token was."""

    def read(self, context: Any, row: int, token: int) -> TokenLogprob:
        """The token's probability in the distribution after this row."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When a reply ends other than by itself.

    Attributes:
        max_tokens: None is what the window leaves.
        stop: stop strings.
        guard_loops: end a reply that repeats itself.
        copied: tokens of a text that the reply may copy; what repeats in it is no loop.
        closing_tokens: tokens kept free to bring a constrained reply to its end; 0 is none.
    """

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    guard_loops: bool = True
    closing_tokens: int = 0
    copied: tuple[int, ...] = ()


class Reply:
    """Draws one reply, token by token. It has ended when `finish_reason` is set.

    Attributes:
        number: of the candidate.
        tokens: those drawn, the model's end token excluded.
        finish_reason: why it ended; None while it goes on.
        n_drafted: tokens that were guessed ahead and verified.
        n_accepted: how many of those were drawn.
    """

    def __init__(
        self,
        sampler: TokenSampler,
        spelling: TokenSpelling,
        limits: Limits,
        *,
        number: int = 0,
        probabilities: TokenProbabilities | None = None,
    ) -> None:
        self._sampler = sampler
        self._spelling = spelling
        self._limits = limits
        self.number = number
        self._probabilities = probabilities
        self._detokenizer = Detokenizer(limits.stop)
        self._guard = RepetitionGuard(limits.copied) if limits.guard_loops else None
        self._end_reason = FinishReason.STOP
        self._longest = 0
        self._texts: list[str] = []
        self._n_unspelled = 0  # tokens drawn whose text was not released yet
        self._unspelled: list[TokenLogprob] = []
        self.tokens: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.n_drafted = self.n_accepted = 0

    @property
    def text(self) -> str:
        """The reply so far."""
        return "".join(self._texts)

    @property
    def n_left(self) -> int:
        """How many more tokens it may have."""
        return self._longest - len(self.tokens)

    def begin(self, room: int) -> None:
        """Say how many tokens the window leaves for it."""
        self._longest = min(room, self._limits.max_tokens or room)

    def draw(self, context: Any, row: int = LAST_ROW) -> Delta | None:
        """Draw the token after this row; returns the text that is certain now, if there is any."""
        token = self._sampler.sample(context, row)
        if self._spelling.is_end(token):
            self.finish_reason = self._end_reason
            return None
        self.tokens.append(token)
        self._n_unspelled += 1
        if self._probabilities is not None:
            self._unspelled.append(self._probabilities.read(context, row, token))
        text = self._detokenizer.push(self._spelling.piece(token))
        self.finish_reason = FinishReason.STOP if self._detokenizer.stopped else self._cut(token)
        return self._delta(text) if text else None

    def finish(self) -> Delta | None:
        """The text that was held back, if there is any."""
        text = self._detokenizer.finish()
        return self._delta(text) if text else None

    def _delta(self, text: str) -> Delta:
        delta = Delta(text, self._n_unspelled, self.number, tuple(self._unspelled))
        self._texts.append(text)
        self._n_unspelled = 0
        self._unspelled.clear()
        return delta

    def _cut(self, token: int) -> FinishReason | None:
        """Why the reply ends after this token; a constrained one is brought to its end first."""
        if self.n_left <= 0:
            return FinishReason.LENGTH
        looping = self._guard is not None and self._guard.push(token)
        if looping and not self._limits.closing_tokens:
            return FinishReason.LOOP
        if looping or self.n_left == self._limits.closing_tokens:
            self._end_reason = FinishReason.LOOP if looping else FinishReason.LENGTH
            self._guard = None
            self._sampler.finish_soon()
        return None
