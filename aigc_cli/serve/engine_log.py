"""What a resident engine writes while nobody looks: bounded, and read when it died."""

import os
import re
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 256 << 10  # of the file in use; the one before it is kept too
TAIL_BYTES = 16 << 10
STARTED = "engine starts: "  # begins the lines of one process
_TELLING = re.compile(
    r"GGML_ASSERT|ggml_abort|Fatal Python error|\w*(?:Error|Exception)\b.*:|out of memory|killed"
)


def previous_log(path: Path) -> Path:
    """Where the lines before the last rotation are."""
    return path.with_name(f"{path.name}.1")


def rotate_if_long(path: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Set a log aside that has grown long; True if it was, False too where that can't be done."""
    try:
        if path.stat().st_size <= most_bytes:
            return False
        path.replace(previous_log(path))
    except OSError:
        return False
    return True


def open_log(path: Path) -> int:
    """A descriptor that appends to the log; only its owner can read it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def redirect_output(path: Path) -> None:
    """Let everything that this process writes, llama.cpp's last words included, go to the log."""
    log = open_log(path)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)


def newest_log(directory: Path) -> Path | None:
    """The log that was written to last; None where there is none."""
    written: dict[Path, int] = {}
    for path in directory.glob("*.log"):
        with suppress(FileNotFoundError):  # it has just been set aside
            written[path] = path.stat().st_mtime_ns
    return max(written, key=written.__getitem__, default=None)


def tail(path: Path, n_bytes: int = TAIL_BYTES) -> str:
    """The end of a log, whole lines; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - n_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return text if size <= n_bytes else text.partition("\n")[2]


def cause_of_death(path: Path) -> str:
    """One line from the last process that wrote to the log: why it died. Empty when it does not say."""
    lines = tail(path).rpartition(STARTED)[2].splitlines()[1:]
    return next((line.strip() for line in lines if _TELLING.search(line)), "")
