"""KV prefixes on disk: what was read once is not read again, even by another process.

One file holds the state of one sequence, the token ids it stands for, and the replies among them. llama.cpp
crashes on a wrong state, so nothing reaches it that this store did not write itself: a key that only the user
can read authenticates header and state (keyed BLAKE2b, RFC 7693), and a file that fails is deleted. Files
appear by one rename and are never changed, so processes need no lock between them.
"""

import json
import os
import secrets
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from aigc_cli.engine.kv_key import UNFINISHED, read_key

MAGIC = b"aigc-kv\x01"
_LENGTH = struct.Struct("<I")
MAC_BYTES = 32
MOST_FILES = 256  # the headers of all are read by the first request
SUFFIX = ".kv"
_UNFINISHED_SECONDS = 3600  # older ones were left behind by a process that was killed
# Restoring one token's state takes about 0.1 ms for a 1.5B model and reading it 10 ms, on a GPU 0.5 ms: a
# state of which less than an eighth can be used is not worth its restoring.
LEAST_SHARE = 1 / 8
LEAST_GAIN = 32  # tokens

State = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class StoredReply:
    """The exact tokens that a model drew for a reply.

    Attributes:
        start: where it begins in its sequence, in tokens.
        text_digest: names its text, which is not stored.
    """

    start: int
    text_digest: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredPrefix:
    """The header of a file.

    Attributes:
        tokens: token ids that the state stands for.
        is_beginning: something that many conversations start with: a longer one does not replace it.
        state_mac: authenticates the state, in hexadecimal.
    """

    identity: str
    tokens: tuple[int, ...]
    replies: tuple[StoredReply, ...]
    is_beginning: bool
    state_bytes: int
    state_mac: str
    ids: Any = field(repr=False, compare=False)

    def shares(self, ids: Any) -> int:
        """How many tokens at the start are the same."""
        length = min(len(ids), len(self.ids))
        differing = np.flatnonzero(self.ids[:length] != ids[:length])
        return int(differing[0]) if differing.size else length


@dataclass(frozen=True, slots=True)
class StoreSize:
    """How much a store holds."""

    n_files: int
    n_bytes: int


def store_size(directory: Path) -> StoreSize:
    """What `aigc engine cache` shows; a directory that is not there holds nothing."""
    sizes = [status.st_size for _, status in _files(directory)]
    return StoreSize(len(sizes), sum(sizes))


def clear_store(directory: Path) -> StoreSize:
    """Delete every saved prefix, also those of other models; returns what there was."""
    size = store_size(directory)
    for path in _listed(directory):
        if path.suffix == SUFFIX or path.name.startswith(UNFINISHED):
            _delete(path)
    return size


class KvStore:
    """The saved prefixes of one model under one set of context parameters.

    Whatever goes wrong (a full disk, a directory that can't be written), nothing is stored, and the tokens
    are read again. Any thread may ask for replies; the rest is for one thread.
    """

    def __init__(self, directory: Path, identity: str, limit_bytes: int) -> None:
        """Open or create a store.

        Args:
            directory: where the files live; only the user can enter it.
            identity: everything that a state depends on beside its tokens; other identities are not seen.
            limit_bytes: of all files together; the least recently used ones go first.
        """
        self.directory = directory
        self._identity = identity
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._known: dict[str, StoredPrefix] = {}
        self._replies: dict[str, tuple[int, ...]] = {}
        self._seen_mtime_ns = -1
        self._key = read_key(directory)

    def find(
        self, tokens: Sequence[int], n_held: int, *, longest: int, whole: bool = False
    ) -> StoredPrefix | None:
        """The prefix that saves the most reading, if one saves enough.

        Args:
            tokens: what is to be held.
            n_held: how many of them are held already.
            longest: how many tokens a prefix may have in all.
            whole: only a prefix of which everything can be used.
        """
        ids = _ids(tokens)
        best, most = None, (n_held, 0)
        for prefix in self._prefixes():
            shared, length = prefix.shares(ids), len(prefix.tokens)
            is_usable = length <= longest and (shared == length or not whole)
            if is_usable and shared - n_held >= max(LEAST_GAIN, LEAST_SHARE * length):
                best, most = max((best, most), (prefix, (shared, -length)), key=lambda item: item[1])
        return best

    def n_saved(self, tokens: Sequence[int]) -> int:
        """How many tokens at the start of these are on disk."""
        ids = _ids(tokens)
        return max((prefix.shares(ids) for prefix in self._prefixes()), default=0)

    def holds(self, tokens: Sequence[int]) -> bool:
        """Whether exactly these tokens are on disk."""
        return self._path(tokens).exists()

    def read(self, prefix: StoredPrefix, *, touch: bool = True) -> bytearray | None:
        """The state of a prefix, None when its file is gone or was damaged; `touch` marks it as used."""
        path = self._path(prefix.tokens)
        try:
            with path.open("rb") as file:
                state = self._read_state(file)
        except _Damaged:
            self._drop(path)
            return None
        except (OSError, MemoryError):
            self._forget(path)
            return None
        if touch:
            with suppress(OSError):
                os.utime(path)
        return state

    def drop(self, prefix: StoredPrefix) -> None:
        """Delete a prefix, for instance because llama.cpp refused it."""
        self._drop(self._path(prefix.tokens))

    def save(
        self,
        tokens: Sequence[int],
        replies: Sequence[StoredReply],
        state: State,
        *,
        is_beginning: bool = False,
        replaces: bool = True,
    ) -> None:
        """Write a prefix; with `replaces`, shorter ones that it covers go."""
        if self._key is None or len(state) > self._limit_bytes:
            return
        header = {
            "identity": self._identity,
            "tokens": list(tokens),
            "replies": [asdict(reply) for reply in replies],
            "is_beginning": is_beginning,
            "state_bytes": len(state),
            "state_mac": self._mac(state).hex(),
        }
        path = self._path(tokens)
        with suppress(OSError):
            self._write(path, json.dumps(header).encode(), state)
            self._seen_mtime_ns = -1  # the clock of a file system is coarse
            if replaces:
                self._drop_covered(tokens)
            self._trim(path)

    def reply_tokens(self, text: str) -> tuple[int, ...] | None:
        """The tokens of a reply that was drawn in a saved prefix."""
        self._prefixes()
        return self._replies.get(self.text_digest(text))

    def text_digest(self, text: str) -> str:
        """Names a text without telling it."""
        return blake2b(text.encode("utf-8", "replace"), key=self._key or b"", digest_size=16).hexdigest()

    def _path(self, tokens: Sequence[int]) -> Path:
        digest = blake2b(_ids(tokens).tobytes(), digest_size=16).hexdigest()
        return self.directory / f"{self._name_start}{digest}{SUFFIX}"

    @property
    def _name_start(self) -> str:
        return f"{blake2b(self._identity.encode(), digest_size=8).hexdigest()}-"

    def _mac(self, *parts: State) -> bytes:
        mac = blake2b(key=self._key or b"", digest_size=MAC_BYTES)
        for part in parts:
            mac.update(part)
        return mac.digest()

    def _prefixes(self) -> list[StoredPrefix]:
        """The headers of all files of this identity; only those that are new since the last call are read."""
        if self._key is None:
            return []
        with self._lock:
            with suppress(OSError):
                self._look_again()
            return list(self._known.values())

    def _look_again(self) -> None:
        changed_ns = self.directory.stat().st_mtime_ns
        if changed_ns == self._seen_mtime_ns:
            return
        names = [path.name for path in _listed(self.directory) if path.name.startswith(self._name_start)]
        found = {name: self._known.get(name) or self._load(self.directory / name) for name in names}
        self._known = {name: prefix for name, prefix in found.items() if prefix}
        self._replies = {r.text_digest: r.tokens for p in self._known.values() for r in p.replies}
        self._seen_mtime_ns = changed_ns

    def _load(self, path: Path) -> StoredPrefix | None:
        try:
            with path.open("rb") as file:
                return self._read_header(file)
        except _Damaged:
            _delete(path)
        except (OSError, MemoryError):
            pass  # it is gone, or not for us
        return None

    def _read_header(self, file: BufferedReader) -> StoredPrefix:
        size = os.fstat(file.fileno()).st_size
        start = file.read(len(MAGIC) + _LENGTH.size)
        if len(start) < len(MAGIC) + _LENGTH.size or not start.startswith(MAGIC):
            raise _Damaged
        (length,) = _LENGTH.unpack_from(start, len(MAGIC))
        if len(start) + length + MAC_BYTES > size:
            raise _Damaged
        text, mac = file.read(length), file.read(MAC_BYTES)
        if not secrets.compare_digest(mac, self._mac(start, text)):
            raise _Damaged
        header = json.loads(text)  # written by this program, with this key
        if header["identity"] != self._identity or file.tell() + header["state_bytes"] != size:
            raise _Damaged
        replies = tuple(
            StoredReply(reply["start"], reply["text_digest"], tuple(reply["tokens"]))
            for reply in header["replies"]
        )
        tokens = tuple(header["tokens"])
        if Path(file.name).name != self._path(tokens).name:
            raise _Damaged
        return StoredPrefix(**{**header, "tokens": tokens, "replies": replies, "ids": _ids(tokens)})

    def _read_state(self, file: BufferedReader) -> bytearray:
        header = self._read_header(file)  # another process may have written the file anew
        state = bytearray(header.state_bytes)
        if file.readinto(state) != len(state) or self._mac(state).hex() != header.state_mac:
            raise _Damaged
        return state

    def _write(self, path: Path, header: bytes, state: State) -> None:
        start = MAGIC + _LENGTH.pack(len(header))
        descriptor, temporary = tempfile.mkstemp(prefix=UNFINISHED, dir=self.directory)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines((start, header, self._mac(start, header), state))
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _drop_covered(self, tokens: Sequence[int]) -> None:
        ids = _ids(tokens)
        for prefix in self._prefixes():
            is_shorter = len(prefix.tokens) < len(tokens)
            if is_shorter and not prefix.is_beginning and prefix.shares(ids) == len(prefix.tokens):
                self._drop(self._path(prefix.tokens))

    def _trim(self, newest: Path) -> None:
        """Delete the least recently used files beyond the limit, and what killed processes left behind."""
        now = newest.stat().st_mtime
        for path in _listed(self.directory):
            with suppress(OSError):
                if path.name.startswith(UNFINISHED) and now - path.stat().st_mtime > _UNFINISHED_SECONDS:
                    _delete(path)
        total, n_files = 0, 0
        for path, status in sorted(_files(self.directory), key=lambda item: -item[1].st_mtime_ns):
            total, n_files = total + status.st_size, n_files + 1
            if total > self._limit_bytes or n_files > MOST_FILES:
                self._drop(path)

    def _drop(self, path: Path) -> None:
        self._forget(path)
        _delete(path)

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._known.pop(path.name, None)


class _Damaged(Exception):
    """A file is not what this store wrote."""


def _ids(tokens: Sequence[int]) -> Any:
    return np.array(tokens, dtype="<i4")


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in _listed(directory):
        with suppress(OSError):  # another process may have deleted it
            if path.suffix == SUFFIX:
                yield path, path.stat()


def _delete(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
