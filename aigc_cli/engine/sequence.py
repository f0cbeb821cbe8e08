"""The tokens of one conversation, and batches of them for llama.cpp."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aigc_cli.engine.adapters import NO_ADAPTERS
from aigc_cli.engine.library import lib

if TYPE_CHECKING:
    from aigc_cli.engine.context import Context

UBATCH = 512  # tokens evaluated at once


@dataclass(frozen=True, slots=True)
class Row:
    """One token to evaluate."""

    sequence: "TokenSequence"
    token: int
    wants_logits: bool


class Batch:
    """Native arrays for up to `UBATCH` rows, filled anew for each evaluation."""

    def __init__(self, n_sequences: int) -> None:
        self._tokens = (lib.llama_token * UBATCH)()
        self._counts = (ctypes.c_int32 * UBATCH)(*[1] * UBATCH)
        self._ids = (ctypes.POINTER(lib.llama_seq_id) * UBATCH)()
        self._logits = (ctypes.c_int8 * UBATCH)()
        self._sequence_ids = [lib.llama_seq_id(n) for n in range(n_sequences)]
        self._pointers = [ctypes.pointer(number) for number in self._sequence_ids]

    def fill(self, rows: Sequence[Row]) -> Any:
        """A native batch; each token's position follows from what its sequence holds."""
        for index, row in enumerate(rows):
            self._tokens[index] = row.token
            self._ids[index] = self._pointers[row.sequence.number]
            self._logits[index] = row.wants_logits
        return lib.llama_batch(
            n_tokens=len(rows),
            token=ctypes.cast(self._tokens, lib.llama_token_p),
            n_seq_id=self._counts,
            seq_id=self._ids,
            logits=self._logits,
        )


class TokenSequence:
    """The tokens of one conversation in a context.

    It is at work from `Context.open` or `fork` to `release`; after that it is held for a later request
    until its room is needed.
    """

    def __init__(self, context: "Context", number: int) -> None:
        self._context = context
        self.number = number  # llama.cpp's id of it
        self.held: list[int] = []
        self.n_prompt = 0  # tokens of the last request, before its reply
        self.n_reused = 0  # how many of those were held before
        self.private = False  # nothing of it may reach the disk
        self.adapters = NO_ADAPTERS.key  # what its tokens were evaluated with
        self.is_branch = False  # a candidate that no request has gone on from
        self.at_work = False
        self.last_used_s = 0.0

    @property
    def handle(self) -> Any:
        """The `llama_context` pointer, for the samplers. It changes when the cache grows."""
        return self._context.handle

    @property
    def n_ctx_limit(self) -> int:
        """The most tokens it can ever hold."""
        return self._context.n_ctx_limit

    @property
    def can_truncate(self) -> bool:
        """Whether the model's state can be cut at any token; a recurrent one can only be dropped."""
        return self._context.can_truncate

    def shares(self, tokens: Sequence[int]) -> int:
        """How many tokens at the start of `tokens` it holds.

        The last one never counts: it has to be evaluated again, since a cache holds no logits.
        """
        shared = 0
        for ours, theirs in zip(self.held, tokens[:-1], strict=False):
            if ours != theirs:
                break
            shared += 1
        return shared

    def reuse_prefix(self, tokens: Sequence[int]) -> int:
        """Keep what is shared with the start of `tokens`, drop the rest; returns how many are kept."""
        self.n_prompt = len(tokens)
        self.is_branch = False
        self.n_reused = self.truncate(self.shares(tokens))
        return self.n_reused

    def truncate(self, n_tokens: int) -> int:
        """Drop all but the first tokens; returns how many are left: 0 where the state can't be cut there."""
        self._context.truncate(self, n_tokens)
        return len(self.held)

    def reserve(self, n_tokens: int) -> None:
        """Make room for so many tokens in all; see `Context.reserve`."""
        self._context.reserve(n_tokens)

    def evaluate(self, tokens: Sequence[int], *, all_logits: bool = False) -> None:
        """Append tokens (at most `UBATCH`) and compute the logits after the last one, or after each.

        With `all_logits`, those after token i are row i, for a sampler as for `llama_get_logits_ith`.

        Raises:
            Aborted: `Context.abort` was called; nothing of this batch counts as held.
            EngineError: llama.cpp failed.
        """
        last = len(tokens) - 1
        self._context.evaluate([Row(self, token, all_logits or n == last) for n, token in enumerate(tokens)])

    def fork(self) -> "TokenSequence":
        """Another sequence at work that holds the same tokens, in the same cells.

        Raises:
            EngineError: as many sequences are at work as the context has.
        """
        copy = self._context.fork(self, len(self.held))
        copy.is_branch = True
        return copy

    def state(self) -> bytearray | None:
        """What llama.cpp keeps of these tokens, for `Context.restore`; None when memory is short."""
        return self._context.state_of(self)

    def release(self) -> None:
        """End the work on it. Releasing twice is harmless."""
        self.at_work = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
