"""The file of what was typed: private, bounded, never in the way."""

import os
import stat
from pathlib import Path

from aigc_cli.cli.history import N_KEPT, N_SLACK, PrivateHistory


def entries(path: Path) -> list[str]:
    return list(PrivateHistory(path).load_history_strings())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_entries_come_back_newest_first_with_their_lines(tmp_path: Path) -> None:
    history = PrivateHistory(tmp_path / "state" / "history")
    for entry in ("first", "two\nlines", "中文 🎉"):
        history.store_string(entry)
    assert entries(tmp_path / "state" / "history") == ["中文 🎉", "two\nlines", "first"]


def test_file_is_private_even_if_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "history"
    umask = os.umask(0)
    try:
        PrivateHistory(path).store_string("one")
        assert mode(path) == 0o600
        path.chmod(0o644)
        PrivateHistory(path).store_string("two")
    finally:
        os.umask(umask)
    assert mode(path) == 0o600
    assert entries(path) == ["two", "one"]


def test_oldest_entries_go_when_there_are_too_many(tmp_path: Path) -> None:
    path = tmp_path / "history"
    lines = "".join(f"\n# then\n+entry {i}\n" for i in range(N_KEPT + N_SLACK + 5))
    path.write_text(lines, encoding="utf-8")
    newest = f"entry {N_KEPT + N_SLACK + 4}"
    kept = entries(path)
    assert (len(kept), kept[0]) == (N_KEPT, newest)
    assert path.read_text(encoding="utf-8").count("+entry") == N_KEPT
    assert entries(path) == kept
    assert mode(path) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["history"]


def test_place_that_can_not_be_written_or_read_costs_only_the_history(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    history = PrivateHistory(blocked / "history")
    history.store_string("lost")
    assert list(history.load_history_strings()) == []


def test_bytes_that_are_no_text_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"\n# then\n+caf\xe9\n")
    PrivateHistory(path).store_string("lone \udce9 surrogate")
    assert len(entries(path)) == 2
