"""What goes from the KV cache to the disk and back, and when."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from aigc_cli.engine import library
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
    """What an engine holds; sizes in tokens. `saved` is None when nothing is kept on disk."""

    n_cells: int
    n_ctx: int
    held: tuple[HeldSequence, ...]
    saved: StoreSize | None


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
    """Saves and restores sequences of one context. Of a private one nothing is saved."""

    def __init__(self, store: KvStore) -> None:
        self._store = store
        self._drawn: OrderedDict[StoredReply, None] = OrderedDict()  # of whatever sequence

    @property
    def size(self) -> StoreSize:
        """How much is on disk, that of other models included."""
        return store_size(self._store.directory)

    def reply_tokens(self, text: str) -> tuple[int, ...] | None:
        """The tokens of a reply that was drawn before; any thread may ask."""
        return self._store.reply_tokens(text)

    def restore(self, context: "Context", prompt: Sequence[int], *, private: bool) -> None:
        """Bring what is on disk of a prompt into the cache, if that saves reading."""
        n_held = context.n_shared(prompt)
        needed = prompt[:-1]  # the last token is evaluated in any case
        whole = not context.can_truncate
        while prefix := self._store.find(needed, n_held, longest=context.n_ctx_limit, whole=whole):
            state = self._store.read(prefix, touch=not private)
            if state is None:
                continue
            if context.restore(prefix.tokens, state):
                self._remember(prefix.replies)
                return
            self._store.drop(prefix)

    def note_reply(self, start: int, text: str, tokens: Sequence[int]) -> None:
        """Remember the tokens of a reply, and where in its sequence it starts."""
        self._remember([StoredReply(start, self._store.text_digest(text), tuple(tokens))])

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
        if len(held) - self._store.n_saved(held) < max(LEAST_NEW, LEAST_GROWTH * len(held)):
            return
        self._write(sequence, is_beginning=False)

    def save_beginning(self, context: "Context", sequence: TokenSequence, beginning: Sequence[int]) -> None:
        """Keep what many conversations start with, once."""
        n_tokens = len(beginning)
        if sequence.private or n_tokens < LEAST_BEGINNING or not context.can_truncate:
            return
        if sequence.held[:n_tokens] != list(beginning) or self._store.holds(beginning):
            return
        with context.fork(sequence, n_tokens) as copy:
            self._write(copy, is_beginning=True)
            copy.truncate(0)

    def _write(self, sequence: TokenSequence, *, is_beginning: bool) -> None:
        state = sequence.state()
        if state is None:
            return
        replies = self._replies_in(sequence.held)
        self._store.save(
            sequence.held, replies, state, is_beginning=is_beginning, replaces=sequence.can_truncate
        )
