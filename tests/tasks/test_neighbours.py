from pathlib import Path

import pytest

from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.neighbours import MOST_CHARACTERS, MOST_FILES, neighbours


def near(name: str, text: str, root: Path | None = None) -> list[str]:
    root = (root or Path()).resolve()
    return [file.name for file in neighbours(Path(name).resolve(), text, language_of(name), root)]


def put(*names: str, text: str = "x = 1\n") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def test_what_is_imported_stands_next_to_the_gap_then_the_namesake_then_the_directory() -> None:
    put("app.py", "zoo.py", "test_app.py", "other.py", "pkg/deep.py")
    assert near("app.py", "import zoo\nfrom pkg import deep\n") == [
        "other.py",
        "test_app.py",
        "pkg/deep.py",
        "zoo.py",
    ]


@pytest.mark.parametrize(
    ("name", "line", "found"),
    [
        ("src/a.py", "from lib.b import c", "lib/b.py"),
        ("src/a.py", "from lib import b, c", "lib/b.py"),
        ("src/a.py", "from .b import c", "src/b.py"),
        ("src/a.py", "import lib.b as x", "lib/b.py"),
        ("src/a.py", "from pack import c", "pack/__init__.py"),
        ("src/a.js", "import {b} from './b.js';", "src/b.js"),
        ("src/a.js", "const b = require('../lib/b')", "lib/b.js"),
        ("src/a.ts", "export { b } from './b';", "src/b.ts"),
        ("src/a.c", '#include "../lib/b.h"', "lib/b.h"),
        ("src/a.rs", "use crate::lib::b;", "lib/b.rs"),
        ("src/a.rb", "require_relative '../lib/b'", "lib/b.rb"),
    ],
)
def test_imports_lead_to_files(name: str, line: str, found: str) -> None:
    put(name, found)
    assert near(name, f"{line}\n")[-1:] == [found]


def test_only_related_languages_of_the_directory_are_looked_at() -> None:
    put("page.html", "page.js", "style.css", "notes.txt", "server.py", "picture.png")
    assert near("page.html", "") == ["style.css", "page.js"]


def test_what_git_ignores_and_what_is_hidden_is_left_out() -> None:
    put("a.py", "secret.py", ".hidden.py", "b.py")
    put(".gitignore", text="secret.py\n")
    assert near("a.py", "import secret\n") == ["b.py"]


def test_nothing_above_the_root_is_read(tmp_path: Path) -> None:
    put("secret.py", "project/a.py")
    put("project/b.js")
    Path("project/link.py").symlink_to(tmp_path / "secret.py")
    assert near("project/a.py", "import secret\nimport link\n", Path("project")) == []


def test_it_is_bounded() -> None:
    for n in range(30):
        put(f"m{n}.py", text=f"x{n} = '{'y' * 200}'\n")
    put("a.py", "huge.py")
    put("huge.py", text="def f(a, b):\n    pass\n\n\n" + "x = 1\n" * 5000)
    found = neighbours(Path("a.py").resolve(), "import huge\n", language_of("a.py"), Path.cwd())
    assert len(found) <= MOST_FILES
    assert sum(len(file.text) for file in found) <= MOST_CHARACTERS
    assert found[-1].name == "huge.py"
    assert found[-1].text.startswith("def f(a, b):\nx = 1\n")  # the heads of a large file


def test_binary_files_and_missing_directories_do_no_harm() -> None:
    put("a.py")
    Path("b.py").write_bytes(b"\0\1")
    assert near("a.py", "import b, b\nimport \0\n") == []
    assert near("nowhere/a.py", "") == []
