"""The key of saved prefixes: one for all processes, on file systems without hard links too."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aigc_cli.engine.kv_key import KEY_BYTES, read_key
from aigc_cli.engine.kv_store import KvStore


def no_hard_links(_source: str, _target: Path) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_without_hard_links_there_is_a_key_too(tmp_path: Path) -> None:
    directory = tmp_path / "kv"
    key = read_key(directory, no_hard_links)
    assert key is not None
    assert len(key) == KEY_BYTES
    assert key == read_key(directory, no_hard_links) == read_key(directory)
    assert {path.name for path in directory.iterdir()} <= {"key", "key.lock"}
    assert (directory / "key").stat().st_mode & 0o777 == 0o600
    KvStore(directory, "model", 10**9).save(range(100), [], b"state")
    assert KvStore(directory, "model", 10**9).n_saved(range(100)) == 100


@pytest.mark.parametrize("link", [os.link, no_hard_links])
def test_processes_that_come_at_once_use_one_key(tmp_path: Path, link: Callable[[str, Path], None]) -> None:
    for attempt in range(30):  # the moment between looking and making is short
        directory = tmp_path / str(attempt) / "kv"
        found = keys_of_eight(lambda directory=directory: read_key(directory, link))  # type: ignore[misc]
        assert set(found) == {read_key(directory)}


def keys_of_eight(read: Callable[[], bytes | None]) -> list[bytes | None]:
    barrier, found = threading.Barrier(8), []

    def come() -> None:
        barrier.wait()
        found.append(read())

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
