"""A file is written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from aigc_cli.atomic import write_atomically


def test_content_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"new")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    write_atomically(path, b"newer")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"newer", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_meanwhile_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new, and longer")
        assert reader.read() == b"old"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "folder", b"x")
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
