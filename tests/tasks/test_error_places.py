"""Which file an error is about, as tools write it."""

from pathlib import Path

import pytest

from aigc_cli.tasks.error_places import Place, places, to_change


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('  File "src/a.py", line 3, in f', 3),
        ("src/a.py:3:5: error: no", 3),
        ("  --> src/a.py:3:5", 3),
        ("src/a.py(3,5): error TS1", 3),
        ("    at f ({top}/src/a.py:3:5)", 3),
        ("src/a.py: line 3: no such command", 3),
        ("can't read src/a.py", 0),
        ("错误：src/a.py:3 无效", 3),
    ],
)
def test_the_ways_to_name_a_place(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "src" / "a.py"
    path.parent.mkdir()
    path.touch()
    assert places([text.replace("{top}", str(tmp_path))], tmp_path) == [Place(path.resolve(), line)]


def test_libraries_and_files_elsewhere_are_left_out(tmp_path: Path) -> None:
    library = tmp_path / "node_modules" / "a.js"
    library.parent.mkdir()
    library.touch()
    outside = Path(__file__)
    assert places([f"{library}:3\n{outside}:4\nmissing.py:1\n../x.py:1"], tmp_path) == []


def test_the_last_place_of_a_traceback_counts_and_a_test_does_not(tmp_path: Path) -> None:
    for name in ("main.py", "shop.py", "test_shop.py", "shop.test.js", "shop.js"):
        (tmp_path / name).touch()
    found = places(['File "test_shop.py", line 1\nFile "main.py", line 2\nFile "shop.py", line 3'], tmp_path)
    assert [place.path.name for place in found] == ["shop.py", "main.py", "test_shop.py"]
    assert to_change(found, tmp_path) == (tmp_path / "shop.py").resolve()
    (tmp_path / "shop.test.js").write_text("import { f } from './shop.js';\n", encoding="utf-8")
    only_test = places(["shop.test.js:1:1"], tmp_path)
    assert to_change(only_test, tmp_path) == (tmp_path / "shop.js").resolve()
    assert to_change([], tmp_path) is None
