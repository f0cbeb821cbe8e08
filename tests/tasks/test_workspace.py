import os
import stat
import threading
from pathlib import Path

import pytest

from aigc_cli.errors import FileError
from aigc_cli.tasks.workspace import BinaryFile, decode_text, read_text, refuse_bad_target, write_atomic


def test_a_new_file_gets_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", "x\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o700)
    write_atomic(path, "new")
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o700)


def test_a_reader_sees_the_old_content_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "a"
    old, new = "o" * 100_000, "n" * 100_000
    path.write_text(old, encoding="utf-8")
    seen = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text(encoding="utf-8"))

    reader = threading.Thread(target=read)
    reader.start()
    for text in [new, old] * 20:
        write_atomic(path, text)
    done.set()
    reader.join()
    assert seen <= {old, new}


def test_line_endings_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "1\r\n2\n")
    assert (tmp_path / "a").read_bytes() == b"1\r\n2\n"


def test_a_link_inside_the_directory_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text(encoding="utf-8") == "new"


def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "secret").write_text("old", encoding="utf-8")
    (tmp_path / "project" / "link").symlink_to("../secret")
    with pytest.raises(FileError, match="leads out of its directory"):
        write_atomic(tmp_path / "project" / "link", "new")
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "old"


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileError):
        refuse_bad_target(tmp_path / "a", "a", overwrite=True)
    with pytest.raises(FileError):
        write_atomic(tmp_path / "a", "x")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="Is a directory"):
        write_atomic(tmp_path / "folder", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_missing_directory_is_told_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no directory") as raised:
        refuse_bad_target(tmp_path / "new" / "a", "new/a", overwrite=False)
    assert raised.value.hint.startswith("mkdir -p ")


def test_line_endings_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\r\n2\n3\r")
    assert read_text(tmp_path / "a") == "1\r\n2\n3\r"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        ("数据".encode(), "数据"),
        ("数据".encode("utf-8-sig"), "数据"),
        ("数据".encode("utf-16"), "数据"),
        (b"\xfe\xff" + "数据".encode("utf-16-be"), "数据"),
        ("数据".encode("utf-32"), "数据"),
        (b"\xef\xbb\xbf", ""),
    ],
)
def test_text_is_decoded_by_its_byte_order_mark(data: bytes, text: str) -> None:
    assert decode_text(data, "x") == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a\0b", "is binary"),
        (b"\x7fELF\0\xff", "is binary"),
        ("中文".encode("gb18030"), "is not UTF-8 text: byte 0"),
        (b"abc\xff", "byte 3"),
        (b"\xff\xfea", "UTF-16"),
        (b"\xff\xfe\0\xd8", "UTF-16"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BinaryFile, match=reason):
        decode_text(data, "x")
