"""What every source of model files shares: what it is asked for, how it reports, how it fails."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Phase = Literal["wait", "connect", "download", "verify"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a pull is doing.

    Attributes:
        phase: "wait" is for another process that pulls the same file.
        source: where the bytes come from, in words.
        total_bytes: None while it is not known.
    """

    phase: Phase
    source: str
    done_bytes: int = 0
    total_bytes: int | None = None


OnProgress = Callable[[Progress], None]


class SourceError(Exception):
    """One source did not give the file; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """One download from one source.

    Attributes:
        directory: for this file's unfinished bytes.
        label: the source, in words.
        size_bytes, sha256: of the file, as far as they are known before.
        require_space: called with the bytes still to come; raises PullError when the disk can't hold them.
    """

    directory: Path
    label: str
    size_bytes: int | None
    sha256: str | None
    on_progress: OnProgress
    require_space: Callable[[int], None]

    def report(self, phase: Phase, done_bytes: int = 0, total_bytes: int | None = None) -> None:
        """Tell how far this download is."""
        self.on_progress(Progress(phase, self.label, done_bytes, total_bytes))
