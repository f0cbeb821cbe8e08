"""What goes from the KV cache to the disk and back, and when."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from aigc_cli.engine import library
from aigc_cli.engine.adapters import NO_ADAPTERS
from aigc_cli.engine.chat_template import REPLIES_REMEMBERED
from aigc_cli.engine.kv_store import KvStore, StoredReply, StoreSize, store_size
from aigc_cli.engine.library import lib
from aigc_cli.engine.sequence import TokenSequence

if TYPE_CHECKING:
    from aigc_cli.engine.context import Context

LONG_PREFILL = 256  # tokens: seconds of reading, which a crash must not cost again
LEAST_NEW = 64  # tokens; fewer are read again before anybody notices
# A conversation is written whole, 30 kB a token: not again for a few words more.
LEAST_GROWTH = 1 / 32
LEAST_BEGINNING = 32  # tokens
_HEAD_BYTES, _TAIL_BYTES = 1 << 20, 1 << 16


@dataclass(frozen=True, slots=True)
class HeldSequence:
    """A conversation in the KV cache; `last_used_s` is by the engine's clock."""

    n_tokens: int
    last_used_s: float
    private: bool


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What an engine holds, and what it has done for that; sizes in tokens.

    Attributes:
        saved: None when nothing is kept on disk.
        adapters: paths of the LoRA adapters in memory.
        draft_model: the small model that guesses, once it is loaded.
        n_evaluated: tokens that llama.cpp has evaluated: prompts, replies and what was guessed ahead.
        n_decodes: batches that it evaluated them in.
    """

    n_cells: int
    n_ctx: int
    held: tuple[HeldSequence, ...]
    saved: StoreSize | None
    adapters: tuple[str, ...] = ()
    draft_model: str | None = None
    n_evaluated: int = 0
    n_decodes: int = 0


def identity(path: Path, sha256: str | None, parameters: Mapping[str, object]) -> str:
    """Names everything that a KV state depends on beside its tokens, in hexadecimal.

    The model is known by its hash, or by size and time of its file, and in any case by the bytes of its
    header and its end: a file that was replaced is another model.
    """
    status = path.stat()
    sample = blake2b(digest_size=16)
    with path.open("rb") as file:
        sample.update(file.read(_HEAD_BYTES))
        file.seek(max(0, status.st_size - _TAIL_BYTES))
        sample.update(file.read())
    defaults = lib.llama_context_default_params()
    facts = {
        "model": [sha256 or status.st_mtime_ns, status.st_size, sample.hexdigest()],
        "library": [library.library_version(), library.build_features()],
        "types": [defaults.type_k, defaults.type_v],
        **parameters,
    }
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=32).hexdigest()


class SavedPrefixes:
    """Saves and restores sequences of one context. Of a private one nothing is saved.

    What the model read with adapters is of no use without them: each set of them has a store of its own.
    """

    def __init__(self, open_store: Callable[[str], KvStore]) -> None:
        """`open_store` opens the store of a set of adapters by its key; all are in one directory."""
        self._open_store = open_store
        self._stores: dict[str, KvStore] = {}
        self._plain = self._store(NO_ADAPTERS.key)
        self._drawn: OrderedDict[StoredReply, None] = OrderedDict()  # of whatever sequence

    @property
    def size(self) -> StoreSize:
        """How much is on disk, that of other models included."""
        return store_size(self._plain.directory)

    def _store(self, adapters: str) -> KvStore:
        if adapters not in self._stores:
            self._stores[adapters] = self._open_store(adapters)
        return self._stores[adapters]

    def reply_tokens(self, text: str) -> tuple[int, ...] | None:
        """The tokens of a reply that was drawn before; any thread may ask."""
        found = (store.reply_tokens(text) for store in list(self._stores.values()))
        return next((tokens for tokens in found if tokens is not None), None)

    def restore(self, context: "Context", prompt: Sequence[int], *, private: bool) -> None:
        """Bring what is on disk of a prompt into the cache, if that saves reading."""
        store = self._store(context.adapters.key)
        n_held = context.n_shared(prompt)
        needed = prompt[:-1]  # the last token is evaluated in any case
        whole = not context.can_truncate
        while prefix := store.find(needed, n_held, longest=context.n_ctx_limit, whole=whole):
            state = store.read(prefix, touch=not private)
            if state is None:
                continue
            if context.restore(prefix.tokens, state):
                self._remember(prefix.replies)
                return
            store.drop(prefix)

    def note_reply(self, start: int, text: str, tokens: Sequence[int]) -> None:
        """Remember the tokens of a reply, and where in its sequence it starts."""
        self._remember([StoredReply(start, self._plain.text_digest(text), tuple(tokens))])

    def _remember(self, replies: Sequence[StoredReply]) -> None:
        for reply in replies:
            self._drawn[reply] = None
            self._drawn.move_to_end(reply)
        while len(self._drawn) > REPLIES_REMEMBERED:
            self._drawn.popitem(last=False)

    def _replies_in(self, held: Sequence[int]) -> list[StoredReply]:
        """The replies that these tokens spell; of the last one, the last token may not be evaluated."""
        return [
            reply
            for reply in self._drawn
            if len(held) >= reply.start + len(reply.tokens) - 1
            and tuple(held[reply.start : reply.start + len(reply.tokens)])
            == reply.tokens[: len(held) - reply.start]
        ]

    def save(self, sequence: TokenSequence) -> None:
        """Keep a conversation, unless nearly all of it is on disk already."""
        held = sequence.held
        if sequence.private or sequence.is_branch or len(held) < LEAST_NEW:
            return
        if len(held) - self._store(sequence.adapters).n_saved(held) < max(
            LEAST_NEW, LEAST_GROWTH * len(held)
        ):
            return
        self._write(sequence, is_beginning=False)

    def save_beginning(self, context: "Context", sequence: TokenSequence, beginning: Sequence[int]) -> None:
        """Keep what many conversations start with, once."""
        n_tokens = len(beginning)
        if sequence.private or n_tokens < LEAST_BEGINNING or not context.can_truncate:
            return
        if sequence.held[:n_tokens] != list(beginning) or self._store(sequence.adapters).holds(beginning):
            return
        with context.fork(sequence, n_tokens) as copy:
            self._write(copy, is_beginning=True)
            copy.truncate(0)

    def _write(self, sequence: TokenSequence, *, is_beginning: bool) -> None:
        state = sequence.state()
        if state is None:
            return
        replies = self._replies_in(sequence.held)
        self._store(sequence.adapters).save(
            sequence.held, replies, state, is_beginning=is_beginning, replaces=sequence.can_truncate
        )
