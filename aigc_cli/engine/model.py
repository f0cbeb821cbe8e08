"""A model in memory: its vocabulary, its chat template, its weights."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigc_cli.engine import library
from aigc_cli.engine.library import lib
from aigc_cli.errors import EngineError, Interrupted, ModelLoadError

if TYPE_CHECKING:
    from aigc_cli.engine.infill import FillTokens

PIECE_BYTES = 256  # most pieces are short; the library says how much a longer one needs


class Model:
    """Owns a `llama_model`. Reading the vocabulary is safe from any thread."""

    def __init__(
        self,
        path: Path,
        *,
        n_gpu_layers: int = 0,
        repack_weights: bool = False,
        vocab_only: bool = False,
        cancelled: Callable[[], bool],
    ) -> None:
        """Load the weights; `cancelled` is asked now and then, True gives the load up.

        With `vocab_only`, load what tokenizing needs and no weights.

        Raises:
            ModelLoadError: llama.cpp refused the file; its last words are in the message.
            Interrupted: `cancelled` said so.
        """
        library.initialize()
        library.clear_log()
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = n_gpu_layers
        parameters.use_extra_bufts = repack_weights
        parameters.vocab_only = vocab_only
        # The structure keeps no reference to the callback: this name must live until the load is over.
        progress = lib.llama_progress_callback(lambda _progress, _user: not cancelled())
        parameters.progress_callback = progress
        self._model = lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            if cancelled():
                raise Interrupted
            raise ModelLoadError(
                f"{path.name} can't be loaded: {library.last_log_lines() or 'llama.cpp gave no reason'}",
                "aigc models verify checks the file; aigc doctor shows the memory",
            )
        self.vocab: Any = lib.llama_model_get_vocab(self._model)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self.vocab)
        self._pieces: dict[int, bytes] = {}

    @property
    def handle(self) -> Any:
        """The `llama_model` pointer, for the context and the samplers.

        Raises:
            EngineError: the model was closed.
        """
        if not self._model:
            raise EngineError("the engine is closed")
        return self._model

    @cached_property
    def chat_template(self) -> str | None:
        """The Jinja template of the file, if it has one."""
        template = lib.llama_model_chat_template(self.handle, None)
        return template.decode("utf-8", "replace") if template else None

    @cached_property
    def architecture(self) -> str:
        """What the file calls its kind of network, such as "qwen2"."""
        text = ctypes.create_string_buffer(PIECE_BYTES)
        lib.llama_model_meta_val_str(self.handle, b"general.architecture", text, len(text))
        return text.value.decode("utf-8", "replace")

    @cached_property
    def is_recurrent(self) -> bool:
        """Whether its state can't be cut at a token, as with Mamba and hybrids of it."""
        return bool(lib.llama_model_is_recurrent(self.handle) or lib.llama_model_is_hybrid(self.handle))

    @cached_property
    def n_sliding_window(self) -> int:
        """How many tokens back its windowed layers look; 0 without such layers."""
        return int(lib.llama_model_n_swa(self.handle))

    @property
    def adds_bos(self) -> bool:
        """Whether raw text starts with the begin-of-sequence token."""
        return bool(lib.llama_vocab_get_add_bos(self.vocab))

    @cached_property
    def bos_tokens(self) -> list[int]:
        """What raw text starts with: the begin-of-sequence token, or nothing."""
        return [lib.llama_vocab_bos(self.vocab)] if self.adds_bos else []

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Token ids of a text. `special` reads `<|im_start|>` and the like as control tokens, not as text."""
        utf8 = text.encode("utf-8", "replace")
        capacity = len(utf8) + 2  # a token covers at least one byte; two more for BOS and EOS
        while True:
            tokens = (lib.llama_token * capacity)()
            count = lib.llama_tokenize(self.vocab, utf8, len(utf8), tokens, capacity, add_bos, special)
            if count >= 0:
                return list(tokens[:count])
            capacity = -count

    def is_token(self, text: str) -> bool:
        """Whether a text is exactly one token, control tokens included."""
        return len(self.tokenize(text, special=True)) == 1

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens stand for none."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token, special=False)
        return known

    def text_of(self, token: int) -> str:
        """The text of any token, control tokens included, e.g. '<|im_end|>'."""
        return self.spelling(token).decode("utf-8", "replace") if token >= 0 else ""

    def spelling(self, token: int) -> bytes:
        """The bytes of any token, control tokens included."""
        return self._read_piece(token, special=True)

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        size = PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = lib.llama_token_to_piece(self.vocab, token, buffer, size, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply."""
        return bool(lib.llama_vocab_is_eog(self.vocab, token)) or token in self._gap_marks

    @cached_property
    def fill_tokens(self) -> "FillTokens | None":
        """The control tokens for filling in the middle; None for a model without."""
        from aigc_cli.engine.infill import FillTokens  # imports numpy: not before the file is being read

        vocab = self.vocab
        marks = FillTokens(
            prefix=lib.llama_vocab_fim_pre(vocab),
            suffix=lib.llama_vocab_fim_suf(vocab),
            middle=lib.llama_vocab_fim_mid(vocab),
            repository=lib.llama_vocab_fim_rep(vocab),
            file=lib.llama_vocab_fim_sep(vocab),
        )
        return marks if min(marks.prefix, marks.suffix, marks.middle) >= 0 else None

    @cached_property
    def _gap_marks(self) -> frozenset[int]:
        # llama.cpp counts the other FIM tokens as ends itself; after one of these comes another file.
        marks = self.fill_tokens
        return frozenset() if marks is None else frozenset((marks.prefix, marks.suffix, marks.middle))

    def has_control(self, tokens: Sequence[int]) -> bool:
        """Whether a control token, such as the end of a turn, is among these."""
        return any(lib.llama_vocab_is_control(self.vocab, token) for token in tokens)

    @cached_property
    def bos_text(self) -> str:
        """Text of the begin-of-sequence token, for the chat template."""
        return self.text_of(lib.llama_vocab_bos(self.vocab))

    @cached_property
    def eos_text(self) -> str:
        """Text of the end-of-sequence token, for the chat template."""
        return self.text_of(lib.llama_vocab_eos(self.vocab))

    def close(self) -> None:
        """Free the weights. Closing twice is harmless."""
        if self._model:
            lib.llama_model_free(self._model)
            self._model = None
