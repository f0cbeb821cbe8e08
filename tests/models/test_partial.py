"""Unfinished bytes: kept for the content that they belong to, hashed, cut at the last whole part."""

import hashlib
from pathlib import Path

import pytest

from aigc_cli.models.partial import Partial, held_identity


def test_bytes_are_kept_and_hashed_over_restarts(tmp_path: Path) -> None:
    Partial(tmp_path, "web", "a").write(b"one ")
    again = Partial(tmp_path, "web", "a")
    again.write(b"two")
    assert (again.size, again.path.read_bytes()) == (7, b"one two")
    assert again.sha256 == hashlib.sha256(b"one two").hexdigest()


@pytest.mark.parametrize("identity", ["b", ""])
def test_bytes_of_another_content_are_dropped(tmp_path: Path, identity: str) -> None:
    Partial(tmp_path, "web", "a").write(b"one")
    assert Partial(tmp_path, "web", identity).size == 0
    assert held_identity(tmp_path, "web") == identity


def test_content_without_an_identity_is_never_resumed(tmp_path: Path) -> None:
    Partial(tmp_path, "web", "").write(b"one")
    assert Partial(tmp_path, "web", "").size == 0


@pytest.mark.parametrize("n_whole", [0, 1, 2])
def test_a_part_that_was_not_ended_comes_again_from_its_beginning(tmp_path: Path, n_whole: int) -> None:
    first = Partial(tmp_path, "packages", "a", in_parts=True)
    for _ in range(n_whole):
        first.write(b"whole")
        first.end_part()
    first.write(b"half")
    again = Partial(tmp_path, "packages", "a", in_parts=True)
    assert (again.parts, again.path.read_bytes()) == (n_whole, b"whole" * n_whole)
    assert again.sha256 == hashlib.sha256(b"whole" * n_whole).hexdigest()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"identity": 5}'])
def test_a_damaged_note_means_starting_anew(tmp_path: Path, damage: bytes) -> None:
    Partial(tmp_path, "web", "a").write(b"one")
    (tmp_path / "web.json").write_bytes(damage)
    assert held_identity(tmp_path, "web") == ""
    assert Partial(tmp_path, "web", "a").size == 0


def test_wrong_bytes_are_deleted(tmp_path: Path) -> None:
    partial = Partial(tmp_path, "web", "a")
    partial.write(b"one")
    partial.discard()
    assert not list(tmp_path.iterdir())
