"""A context window: one KV cache, several conversations in it, and the evaluation that fills it.

The cells of the cache are a pool that all conversations share: a fork costs no cell, and a conversation is
evicted only when another one needs its room.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aigc_cli.engine import library
from aigc_cli.engine.adapters import NO_ADAPTERS, AdapterSet, put_on
from aigc_cli.engine.evaluation import Aborted
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.engine.sequence import UBATCH, Batch, Row, TokenSequence
from aigc_cli.engine.tuning import EXACT_KV
from aigc_cli.errors import ContextOverflow, EngineError, ModelLoadError

# Tokens. A cache is cleared when it is made, and that is start-up time: 0.04 s for 2k, 0.07 s for 4k,
# 0.5-1.5 s for 32k tokens of a 1.5B model. Most chats fit 2k.
FIRST_SIZE = 2048
# One request may draw 16 candidates, and eight conversations stay beside it. Each costs a row of logits
# (0.6 MB at 152k tokens) and no time.
N_SEQUENCES = 24
N_RECURRENT_SEQUENCES = 4  # a recurrent model keeps a whole state (tens of MB) for each
# The cache grows for so many conversations, the least recently used of the others make room first: what is
# behind them is rarely asked for again, and every used cell slows attention down.
N_WORTH_GROWING_FOR = 4
# Tokens. A shorter tail is read again within a second, which is not worth its cells.
FORK_TAIL = 64
FLASH_ATTENTION_AUTO = -1  # LLAMA_FLASH_ATTN_TYPE_AUTO
FLASH_ATTENTION_OFF = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED
_KV_TYPES = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}
_DECODE_NO_ROOM, _DECODE_ABORTED = 1, 2


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """How to build a context; sizes in tokens.

    Attributes:
        eval_callback: a native function that llama.cpp offers each tensor of a graph to, for inspection.
            Flash attention, which never has the attention weights in one place, is off then.
        n_threads_prefill: threads for more than one token; None: as for one.
        flash_attention: where model and device can; False: never.
        n_ubatch: tokens that one graph evaluates, at most `UBATCH`.
        kv_type: of the cache, a name from `tuning.KV_TYPES`.
    """

    n_ctx_limit: int
    n_threads: int
    eval_callback: Any = None
    n_threads_prefill: int | None = None
    flash_attention: bool = True
    n_ubatch: int = UBATCH
    kv_type: str = EXACT_KV


class Context:
    """Owns a `llama_context`. It starts small and grows up to its limit when it has to.

    Not thread-safe, but for `abort`, which any thread and any signal handler may call.

    Attributes:
        n_decodes: how often `llama_decode` was called.
        n_evaluated: how many tokens it evaluated.
    """

    def __init__(
        self,
        model: Model,
        options: ContextOptions,
        on_evict: Callable[[TokenSequence], None] = lambda _sequence: None,
    ) -> None:
        """Make a cache.

        Args:
            model: whose tokens are evaluated.
            options: its sizes.
            on_evict: is called before a sequence is dropped to make room for another.

        Raises:
            ModelLoadError: no memory for it.
        """
        self._model = model
        self._options = options
        self._on_evict = on_evict
        self._abort = ctypes.create_string_buffer(2)
        self._abort_callback = library.c_abort_callback()
        self._batch = Batch(N_SEQUENCES)
        self.n_ctx_limit = options.n_ctx_limit
        self.can_truncate = not model.is_recurrent
        self.capacity = 0
        self.adapters = NO_ADAPTERS
        self.n_decodes = self.n_evaluated = 0
        n_sequences = N_SEQUENCES if self.can_truncate else N_RECURRENT_SEQUENCES
        # The least recently used one comes first.
        self.sequences = [TokenSequence(self, number) for number in range(n_sequences)]
        self._context: Any = None
        self._create(min(FIRST_SIZE, options.n_ctx_limit))

    def _create(self, n_ctx: int) -> None:
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = n_ctx
        parameters.n_batch = UBATCH
        parameters.n_ubatch = self._options.n_ubatch
        parameters.type_k = parameters.type_v = _KV_TYPES[self._options.kv_type]
        parameters.n_seq_max = len(self.sequences)
        parameters.kv_unified = True  # one pool of cells, not a share for each sequence
        parameters.n_threads = self._options.n_threads
        parameters.n_threads_batch = self._options.n_threads_prefill or self._options.n_threads
        on = self._options.flash_attention
        parameters.flash_attn_type = FLASH_ATTENTION_AUTO if on else FLASH_ATTENTION_OFF
        if self._options.eval_callback is not None:
            parameters.flash_attn_type = FLASH_ATTENTION_OFF
            parameters.cb_eval = self._options.eval_callback
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
        put_on(self._context, self.adapters)

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

    def adapt(self, adapters: AdapterSet) -> None:
        """Evaluate with these adapters from now on; what other ones read is kept for when they are back."""
        self.adapters = adapters
        put_on(self._context, adapters)

    def open(self, tokens: Sequence[int], *, private: bool = False) -> TokenSequence:
        """A sequence to evaluate these tokens in: the one that holds most of their start, or a fork of it.

        It holds nothing else afterwards. One that is `private` is never offered to `on_evict`.

        Raises:
            ContextOverflow: there are more tokens than the limit; nothing changed.
            EngineError: all sequences are at work.
        """
        if len(tokens) > self.n_ctx_limit:
            raise ContextOverflow(len(tokens), self.n_ctx_limit)
        shared, nearest = self._nearest(tokens)
        if nearest is None:
            sequence = self._take()
        elif self._is_worth_keeping(nearest, shared):
            sequence = self.fork(nearest, shared)
        else:
            sequence = self._use(nearest)
        sequence.reuse_prefix(tokens)
        sequence.private = private
        return sequence

    def n_shared(self, tokens: Sequence[int]) -> int:
        """How many of these tokens `open` would find held."""
        return self._nearest(tokens)[0]

    def _nearest(self, tokens: Sequence[int]) -> tuple[int, TokenSequence | None]:
        shared, nearest = 0, None
        for sequence in self.sequences:
            if not sequence.at_work and (n := self._usable(sequence, tokens)) >= max(shared, 1):
                shared, nearest = n, sequence
        return shared, nearest

    def _usable(self, sequence: TokenSequence, tokens: Sequence[int]) -> int:
        if sequence.adapters != self.adapters.key:
            return 0
        shared = sequence.shares(tokens)
        return shared if self.can_truncate or shared == len(sequence.held) else 0

    def _is_worth_keeping(self, sequence: TokenSequence, shared: int) -> bool:
        """Whether somebody may come back to what lies behind the shared tokens.

        When all of its last prompt is shared, only the reply is new to it: it is regenerated, or the template
        drops parts of old replies. Otherwise it is another conversation with the same beginning.
        """
        is_another = shared < sequence.n_prompt - 1
        return is_another and len(sequence.held) - shared >= FORK_TAIL

    def fork(self, source: TokenSequence, n_tokens: int) -> TokenSequence:
        """A sequence at work that holds the first tokens of another, in the same cells.

        Raises:
            EngineError: all other sequences are at work.
        """
        was_at_work, source.at_work = source.at_work, True  # not to be taken for its own fork
        try:
            copy = self._take()
        finally:
            source.at_work = was_at_work
        lib.llama_memory_seq_cp(self._memory, source.number, copy.number, 0, n_tokens)
        copy.held = source.held[:n_tokens]
        copy.n_prompt = min(source.n_prompt, n_tokens)
        copy.private = source.private
        copy.adapters = source.adapters
        self._require_window(copy)
        return copy

    def _take(self) -> TokenSequence:
        """An empty sequence; the least recently used one is evicted when there is none."""
        resting = [sequence for sequence in self.sequences if not sequence.at_work]
        if not resting:
            raise EngineError(
                f"{len(self.sequences)} sequences are at work, and this model has no more", "ask for fewer"
            )
        chosen = next((sequence for sequence in resting if not sequence.held), resting[0])
        self._evict(chosen)
        return self._use(chosen)

    def _use(self, sequence: TokenSequence) -> TokenSequence:
        self.sequences.remove(sequence)
        self.sequences.append(sequence)
        sequence.at_work = True
        sequence.adapters = self.adapters.key
        return sequence

    def _evict(self, sequence: TokenSequence) -> None:
        if sequence.held and not sequence.private:
            self._on_evict(sequence)
        self.truncate(sequence, 0)

    def truncate(self, sequence: TokenSequence, n_tokens: int) -> None:
        """Drop all but the first tokens of a sequence; everything where the model's state can't be cut."""
        # Also when nothing is dropped: an aborted evaluation may have left cells behind the held tokens.
        if not lib.llama_memory_seq_rm(self._memory, sequence.number, n_tokens, -1):
            lib.llama_memory_seq_rm(self._memory, sequence.number, 0, -1)
            n_tokens = 0
        del sequence.held[n_tokens:]
        self._require_window(sequence)

    def _require_window(self, sequence: TokenSequence) -> None:
        """Drop a sequence whose sliding attention window is not whole: llama.cpp overwrites old cells."""
        window = self._model.n_sliding_window
        if not window or not sequence.held:
            return
        if lib.llama_memory_seq_pos_min(self._memory, sequence.number) > max(0, len(sequence.held) - window):
            lib.llama_memory_seq_rm(self._memory, sequence.number, 0, -1)
            sequence.held.clear()

    def reserve(self, n_tokens: int) -> None:
        """Make sure that one sequence can hold so many tokens, growing by doubling; what is held moves along.

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

    def _make_room(self) -> bool:
        """Give cells free or make new ones; False when there is nothing left to do."""
        resting = [sequence for sequence in self.sequences if sequence.held and not sequence.at_work]
        can_grow = self.capacity < self.n_ctx_limit
        if resting and (len(resting) > N_WORTH_GROWING_FOR or not can_grow):
            self._evict(resting[0])
            return True
        if can_grow:
            self._move_to(min(2 * self.capacity, self.n_ctx_limit))
        return can_grow

    def _move_to(self, n_ctx: int) -> None:
        state = self._read_state()
        # The old cache goes first: both at once would be the peak of the process.
        lib.llama_free(self._context)
        self._create(n_ctx)
        if not lib.llama_state_set_data(self._context, state, len(state)):
            for sequence in self.sequences:
                sequence.held.clear()
            raise EngineError("llama.cpp can't move its KV cache into a larger one", "ask again")

    def _read_state(self) -> Any:
        """All sequences at once, so that they go on sharing cells."""
        state = (ctypes.c_uint8 * lib.llama_state_get_size(self._context))()
        lib.llama_state_get_data(self._context, state, len(state))
        return state

    def state_of(self, sequence: TokenSequence) -> bytearray | None:
        """What llama.cpp keeps of a sequence; None when there is no memory for a copy."""
        try:
            state = bytearray(lib.llama_state_seq_get_size(self._context, sequence.number))
        except MemoryError:
            return None
        native = (ctypes.c_uint8 * len(state)).from_buffer(state)
        written = lib.llama_state_seq_get_data(self._context, native, len(state), sequence.number)
        return state if written == len(state) else None

    def restore(self, tokens: Sequence[int], state: bytearray) -> TokenSequence | None:
        """A sequence that holds these tokens by a state that `state_of` gave; None when llama.cpp refuses it.

        A state of another model or of other parameters can crash llama.cpp: the caller answers for it.
        """
        self.reserve(len(tokens))
        sequence = self._take()
        native = (ctypes.c_uint8 * len(state)).from_buffer(state)
        while (
            is_refused := lib.llama_state_seq_set_data(self._context, native, len(state), sequence.number)
            != len(state)
        ) and self._make_room():
            pass
        sequence.release()
        if is_refused or lib.llama_memory_seq_pos_max(self._memory, sequence.number) != len(tokens) - 1:
            self.truncate(sequence, 0)
            return None
        sequence.held = list(tokens)
        sequence.n_prompt = sequence.n_reused = 0  # what it holds is on disk: nothing is lost by cutting it
        sequence.private = sequence.is_branch = False
        self._require_window(sequence)
        return sequence

    def evaluate_rows(self, rows: Sequence[tuple[TokenSequence, int]]) -> None:
        """Append one token to each of several sequences in one batch; the logits of pair i are row i.

        Raises:
            Aborted: `abort` was called; nothing of this batch counts as held.
            EngineError: llama.cpp failed.
        """
        self.evaluate([Row(sequence, token, wants_logits=True) for sequence, token in rows])

    def evaluate(self, rows: Sequence[Row]) -> None:
        """Evaluate a batch of at most `UBATCH` rows; see `TokenSequence.evaluate`."""
        if self.aborted:  # not every backend asks the callback
            raise Aborted
        code = self._llama_decode(rows)
        while code == _DECODE_NO_ROOM and self._make_room():
            code = self._llama_decode(rows)
        if code == 0:
            self.n_evaluated += len(rows)
            for row in rows:
                row.sequence.held.append(row.token)
            return
        for sequence in {row.sequence for row in rows}:
            self.truncate(sequence, len(sequence.held))
        if code == _DECODE_ABORTED:
            raise Aborted
        if code == _DECODE_NO_ROOM:
            raise EngineError("llama.cpp found no room in the KV cache", "use a larger --context")
        raise EngineError(f"llama.cpp failed to evaluate ({code}): {library.last_log_lines()}")

    def _llama_decode(self, rows: Sequence[Row]) -> int:
        self.n_decodes += 1
        return int(lib.llama_decode(self._context, self._batch.fill(rows)))

    def close(self) -> None:
        """Free the cache. Closing twice is harmless."""
        if self._context:
            lib.llama_free(self._context)
            self._context = None
