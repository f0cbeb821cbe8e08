"""A model to look into: its tokens, its next-token distribution, its attention, its layers."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, assert_never

import numpy as np

from aigc_cli.engine.adapters import AdapterShelf
from aigc_cli.engine.attention import MOST_TOKENS, WEIGHTS, AttentionCapture, AttentionMaps
from aigc_cli.engine.base import Adapter, Chat, Sampling, Text
from aigc_cli.engine.chat_template import ChatTemplate, ReplyMemory
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.distribution import Candidate, Distribution, read_distribution, softmax
from aigc_cli.engine.evaluation import Aborted
from aigc_cli.engine.graph_tap import GraphTap
from aigc_cli.engine.lens import RESIDUAL, find_head, require_same_head, unsupported
from aigc_cli.engine.library import lib
from aigc_cli.engine.logprobs import highest, logits_after
from aigc_cli.engine.model import Model
from aigc_cli.engine.reply import LAST_ROW
from aigc_cli.engine.sequence import UBATCH, TokenSequence
from aigc_cli.errors import ContextOverflow, Interrupted, UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InspectionOptions:
    """What to load and how to run it; see `EngineOptions`."""

    path: Path
    name: str
    n_ctx: int
    n_threads: int
    n_gpu_layers: int = 0
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text.

    Attributes:
        piece: its bytes, which need not be whole characters; of a control token, its name.
        is_control: it stands for no text, such as the end of a turn.
    """

    id: int
    piece: bytes
    is_control: bool


@dataclass(frozen=True, slots=True)
class LayerGuess:
    """What the model would say if it ended after this layer: the most probable tokens, best first."""

    layer: int
    candidates: tuple[Candidate, ...]


def tokenize(model: Model, prompt: Text | Chat) -> list[int]:
    """The token ids of a text as the model reads it.

    Raises:
        UnsupportedFeature: a chat for a model without a chat template.
        UsageError: there is no token in it.
    """
    match prompt:
        case Text(text):
            tokens = model.tokenize(text, special=True, add_bos=model.adds_bos)
        case Chat():
            tokens = ChatTemplate(model, ReplyMemory()).tokens(prompt)
        case _:
            assert_never(prompt)
    if not tokens:
        raise UsageError("the text has no token", "give some text: aigc inspect next 'def main('")
    return tokens


def spell(model: Model, tokens: Sequence[int]) -> tuple[Token, ...]:
    """The tokens with their bytes."""
    return tuple(
        Token(token, model.spelling(token), bool(lib.llama_vocab_is_control(model.vocab, token)))
        for token in tokens
    )


class Inspector:
    """Owns a model and evaluates texts in it for somebody who wants to look.

    llama.cpp works in a thread of its own: Ctrl-C, which is raised in the caller's, ends the evaluation.
    """

    def __init__(self, options: InspectionOptions) -> None:
        """Load the model.

        Raises:
            ModelLoadError: llama.cpp refused the file, or memory ran out.
        """
        self.options = options
        self._is_closing = False
        self._context: Context | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="llama.cpp")
        try:
            self.model = self._run(
                lambda: Model(
                    options.path, n_gpu_layers=options.n_gpu_layers, cancelled=lambda: self._is_closing
                )
            )
        except BaseException:
            self._worker.shutdown(wait=True)
            raise
        self._adapters = AdapterShelf(self.model)

    def tokens(self, prompt: Text | Chat) -> tuple[Token, ...]:
        """The tokens of a text; see `tokenize`."""
        return spell(self.model, tokenize(self.model, prompt))

    def next(self, prompt: Text | Chat, n_top: int, sampling: Sampling | None = None) -> Distribution:
        """The distribution of the token after a text."""
        return self.walk(prompt, n_top, sampling).distribution

    def walk(self, prompt: Text | Chat, n_top: int, sampling: Sampling | None = None) -> "Walk":
        """Read a text, to go on from it token by token; one at a time.

        Raises:
            ContextOverflow: the text does not fit the window.
        """
        tokens = tokenize(self.model, prompt)
        self._open(None)
        return Walk(self, tokens, n_top, sampling)

    def attention(
        self, prompt: Text | Chat, *, layer: int | None = None, head: int | None = None
    ) -> AttentionMaps:
        """What each token of a text looked at: in one layer or in all, in one head or in the mean of all.

        Raises:
            ContextOverflow: the text has more than `MOST_TOKENS` tokens, or does not fit the window.
            UsageError: the model has no such layer or head.
            UnsupportedFeature: its graph holds no such weights.
        """
        tokens = tokenize(self.model, prompt)
        n_layers = int(lib.llama_model_n_layer(self.model.handle))
        if layer is not None and layer >= n_layers:
            raise UsageError(f"there is no layer {layer}", f"this model has layers 0 to {n_layers - 1}")
        if len(tokens) > MOST_TOKENS:
            raise ContextOverflow(len(tokens), MOST_TOKENS, "attention is shown for shorter texts only")
        capture = AttentionCapture(len(tokens), layer, head)
        tap = GraphTap(frozenset([WEIGHTS]), capture.receive)
        logits = self._evaluate_tapped(tokens, tap, capture.expect)
        return capture.maps(highest(logits, 1)[0])

    def layers(self, prompt: Text | Chat, n_top: int) -> tuple[LayerGuess, ...]:
        """The guesses for the next token after each layer.

        Raises:
            UnsupportedFeature: the model's output head is of another form.
        """
        tokens = tokenize(self.model, prompt)
        head = find_head(self.options.path)
        streams: dict[int, Any] = {}

        def keep_last_row(_name: str, layer: int, tensor: Any) -> None:
            streams[layer] = tensor.reshape(-1, tensor.shape[-1])[-1]

        own = self._evaluate_tapped(tokens, GraphTap(frozenset([RESIDUAL]), keep_last_row), lambda *_: None)
        if not streams:
            raise unsupported(f"its graph holds no tensors named {RESIDUAL}")
        order = sorted(streams)
        logits = self._run(lambda: head.logits(np.stack([streams[layer] for layer in order])))
        require_same_head(logits[-1], own)
        return tuple(self._guess(layer, row, n_top) for layer, row in zip(order, logits, strict=True))

    def _guess(self, layer: int, logits: Any, n_top: int) -> LayerGuess:
        probabilities = softmax(logits)
        best = highest(logits, n_top)
        return LayerGuess(
            layer, tuple(Candidate(t, self.model.spelling(t), float(probabilities[t])) for t in best)
        )

    def _evaluate_tapped(
        self, tokens: Sequence[int], tap: GraphTap, expect: Callable[[int, int], None]
    ) -> Any:
        """Evaluate a text in a context of its own; the logits after it."""
        context = self._open(tap)
        try:
            with context.open(tokens) as sequence:
                logits = self.evaluate(sequence, tokens, expect)
            tap.raise_error()
        finally:
            self._close_context()
        return logits

    def _open(self, tap: GraphTap | None) -> Context:
        self._close_context()
        callback = tap.callback if tap else None
        options = ContextOptions(self.options.n_ctx, self.options.n_threads, callback)
        self._context = context = self._run(lambda: Context(self.model, options))
        self._run(lambda: context.adapt(self._adapters.fetch(self.options.adapters)))
        return context

    @property
    def context(self) -> Context:
        """Where the text at hand is evaluated."""
        if self._context is None:
            raise UsageError("nothing is being inspected")
        return self._context

    def evaluate(
        self, sequence: TokenSequence, tokens: Sequence[int], expect: Callable[[int, int], None]
    ) -> Any:
        """Append tokens; the logits after the last one, a copy. `expect` hears of each chunk before."""
        sequence.reserve(len(sequence.held) + len(tokens))

        def work() -> Any:
            for first in range(0, len(tokens), UBATCH):
                chunk = tokens[first : first + UBATCH]
                expect(len(sequence.held), len(chunk))
                sequence.evaluate(chunk)
            return logits_after(sequence.handle, LAST_ROW, self.model.n_vocab).copy()

        return self._run(work)

    def _run(self, work: Callable[[], T]) -> T:
        """Have the worker do something; what ends the wait, such as Ctrl-C, ends the work."""
        job = self._worker.submit(work)
        try:
            return job.result()
        except Aborted as error:
            raise Interrupted from error
        except BaseException:
            self._is_closing = not job.done()
            if self._context is not None:
                self._context.abort()
            wait([job])
            if self._context is not None:
                self._context.allow()
            raise

    def _close_context(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def close(self) -> None:
        """Free the model. Closing twice is harmless."""
        self._worker.shutdown(wait=True)
        self._close_context()
        self._adapters.close()
        self.model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Walk:
    """A text and what follows it, a token at a time, forward and back.

    Attributes:
        tokens: the text's, then those taken.
        n_text: how many are the text's.
        n_evaluated: how many tokens were evaluated so far; going back evaluates none.
    """

    def __init__(
        self, inspector: Inspector, tokens: list[int], n_top: int, sampling: Sampling | None
    ) -> None:
        self._inspector = inspector
        self._n_top = n_top
        self._sampling = sampling
        self._sequence = inspector.context.open(tokens)
        self.tokens: list[int] = []
        self.n_text = len(tokens)
        self.n_evaluated = 0
        self._seen: list[Distribution] = []
        self._read(tokens)

    @property
    def distribution(self) -> Distribution:
        """Of the token that comes next."""
        return self._seen[-1]

    @property
    def n_taken(self) -> int:
        """How many tokens follow the text."""
        return len(self.tokens) - self.n_text

    @property
    def is_full(self) -> bool:
        """Whether the window has no room for another token."""
        return len(self.tokens) >= self._sequence.n_ctx_limit

    @property
    def said(self) -> bytes:
        """What was taken so far."""
        return b"".join(self._inspector.model.piece(token) for token in self.tokens[self.n_text :])

    def piece_at(self, index: int) -> bytes:
        """The bytes of one of the tokens."""
        return self._inspector.model.spelling(self.tokens[index])

    def ends(self, token: int) -> bool:
        """Whether this token ends a reply."""
        return self._inspector.model.is_end(token)

    def take(self, token: int) -> None:
        """Go on with a token.

        Raises:
            ContextOverflow: the window is full; nothing changed.
        """
        if self.is_full:
            raise ContextOverflow(len(self.tokens) + 1, self._sequence.n_ctx_limit)
        self._read([token])

    def back(self) -> bool:
        """Take the last token back; False when there is none. The KV cache is cut, nothing is read again."""
        if not self.n_taken:
            return False
        if self._sequence.truncate(len(self.tokens) - 1) != len(self.tokens) - 1:
            self._restore()  # a recurrent model's state can only be dropped
        del self.tokens[-1], self._seen[-1]
        return True

    def _restore(self) -> None:
        kept = self.tokens[:-1]
        self._inspector.evaluate(self._sequence, kept, lambda *_: None)
        self.n_evaluated += len(kept)

    def _read(self, tokens: Sequence[int]) -> None:
        logits = self._inspector.evaluate(self._sequence, tokens, lambda *_: None)
        self.tokens += tokens
        self.n_evaluated += len(tokens)
        model = self._inspector.model
        self._seen.append(read_distribution(model, logits, self._n_top, self._sampling, self.tokens))
