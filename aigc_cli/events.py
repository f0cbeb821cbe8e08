"""What an engine says while it works: `Queued`* `Prefill`* `Delta`* `Done`, in this order.

With several candidates the deltas of all come mixed, each with its number, and each candidate has its `Done`.
"""

from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"  # the model's stop token, or a stop string
    LENGTH = "length"  # max_tokens, or the context window is full
    LOOP = "loop"  # the model repeated itself and was stopped
    INTERRUPTED = "interrupted"  # cancelled: Ctrl-C, or the reader went away


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts and times of one reply.

    Attributes:
        prompt_tokens: length of the whole prompt.
        cached_tokens: how many of those the KV cache already held.
        reply_tokens: tokens sampled, stop token excluded.
        prefill_s: time to evaluate the prompt's new part, in seconds.
        decode_s: time from the first sampled token to the end, in seconds.
        drafted_tokens: tokens guessed ahead and verified in one batch.
        accepted_tokens: how many of those the model would have said itself.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    reply_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0

    @property
    def prefill_tokens_per_s(self) -> float:
        """Evaluated prompt tokens per second; 0 when nothing was evaluated."""
        return (self.prompt_tokens - self.cached_tokens) / self.prefill_s if self.prefill_s > 0 else 0.0

    @property
    def decode_tokens_per_s(self) -> float:
        """Reply tokens per second; 0 when there are none."""
        return self.reply_tokens / self.decode_s if self.decode_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Queued:
    """Other requests go first: how many."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Prefill:
    """Progress in reading the prompt, in tokens; `done` counts the `cached` ones too."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have come here, and the natural logarithm of its probability."""

    piece: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was drawn: its probability before sampling options cut the distribution.

    Attributes:
        piece: its bytes, which need not be whole characters.
        logprob: natural logarithm of the probability.
        alternatives: the most probable tokens, best first; the drawn one may be among them.
    """

    piece: bytes
    logprob: float
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the reply: text that will not change any more, and how many tokens it came from.

    Attributes:
        tokens: those tokens with their probabilities, if the request asked for them.
    """

    text: str
    n_tokens: int = 1
    candidate: int = 0
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a reply."""

    finish_reason: FinishReason
    stats: Stats
    candidate: int = 0


@dataclass(frozen=True, slots=True)
class EngineDied:
    """The engine's process died at work. It is started again, and the reply goes on: nothing of it is lost.

    It can come before any other event.

    Attributes:
        cause: one line, as far as it is known.
    """

    cause: str


Event = Queued | Prefill | Delta | EngineDied | Done
