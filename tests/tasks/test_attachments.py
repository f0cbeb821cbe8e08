from pathlib import Path

import pytest

from aigc_cli.errors import FileError
from aigc_cli.tasks import attachments
from aigc_cli.tasks.attachments import is_pattern, read_attachment, read_pattern


def test_a_path_below_the_directory_is_called_by_its_relative_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("x", encoding="utf-8")
    assert read_attachment(tmp_path / "sub" / "a.py", tmp_path).name == "sub/a.py"


def test_a_name_stays_as_the_person_wrote_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x", encoding="utf-8")
    assert read_attachment("./a.py", tmp_path).name == "./a.py"


def test_the_home_directory_can_be_named(tmp_path: Path, isolated: Path) -> None:
    (isolated / "notes.md").write_text("x", encoding="utf-8")
    assert read_attachment("~/notes.md", tmp_path).text == "x"
    assert len(read_pattern("~/*.md", tmp_path)[0]) == 1


def test_a_script_without_a_suffix_is_known_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/usr/bin/env python3\n", encoding="utf-8")
    assert read_attachment("run", tmp_path).language == "python"


def test_hidden_files_match_only_where_the_pattern_says_the_dot(tmp_path: Path) -> None:
    for name in ("a.py", ".b.py"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert [a.name for a in read_pattern("*.py", tmp_path)[0]] == ["a.py"]
    assert [a.name for a in read_pattern(".*.py", tmp_path)[0]] == [".b.py"]


def test_a_pattern_that_matches_too_much_is_refused(tmp_path: Path) -> None:
    for n in range(attachments.MAX_FILES + 1):
        (tmp_path / f"{n}.txt").touch()
    with pytest.raises(FileError, match="more than 1,000 files"):
        read_pattern("*.txt", tmp_path)


def test_directories_are_no_matches(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(FileError, match="no file matches"):
        read_pattern("*", tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.py", False), ("*.py", True), ("a[1].py", True), ("b[1].py", False)]
)
def test_a_file_that_exists_is_no_pattern(tmp_path: Path, name: str, *, expected: bool) -> None:
    (tmp_path / "b[1].py").touch()
    assert is_pattern(name, tmp_path) == expected
