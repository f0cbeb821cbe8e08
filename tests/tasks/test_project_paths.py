import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.errors import FileError
from aigc_cli.tasks.project_paths import cleaned_path, made_place, path_key, path_problem, place_for


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("./src\\app.py", "src/app.py"),
        (" app.py ", "app.py"),
        ("src//app.py", "src/app.py"),
        ("././a", "a"),
        ("../a", "../a"),
        ("/a", "/a"),
    ],
)
def test_odd_paths_are_written_plainly(written: str, plain: str) -> None:
    assert cleaned_path(written) == plain


@pytest.mark.parametrize(
    "path", ["app.py", "src/deep/er/app.py", "源码/主程序.py", ".gitignore", "web/.env.example", "Dockerfile"]
)
def test_ordinary_paths_are_fine(path: str) -> None:
    assert path_problem(path) == ""


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            ".",
            "..",
            "../a.py",
            "a/../../b.py",
            "a/./b",
            "/etc/passwd",
            "~/a.py",
            "~root/a",
            "C:\\a.py",
            "c:a.py",
        ),
        *("//host/share/a", "a/", "a//b", "\\\\host\\a"),
        *("CON", "nul.txt", "src/Aux.py", "com1", "COM¹.js", "lpt9.c", "nul .txt", "conin$", "prn.tar.gz"),
        *(
            ".git/config",
            ".bashrc",
            ".github/workflows/x.yml",
            "a/.ssh/id",
            ".aigc/plan.json",
            ".aigc.toml",
            ".envrc",
        ),
        *(
            "a\nb.py",
            "a\x1b[2Jb",
            "a\u202egnp.py",
            "a\u200b.py",
            "\ufeffa",
            "a\x00b",
            "\ud800.py",
            "a\u2028b",
        ),
        *(
            "a:b",
            "a.py::$DATA",
            "a?b",
            "a*b",
            'a"b',
            "a|b",
            "<a>",
            "-rf",
            "src/--help",
            "a.",
            "a /b",
            "a. /b",
            " a",
        ),
        *("a" * 200, "/".join("abcdefg"), "logo.png", "data.sqlite3", "app.exe"),
    ],
)
def test_what_leads_out_hides_or_can_not_be_is_refused(path: str) -> None:
    assert path_problem(path)


@given(st.text(alphabet="ab./\\~:CON \u202e中-", max_size=24))
def test_what_is_let_through_stays_inside(text: str) -> None:
    path = cleaned_path(text)
    if not path_problem(path):
        assert os.path.normpath(path) == path
        assert os.path.normpath(f"/project/{path}").startswith("/project/")


@pytest.mark.parametrize(
    ("one", "other"), [("A.py", "a.PY"), ("Straße", "STRASSE"), ("é", "e\u0301"), ("ﬁ", "fi")]
)
def test_names_that_are_one_file_somewhere(one: str, other: str) -> None:
    assert path_key(one) == path_key(other)


def test_directories_are_made(tmp_path: Path) -> None:
    assert place_for(tmp_path, "a/b/c.py") == tmp_path / "a/b/c.py"
    assert list(tmp_path.iterdir()) == []
    assert made_place(tmp_path, "a/b/c.py") == tmp_path / "a/b/c.py"
    assert (tmp_path / "a/b").is_dir()


def test_no_link_and_no_file_is_written_behind(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "inner").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "inner")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "to.py").symlink_to(outside / "to.py")
    for path in ("link/a.py", "near/a.py", "file/a.py", "to.py", "../a.py"):
        with pytest.raises(FileError):
            made_place(tmp_path, path)
    assert list(outside.iterdir()) == []
