"""An unfinished download: bytes on disk that the next pull goes on from, hashed while they arrive."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from aigc_cli.atomic import write_atomically
from aigc_cli.models.store import HASH_CHUNK


class Partial:
    """The first bytes of a file, kept in a directory of its own between pulls.

    Attributes:
        identity: names the content that the bytes belong to; they are dropped when it is another one.
        size: bytes held so far.
        parts: whole parts among them, for a file that comes in parts.
    """

    def __init__(self, directory: Path, kind: str, identity: str, *, in_parts: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / kind
        self._state_path = directory / f"{kind}.json"
        self.identity, self.size, self.parts = identity, 0, 0
        self._digest = hashlib.sha256()
        state = _read_state(self._state_path)
        if identity and state.get("identity") == identity:
            self._resume(state, in_parts=in_parts)
        else:
            self.restart(identity)

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        with self.path.open("ab", buffering=0) as file:
            file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def end_part(self) -> None:
        """Note that the bytes so far end a part: a resumed pull goes on behind it."""
        self.parts += 1
        self._save()

    def restart(self, identity: str) -> None:
        """Drop what is held; what comes belongs to this content. An empty identity can't be resumed."""
        self.identity, self.parts = identity, 0
        self._cut(0)
        self._save()

    def discard(self) -> None:
        """Delete the bytes: they turned out to be wrong."""
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """Of the bytes held so far."""
        return self._digest.hexdigest()

    def _resume(self, state: dict[str, Any], *, in_parts: bool) -> None:
        if not in_parts:
            self._cut(None)
            return
        # Bytes behind the last whole part are the start of one that comes again from its beginning.
        parts, part_end = state.get("parts"), state.get("part_end")
        if not isinstance(parts, int) or not isinstance(part_end, int):
            parts, part_end = 0, 0
        self.parts = parts
        self._cut(part_end)

    def _cut(self, size: int | None) -> None:
        """Keep the first `size` bytes (None: all) and hash them again."""
        self.size, self._digest = 0, hashlib.sha256()
        with self.path.open("ab") as file:
            if size is not None:
                file.truncate(size)
        with self.path.open("rb") as file:
            while chunk := file.read(HASH_CHUNK):
                self._digest.update(chunk)
                self.size += len(chunk)

    def _save(self) -> None:
        state = {"identity": self.identity, "parts": self.parts, "part_end": self.size}
        write_atomically(self._state_path, json.dumps(state).encode("ascii"))


def held_identity(directory: Path, kind: str) -> str:
    """What the unfinished bytes in this directory belong to; empty when there are none."""
    identity = _read_state(directory / f"{kind}.json").get("identity")
    return identity if isinstance(identity, str) else ""


def _read_state(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        state = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(state, dict):
            return state
    return {}
