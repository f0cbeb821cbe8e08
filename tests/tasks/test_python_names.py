import sysconfig
from pathlib import Path

import pytest

from aigc_cli.tasks.python_names import NamesCheck

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def said(code: str, **modules: str) -> list[str]:
    verdict = NamesCheck(modules).judge(code)
    assert verdict.is_passed is (not verdict.said)
    return verdict.detail.split("\n")[1:] if verdict.detail else []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("class A(BaseModel):\n    b: Optional[int] = None\n", ["BaseModel", "Optional"]),
        ("def f():\n    return g(1)\n", ["g"]),
        ("def f(a: B) -> C: ...\n", ["B", "C"]),
        ("print(x)\ny = 1\n", ["x"]),
        ("class A:\n    def f(self): return B()\n", ["B"]),
        ("[a for b in c]\n", ["a", "c"]),
    ],
)
def test_what_nobody_defines_is_told_with_its_line(code: str, expected: list[str]) -> None:
    found = said(code)
    assert [line.split("'")[1] for line in found] == expected
    assert all(line.startswith("line ") for line in found)


@pytest.mark.parametrize(
    "code",
    [
        "import os.path as p, sys\nfrom a import b as c\nprint(p, sys, c, __file__, __name__)\n",
        "def f(a, *b, c=1, **d):\n    e = a\n    return [x for x in b if x] + [c, d, e, f]\n",
        "class A:\n    x = 1\n    y = x\n    def f(self): return __class__\n",
        "def f():\n    global g\n    g = 1\ndef h(): return g\n",
        "from os import *\nprint(getcwd())\n",
        "try:\n    pass\nexcept ValueError as e:\n    print(e)\nwith open('x') as file: print(file)\n",
        "for i in range(3): print(i)\nwhile (n := 3): print(n)\n",
        "match 1:\n    case int(x) if x: print(x)\n    case [y, *z]: print(y, z)\n",
        "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    return g\n",
        "def top(a):\n    b = a\n    return b\n",
        "try:\n    unicode\nexcept NameError:\n    unicode = str\n",
        "globals()['a'] = 1\nprint(a)\n",
        "def broken(:\n",
    ],
)
def test_good_code_passes(code: str) -> None:
    assert said(code) == []


def test_the_project_says_where_a_name_is() -> None:
    db = "class Database:\n    pass\n"
    assert said("Database()\n", db=db) == ["line 1: 'Database' is not defined; from db import Database"]
    assert said("json.loads('1')\n") == ["line 1: 'json' is not defined; import json"]
    assert said("from db import Database, load\n", db=db) == ["line 1: db defines no 'load'"]
    assert said("from pkg import db\nfrom db import *\n", **{"pkg": "", "pkg.db": db, "db": db}) == []
    assert said("from db import anything\n", db="from os import *\n") == []
    assert said("from elsewhere import anything\n", db=db) == []


def test_the_standard_library_passes() -> None:
    """Real code, written by people: what is complained about there is no fault."""
    files = sorted(STANDARD_LIBRARY.glob("*.py"))[:150]
    complaints = {
        path.name: lines
        for path in files
        if (lines := said(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert len(files) == 150
    assert set(complaints) <= {"ssl.py"}  # an enum puts its members there
