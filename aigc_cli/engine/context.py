"""A context window: the KV cache, and the evaluation of tokens that fills it."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aigc_cli.engine import library
from aigc_cli.engine.decode import Aborted
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.errors import ContextOverflow, EngineError, ModelLoadError

# Tokens. A cache is cleared when it is made, and that is start-up time: 0.09 s for 4k, 0.5-1.5 s for 32k
# tokens of a 1.5B model.
FIRST_SIZE = 4096
UBATCH = 512  # tokens evaluated at once
FLASH_ATTENTION_AUTO = -1  # LLAMA_FLASH_ATTN_TYPE_AUTO
_DECODE_NO_ROOM, _DECODE_ABORTED = 1, 2


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """How to build a context; sizes in tokens."""

    n_ctx_limit: int
    n_threads: int


class Context:
    """Owns a `llama_context` of one sequence. It starts small and grows up to its limit when it has to.

    Not thread-safe, but for `abort`, which any thread and any signal handler may call.
    """

    def __init__(self, model: Model, options: ContextOptions) -> None:
        self._model = model
        self._options = options
        self._abort = ctypes.create_string_buffer(2)
        self._abort_callback = library.c_abort_callback()
        self.n_ctx_limit = options.n_ctx_limit
        self.capacity = 0
        self.held: list[int] = []
        self._context: Any = None
        self._create(min(FIRST_SIZE, options.n_ctx_limit))

    def _create(self, n_ctx: int) -> None:
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = n_ctx
        parameters.n_batch = parameters.n_ubatch = UBATCH
        parameters.n_threads = parameters.n_threads_batch = self._options.n_threads
        parameters.flash_attn_type = FLASH_ATTENTION_AUTO
        parameters.no_perf = True
        parameters.abort_callback = self._abort_callback
        parameters.abort_callback_data = ctypes.addressof(self._abort)
        library.clear_log()
        self._context = lib.llama_init_from_model(self._model.handle, parameters)
        if not self._context:
            raise ModelLoadError(
                f"no memory for a context of {n_ctx:,} tokens: {library.last_log_lines()}",
                "use a smaller --context or a smaller model",
            )
        self._memory = lib.llama_get_memory(self._context)
        self.capacity = n_ctx

    @property
    def handle(self) -> Any:
        """The `llama_context` pointer, for the samplers."""
        return self._context

    def abort(self) -> None:
        """End the evaluation at work, and any later one, until `allow`."""
        self._abort[0] = b"\x01"

    def allow(self) -> None:
        """Lift `abort`."""
        self._abort[0] = b"\x00"

    @property
    def aborted(self) -> bool:
        """Whether `abort` is in force."""
        return self._abort[0] != b"\x00"

    def reuse_prefix(self, tokens: Sequence[int]) -> int:
        """Keep what the cache shares with the start of `tokens`, drop the rest; returns how many are kept.

        At least the last token is left to evaluate: a cache holds no logits.
        """
        shared = 0
        for ours, theirs in zip(self.held, tokens[:-1], strict=False):
            if ours != theirs:
                break
            shared += 1
        self._truncate(shared)
        return len(self.held)

    def _truncate(self, length: int) -> None:
        # Also when nothing is dropped: an aborted evaluation may have left cells behind the held tokens.
        if not lib.llama_memory_seq_rm(self._memory, 0, length, -1):
            lib.llama_memory_clear(self._memory, True)
            length = 0
        del self.held[length:]

    def reserve(self, n_tokens: int) -> None:
        """Make room for so many tokens in all, growing by doubling; what is held moves along.

        Raises:
            ContextOverflow: more than the limit.
        """
        if n_tokens <= self.capacity:
            return
        if n_tokens > self.n_ctx_limit:
            raise ContextOverflow(n_tokens, self.n_ctx_limit)
        size = self.capacity
        while size < n_tokens:
            size *= 2
        self._move_to(min(size, self.n_ctx_limit))

    def _move_to(self, n_ctx: int) -> None:
        state = self._read_state()
        # The old cache goes first: both at once would be the peak of the process.
        lib.llama_free(self._context)
        self._create(n_ctx)
        if state is None or not lib.llama_state_seq_set_data(self._context, state, len(state), 0):
            self.held.clear()

    def _read_state(self) -> Any:
        if not self.held:
            return None
        size = lib.llama_state_seq_get_size(self._context, 0)
        state = (ctypes.c_uint8 * size)()
        return state if lib.llama_state_seq_get_data(self._context, state, size, 0) == size else None

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Append tokens (at most `UBATCH`) to the cache and compute the logits after the last one.

        Raises:
            Aborted: `abort` was called; nothing of this batch counts as held.
            EngineError: llama.cpp failed.
        """
        if self.aborted:  # not every backend asks the callback
            raise Aborted
        array = (lib.llama_token * len(tokens))(*tokens)
        batch = lib.llama_batch(n_tokens=len(tokens), token=ctypes.cast(array, lib.llama_token_p))
        code = lib.llama_decode(self._context, batch)
        if code == 0:
            self.held.extend(tokens)
            return
        self._truncate(len(self.held))
        if code == _DECODE_ABORTED:
            raise Aborted
        if code == _DECODE_NO_ROOM:
            raise EngineError("llama.cpp found no room in the KV cache", "use a larger --context")
        raise EngineError(f"llama.cpp failed to evaluate ({code}): {library.last_log_lines()}")

    def close(self) -> None:
        """Free the cache. Closing twice is harmless."""
        if self._context:
            lib.llama_free(self._context)
            self._context = None
