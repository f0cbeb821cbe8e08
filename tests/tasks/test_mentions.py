"""Which files the @ words of a question name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.tasks.mentions import complete_path, find_mentions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("app.py", "src/main.c", "my file.txt", "app"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("explain @app.py", ["app.py"]),
        ("@app.py: why?", ["app.py"]),
        ("is @app.py, or @src/main.c, wrong?", ["app.py", "src/main.c"]),
        ("see (@app.py).", ["app.py"]),
        ("@app.py and @app.py", ["app.py"]),
        ('read @"my file.txt" please', ["my file.txt"]),
        ("解释@app.py的作用", ["app.py"]),
        ("解释 @app.py。谢谢", ["app.py"]),
        ("mail me@app.py", []),
        ("@src is a directory", []),
    ],
)
def test_existing_files_are_found(folder: Path, text: str, names: list[str]) -> None:
    assert list(find_mentions(text, folder).names) == names


def test_longest_name_that_exists_wins(folder: Path) -> None:
    assert find_mentions("@app.py.", folder).names == ("app.py",)
    assert find_mentions("@app.", folder).names == ("app",)


def test_word_with_no_such_file_is_told(folder: Path) -> None:
    assert find_mentions("use @property, and @nothing.txt!", folder).unknown == ("@property", "@nothing.txt")


@given(st.text())
def test_any_text_is_read_without_a_complaint(text: str) -> None:
    assert find_mentions(f"@{text}", Path("/nonexistent")).names == ()


@given(st.text(max_size=30))
def test_any_prefix_is_completed_by_names_that_begin_so(prefix: str) -> None:
    assert all(name.startswith(prefix) for name in complete_path(prefix, Path(__file__).parent))
