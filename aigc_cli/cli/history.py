"""What was typed in earlier chats: a private file, bounded, that never keeps a chat from starting."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from prompt_toolkit.history import FileHistory

N_KEPT = 10_000
N_SLACK = 1_000  # rewriting the file at each start would be waste; and two chats could meet in it


class PrivateHistory(FileHistory):
    """Entries appended to a file that only the person can read; the oldest go when there are too many."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(path)

    def load_history_strings(self) -> Iterable[str]:
        """Newest first. A file that can't be read counts as empty."""
        try:
            entries = list(super().load_history_strings())
        except OSError:
            return []
        if len(entries) > N_KEPT + N_SLACK:
            self._rewrite(entries[:N_KEPT])
        return entries[:N_KEPT]

    def store_string(self, string: str) -> None:
        """Append one entry. On a full or read-only disk it is kept in memory only."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(self.path, _record(string), os.O_APPEND)
        except OSError:
            return

    def _rewrite(self, entries: list[str]) -> None:
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            _write(draft, b"".join(_record(entry) for entry in reversed(entries)), os.O_TRUNC)
            draft.replace(self.path)
        except OSError:
            draft.unlink(missing_ok=True)


def _record(entry: str) -> bytes:
    lines = "".join(f"+{line}\n" for line in entry.split("\n"))
    return f"\n# {datetime.now(UTC).isoformat()}\n{lines}".encode("utf-8", "replace")


def _write(path: Path, content: bytes, flags: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), "wb") as file:
        path.chmod(0o600)  # it may stem from a copy that lets others read
        file.write(content)
