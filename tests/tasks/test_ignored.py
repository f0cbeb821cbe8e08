"""Completion of paths leaves out what git ignores, as git itself says."""

import subprocess
from pathlib import Path

import pytest

from aigc_cli.tasks.ignored import ignored_in
from aigc_cli.tasks.mentions import complete_path

PATTERNS = [
    "*.log",
    "!keep.log",
    "build/",
    "/top.txt",
    "docs/**/out",
    "# comment",
    "",
    "!",
    "a\\ b",
    "[",
    "日志",
]
PATHS = [
    "x.log", "keep.log", "build/", "build.py", "top.txt", "sub/top.txt", "sub/x.log", "sub/keep.log",
    "sub/build/", "docs/a/out", "docs/out", "a b", "日志", "sub/inner.txt", "sub/deep/inner.txt",
    "sub/deep/y.log",
]  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for path in PATHS:
        place = tmp_path / path
        if path.endswith("/"):
            place.mkdir(parents=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    (tmp_path / ".gitignore").write_text("\n".join(PATTERNS), encoding="utf-8")
    (tmp_path / "sub" / ".gitignore").write_text("inner.txt\n!x.log\nkeep.log\n", encoding="utf-8")
    (tmp_path / "sub" / "deep" / ".gitignore").write_text("!inner.txt\n", encoding="utf-8")
    (tmp_path / ".git" / "info" / "exclude").write_text("excluded\n", encoding="utf-8")
    (tmp_path / "excluded").touch()
    return tmp_path


@pytest.mark.parametrize("path", [*PATHS, "excluded"])
def test_verdict_is_gits_own(repository: Path, path: str) -> None:
    checked = subprocess.run(["git", "check-ignore", "-q", path], cwd=repository, check=False)
    folder, _, name = path.rstrip("/").rpartition("/")
    name += "/" if path.endswith("/") else ""
    assert ignored_in(repository / folder)(name) is (checked.returncode == 0)


def test_ignored_paths_are_offered_only_when_nothing_else_begins_so(repository: Path) -> None:
    names = complete_path("", repository)
    assert "build.py" in names
    assert {"build/", "x.log", "top.txt"}.isdisjoint(names)
    assert complete_path("bu", repository) == ["build.py"]
    assert complete_path("build/", repository) == []
    assert complete_path("x.", repository) == ["x.log"]
    assert complete_path("sub/", repository) == ["sub/deep/", "sub/top.txt", "sub/x.log"]


def test_edited_patterns_count_at_once(repository: Path) -> None:
    assert "top.txt" not in complete_path("", repository)
    (repository / ".gitignore").unlink()
    assert "top.txt" in complete_path("", repository)


def test_without_a_repository_the_directory_has_patterns_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xff\n*.o\n")
    (tmp_path / "a.o").touch()
    (tmp_path / "a.c").touch()
    assert complete_path("a", tmp_path) == ["a.c"]
