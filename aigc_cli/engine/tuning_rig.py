"""Loads a model with one setting after another to measure it; the real side of `tuning_search`."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.evaluation import Aborted
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.engine.tuning import Setting
from aigc_cli.engine.tuning_search import OutOfTime
from aigc_cli.errors import Interrupted

N_CELLS = 1024  # tokens: the depth, and room for a trial
DEPTH = 512  # tokens that attention looks back on: the middle of a prompt of a thousand
N_WARM = 32  # tokens that are read once, before anything is measured
TEXT = "def merge(first, second):\n    result = []\n    return sorted(first + second)\n\n" * 40


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What is measured.

    Attributes:
        holds_both: whether memory allows plain and rearranged weights at once.
        resident_bytes: memory of this process at the moment.
        busy: share of the processor that other programs took since the options were made.
    """

    path: Path
    n_gpu_layers: int
    holds_both: bool
    resident_bytes: Callable[[], int]
    busy: Callable[[], float]


class LlamaWorkbench:
    """Keeps the models that rigs share: loading is a large part of a short search."""

    def __init__(self, options: BenchOptions, clock: Callable[[], float], limit_s: float) -> None:
        """Everything here ends with `OutOfTime` after this limit, whatever llama.cpp is at."""
        self._options = options
        self._clock = clock
        self._models: dict[bool, _LoadedModel] = {}
        self._rigs: list[LlamaRig] = []
        self._work = _Work()
        self._timer = threading.Timer(limit_s, self.stop)
        self._timer.daemon = True
        self._timer.start()

    @property
    def holds_both(self) -> bool:
        """Whether memory allows plain and rearranged weights at once."""
        return self._options.holds_both

    @property
    def busy(self) -> float:
        """Share of the processor that other programs took so far."""
        return self._options.busy()

    def open(self, setting: Setting) -> "LlamaRig":
        """A context with this setting, filled to `DEPTH`.

        Raises:
            ModelLoadError: the memory, the model or the build has no such setting.
            OutOfTime: the limit came first.
        """
        with self._work.going_on():
            return self._open(setting)

    def _open(self, setting: Setting) -> "LlamaRig":
        loaded = self._model(repack=setting.repack_weights)
        started_s = self._clock()
        context = Context(loaded.model, context_options(setting))
        rig = LlamaRig(context, loaded, self._clock, self._work)
        rig.load_s = loaded.load_s + self._clock() - started_s
        self._rigs.append(rig)
        rig.fill()
        if not loaded.memory_bytes:  # its pages come into memory as the first context uses them
            loaded.memory_bytes = max(1, self._options.resident_bytes() - loaded.before_bytes)
        rig.memory_bytes = loaded.memory_bytes
        return rig

    def _model(self, *, repack: bool) -> "_LoadedModel":
        if repack not in self._models:
            if not self.holds_both:
                self._close_models()
            before_bytes, started_s = self._options.resident_bytes(), self._clock()
            try:
                model = Model(
                    self._options.path,
                    n_gpu_layers=self._options.n_gpu_layers,
                    repack_weights=repack,
                    cancelled=self._work.stopped.is_set,
                )
            except Interrupted:
                raise OutOfTime from None
            self._models[repack] = _LoadedModel(model, before_bytes, self._clock() - started_s)
        return self._models[repack]

    def stop(self) -> None:
        """End whatever is measured; any thread may call it."""
        self._work.stopped.set()
        for rig in list(self._rigs):
            rig.context.abort()

    def close(self) -> None:
        """Free everything, once the other thread has left llama.cpp. Closing twice is harmless."""
        self._timer.cancel()
        self.stop()
        with self._work.lock:
            self._close_models()

    def _close_models(self) -> None:
        for rig in self._rigs:
            rig.close()
        self._rigs.clear()
        for loaded in self._models.values():
            loaded.model.close()
        self._models.clear()


class _Work:
    """What llama.cpp does at the moment: nothing is freed under it, and nothing begins after a stop.

    A thread that Ctrl-C left behind may go on measuring for a moment, whoever waits for it or not.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.stopped = threading.Event()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Work; raises `OutOfTime` after a stop."""
        with self.lock:
            if self.stopped.is_set():
                raise OutOfTime
            yield


@dataclass(slots=True)
class _LoadedModel:
    model: Model
    before_bytes: int  # memory of the process before its load
    load_s: float
    memory_bytes: int = 0


def context_options(setting: Setting, n_ctx: int = N_CELLS) -> ContextOptions:
    """A context with this setting; a small one, unless a size is named."""
    return ContextOptions(
        n_ctx,
        setting.n_threads,
        n_threads_prefill=setting.n_threads_prefill,
        flash_attention=setting.flash_attention,
        n_ubatch=setting.n_ubatch,
        kv_type=setting.kv_type,
    )


class LlamaRig:
    """One context, whose cache is filled, and the clock."""

    def __init__(
        self, context: Context, loaded: _LoadedModel, clock: Callable[[], float], work: "_Work"
    ) -> None:
        self.context = context
        self._clock = clock
        self._work = work
        tokens = loaded.model.tokenize(TEXT, special=False)
        self._tokens = tokens[:DEPTH]
        self._sequence = context.open(self._tokens[:N_WARM])
        self._n_kept = self._n_copied = 0
        self.load_s = 0.0
        self.memory_bytes = 0

    def fill(self) -> None:
        """Read a little, and copy it until attention has `DEPTH` tokens to look back on.

        The copies keep the positions of the first: what is computed makes no sense, and takes as long.
        """
        self._evaluate(self._tokens[:N_WARM])
        if not self.context.can_truncate:
            return  # a recurrent state has no depth, and can't go back to this point
        self._n_kept = N_WARM
        state = self.context.state_of(self._sequence)
        memory = lib.llama_get_memory(self.context.handle)
        for _ in range(DEPTH // N_WARM - 1):
            copy = self.context.restore(self._tokens[:N_WARM], state) if state else None
            if copy is None:
                return  # a kind of cache without such states: it is measured at the start of a prompt
            lib.llama_memory_seq_cp(memory, copy.number, self._sequence.number, -1, -1)
            copy.truncate(0)
            self._n_copied += N_WARM

    @property
    def depth(self) -> int:
        """How many tokens attention looks back on."""
        return self._n_copied + len(self._sequence.held)

    def prefill(self, n_tokens: int) -> float:
        """Seconds to read so many tokens, at most `DEPTH` of them."""
        return self._timed([self._tokens[:n_tokens]])

    def decode(self, n_tokens: int) -> float:
        """Seconds to write so many tokens."""
        return self._timed([[token] for token in self._tokens[:n_tokens]])

    def batch(self, n_rows: int) -> float:
        """Seconds to check a draft."""
        return self._timed([self._tokens[:n_rows]], all_logits=True)

    def _timed(self, batches: Sequence[list[int]], *, all_logits: bool = False) -> float:
        with self._work.going_on():
            self._sequence.truncate(self._n_kept)
            started_s = self._clock()
            for tokens in batches:
                self._evaluate(tokens, all_logits=all_logits)
            return self._clock() - started_s

    def _evaluate(self, tokens: list[int], *, all_logits: bool = False) -> None:
        if self._work.stopped.is_set():  # before the context was in the list of those that `stop` aborts
            raise OutOfTime
        try:
            self._sequence.evaluate(tokens, all_logits=all_logits)
        except Aborted:
            raise OutOfTime from None
        lib.llama_synchronize(self.context.handle)  # a GPU works on after llama_decode returns

    def close(self) -> None:
        """Free the context. Closing twice is harmless."""
        with self._work.lock:
            self.context.close()
