"""A small model beside the large one, loaded while the large one works already."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.engine_options import DraftOptions
from aigc_cli.engine.loading import ModelLoading
from aigc_cli.engine.logprobs import log_sum_exp, logits_after
from aigc_cli.engine.reply import LAST_ROW
from aigc_cli.engine.sequence import UBATCH
from aigc_cli.errors import ModelError

if TYPE_CHECKING:
    from aigc_cli.engine.model import Model
    from aigc_cli.engine.sequence import TokenSequence


class DraftModel:
    """Implements `SmallModel` with llama.cpp. All but `abort`, `allow` and `is_ready` is for one thread."""

    def __init__(self, options: DraftOptions, n_vocab: int) -> None:
        """Start to load it. `n_vocab` is how many tokens the large model knows."""
        self._options = options
        self._n_vocab = n_vocab
        self._loading = ModelLoading(options.path, n_gpu_layers=options.n_gpu_layers)
        self._model: Model | None = None
        self._context: Context | None = None
        self._sequence: TokenSequence | None = None
        self._n_agreed: int | None = None  # tokens of the reply at work that it is known to hold
        self._failed = False

    @property
    def name(self) -> str:
        """Of the model."""
        return self._options.name

    @property
    def relative_size(self) -> float:
        """The bytes of its weights over those of the large model."""
        return self._options.relative_size

    @property
    def n_ctx(self) -> int:
        """The most tokens that it can hold."""
        return self._options.n_ctx

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked. Where it can't be loaded the large model does without."""
        if self._context is None and not self._failed and self._loading.is_done:
            self._make_context()
        return self.is_at_work

    @property
    def is_at_work(self) -> bool:
        """Whether it was asked already, or will be; any thread may look."""
        return self._context is not None and not self._failed

    def _make_context(self) -> None:
        try:
            self._model = self._loading.result()
            options = ContextOptions(self._options.n_ctx, self._options.n_threads)
            self._context = Context(self._model, options)
            self._scratch = np.empty(self._model.n_vocab, dtype=np.float32)
            # drafts are taken back, which recurrent models and sliding windows can't do
            self._failed = not self._context.can_truncate or self._model.n_sliding_window > 0
        except ModelError:  # the memory that was free a moment ago is not any more
            self._failed = True

    def n_unread(self, tokens: Sequence[int]) -> int:
        """How many of these tokens it would have to evaluate; within a reply they only grow at their end."""
        if self._n_agreed is None:
            self._n_agreed = self._ready.n_shared(tokens)
        elif self._sequence is not None:
            self._n_agreed = self._agreement(self._sequence.held, tokens, self._n_agreed)
        return len(tokens) - self._n_agreed

    def _agreement(self, held: Sequence[int], tokens: Sequence[int], start: int) -> int:
        """How many tokens it holds; not the last one, whose logits are wanted. Those before `start` agree."""
        most = min(len(held), len(tokens) - 1)
        start = min(start, most)
        return next((n for n in range(start, most) if held[n] != self._known(tokens[n])), most)

    def _known(self, token: int) -> int:
        """The token, or some other one in place of a token that only the large model has."""
        return min(token, self._scratch.size - 1)

    def read(self, tokens: Sequence[int]) -> None:
        """Evaluate what it does not hold of them; it holds nothing else afterwards.

        Raises:
            Aborted: `abort` was called.
        """
        if self._sequence is None:
            self._sequence = self._ready.open([self._known(token) for token in tokens])
            self._n_agreed = len(self._sequence.held)
        n_held = len(tokens) - self.n_unread(tokens)
        self._sequence.truncate(n_held)
        self._sequence.reserve(len(tokens))
        new = [self._known(token) for token in tokens[n_held:]]
        for start in range(0, len(new), UBATCH):
            self._sequence.evaluate(new[start : start + UBATCH])

    def best(self) -> tuple[int, float]:
        """The most probable token after all that it holds, and its probability."""
        logits = logits_after(self._ready.handle, LAST_ROW, self._scratch.size)
        token = int(logits[: self._n_vocab].argmax())
        return token, float(np.exp(float(logits[token]) - log_sum_exp(logits, self._scratch)))

    def push(self, token: int) -> None:
        """Evaluate one more token.

        Raises:
            Aborted: `abort` was called.
        """
        if self._sequence is None:
            raise RuntimeError("a draft begins with what was written before it")
        self._sequence.reserve(len(self._sequence.held) + 1)
        self._sequence.evaluate([token])

    def end(self) -> None:
        """The reply is over: what it holds is kept for the next request of the conversation."""
        self._n_agreed = None
        if self._sequence is not None:
            self._sequence.release()
            self._sequence = None

    def abort(self) -> None:
        """End the evaluation at work; any thread may call it."""
        if self._context is not None:
            self._context.abort()

    def allow(self) -> None:
        """Lift `abort`."""
        if self._context is not None:
            self._context.allow()

    def close(self) -> None:
        """Free it, loaded or not. Closing twice is harmless."""
        if self._context is not None:
            self._context.close()
            self._context = None
        self._failed = True
        if self._model is None:
            self._loading.give_up()
        else:
            self._model.close()

    @property
    def _ready(self) -> Context:
        if self._context is None:
            raise RuntimeError("the draft model is not loaded")
        return self._context
