"""Standard input as text for the model."""

import io
import os
import threading
from queue import Empty, SimpleQueue
from typing import TextIO

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.report import note
from aigc_cli.errors import FileError
from aigc_cli.tasks.workspace import MAX_INPUT_BYTES, InputTooLarge, decode_text

NAME = "stdin"
PATIENCE_S = 1.0  # then a person learns why nothing happens
_CHUNK_BYTES = 2**16


def read_stdin(app: AppContext) -> str:
    """All of standard input; empty when it is closed or has nothing.

    After a second without a byte, a note on stderr says what is waited for.

    Raises:
        FileError: it can't be read, is no text, or is too large (InputTooLarge).
    """
    chunks: SimpleQueue[bytes | Exception] = SimpleQueue()
    # A thread, since select() knows no pipes on Windows; a daemon, since nobody may ever write or close.
    threading.Thread(target=_pump, args=(app.stdin, chunks), name="stdin", daemon=True).start()
    try:
        chunk = chunks.get(timeout=PATIENCE_S)
    except Empty:
        end = "Ctrl-D ends it" if app.stdin.isatty() else "--no-stdin leaves it unread"
        note(app, f"waiting for standard input; {end}")
        chunk = chunks.get()
    data = bytearray()
    while chunk:
        if isinstance(chunk, Exception):
            reason = chunk.strerror if isinstance(chunk, OSError) else chunk
            raise FileError(f"{NAME} can't be read: {reason}") from chunk
        data += chunk
        if len(data) > MAX_INPUT_BYTES:
            raise InputTooLarge(NAME, len(data))
        chunk = chunks.get()
    return decode_text(bytes(data), NAME)


def _pump(stdin: TextIO, chunks: "SimpleQueue[bytes | Exception]") -> None:
    n_read = 0
    try:
        while n_read <= MAX_INPUT_BYTES and (chunk := _read_chunk(stdin)):
            n_read += len(chunk)
            chunks.put(chunk)
    except (OSError, ValueError) as error:
        chunks.put(error)
    chunks.put(b"")


def _read_chunk(stdin: TextIO) -> bytes:
    try:
        # not the buffer: a thread blocked in it holds its lock, which can kill the interpreter at exit
        return os.read(stdin.fileno(), _CHUNK_BYTES)
    except io.UnsupportedOperation:  # an in-memory stream
        return stdin.buffer.read(_CHUNK_BYTES)
