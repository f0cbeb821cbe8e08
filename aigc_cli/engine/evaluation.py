"""What a decode loop needs of a KV cache."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar


class Aborted(Exception):
    """The evaluation was cancelled; the sequence holds what was evaluated before."""


class TokenCells(Protocol):
    """A sequence of tokens in a KV cache."""

    @property
    def handle(self) -> Any:
        """What the sampler reads logits from."""
        ...

    @property
    def n_ctx_limit(self) -> int:
        """The most tokens it can ever hold."""
        ...

    def reuse_prefix(self, tokens: Sequence[int]) -> int:
        """Keep the shared start, drop the rest; returns the number of tokens kept."""
        ...

    def reserve(self, n_tokens: int) -> None:
        """Make room for so many tokens in all."""
        ...

    def evaluate(self, tokens: Sequence[int], *, all_logits: bool = False) -> None:
        """Append tokens and compute the logits after the last one, or after each; raises `Aborted`."""
        ...

    def truncate(self, n_tokens: int) -> int:
        """Drop all but the first tokens; returns how many are left."""
        ...

    def fork(self) -> Self:
        """Another sequence that holds the same tokens."""
        ...

    def release(self) -> None:
        """End the work on it."""
        ...


S = TypeVar("S", bound=TokenCells)
# Appends one token to each of several sequences in one batch; the logits of pair i are row i.
EvaluateRows = Callable[[Sequence[tuple[S, int]]], None]
