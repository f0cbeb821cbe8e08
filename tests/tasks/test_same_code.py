"""Comments and docstrings change, code does not: what is proven, and what is refused."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.tasks.languages import Language, language_called, language_of
from aigc_cli.tasks.same_code import code_change, unprovable


def language(tag: str) -> Language:
    found = language_called(tag)
    assert found
    return found


PY = 'import os\n\n\ndef f(a):\n    return a + "# no"  # old\n\n\nclass C:\n    x = 1\n\n\ndef g(): pass\n'
GO = "package p\n\nfunc F() int {\n\treturn 1\n}\n"
JAVA = "class A {\n  int f() { return 1; }\n}\n"
SAME = [
    ("python", PY, '"""Doc."""\n# c\n' + PY.replace("    return", '    """Add."""\n    # why\n    return')),
    ("python", PY, PY.replace("x = 1", 'x = 1\n    """What x is."""').replace("  # old", "")),
    ("python", PY, PY.replace("def g(): pass", 'def g():\n    """Nothing."""')),
    ("javascript", "function f(a) {\n  return a;\n}\n", "/** f */\nfunction f(a) { // in\n  return a;\n}\n"),
    ("javascript", "// old\nlet s = `a ${b} // no`;\n", "let s = `a ${b} // no`; /* c */\n"),
    ("go", GO, GO.replace("func", "// F gives 1.\nfunc").replace("1\n}", "1 // one\n}")),
    ("rust", "fn f() -> i32 {\n    1\n}\n", "/// Gives 1.\nfn f() -> i32 {\n    // one\n    1\n}\n"),
    ("java", JAVA, "/** A. */\n" + JAVA.replace("  int", "  /** One. */\n  int")),
    ("c", "int f(void) {\n  return 1;\n}\n", "/* one */\nint f(void) {\n  return 1; // 1\n}\n"),
    ("ruby", "def f(a)\n  a\nend\n", "# f\ndef f(a)\n  a # same\nend\n"),
    ("bash", "#!/bin/sh\necho a\nls\n", "#!/bin/sh\n# say a\necho a # here\nls\n"),
    ("lua", "local x = 1\n", "-- x\nlocal x = 1 --[[ one ]]\n"),
    ("sql", "SELECT 1;\n", "-- one\nSELECT 1; /* two */\n"),
    ("css", "a { color: red; }\n", "/* links */\na { color: red; }\n"),
    ("yaml", "a:\n  - 1\n  - 2\n", "# list\na:\n  - 1  # one\n  - 2\n"),
    ("toml", "[a]\nb = 1\n", "# table\n[a]\nb = 1  # one\n"),
]


@pytest.mark.parametrize(("tag", "old", "new"), SAME)
def test_comments_and_docstrings_may_come_and_go(tag: str, old: str, new: str) -> None:
    assert unprovable(language(tag), old) == ""
    assert code_change(language(tag), old, new) == ""
    assert code_change(language(tag), new, old) == ""


@pytest.mark.parametrize(
    ("tag", "old", "new", "reason"),
    [
        ("python", PY, PY.replace("a +", "b +"), r"the code itself .* \(at line 4\)"),
        ("python", PY, PY.replace("# no", "# nope"), "code itself"),
        ("python", PY, PY.replace("import os\n", ""), "code itself"),
        ("python", PY, PY.replace("return", "return  (") + "\n", "no valid Python any more"),
        ("python", "x = 1  # noqa: E1\n", "x = 1  # one\n", "for a tool"),
        ("python", "x = 1\n", "x = 1  # type: ignore\n", "for a tool"),
        ("python", "#!/usr/bin/python\nx = 1\n", "x = 1\n", "for a tool"),
        ("python", "def f():\n    return 1\n", "def f():\n    f'{x}'\n    return 1\n", "code itself"),
        ("python", "if a:\n    b()\n", "if a:\n    'b'\n", "code itself"),
        ("javascript", "return_(1);\n", "return_(2);\n", "code itself"),
        ("javascript", "let a = 'x y';\n", "let a = 'x  y';\n", "code itself"),
        ("javascript", "let a = `x`;\n", "let a = `x // c`;\n", "code itself"),
        ("javascript", "function f() {\n  return 1;\n}\n", "function f() {\n  return /*\n*/ 1;\n}\n", "code"),
        ("javascript", "f(); // eslint-disable-line\n", "f();\n", "for a tool"),
        ("javascript", "f();\ng();\n", "f();\n", "code itself"),
        ("javascript", "f();\ng();\n", "f();\n// g();\n", "code itself"),
        (
            "go",
            "package p\n\n//go:noinline\nfunc F() {}\n",
            "package p\n\n// F.\nfunc F() {}\n",
            "for a tool",
        ),
        ("go", "package p\n\nvar a = 1\n", "package p\n\nvar a = 2 // 1\n", "code itself"),
        ("c", "#define A 1\nint x = A;\n", "#define A 2\nint x = A;\n", "code itself"),
        ("bash", "cat <<E\na # b\nE\n", "cat <<E\na\nE\n", "code itself"),
        ("yaml", "a:\n  b: 1\n", "a:\nb: 1\n", "code itself"),
        ("ruby", "x = <<~T\n  a\nT\n", "x = <<~T\n  # a\nT\n", "code itself"),
    ],
)
def test_everything_else_is_refused(tag: str, old: str, new: str, reason: str) -> None:
    assert re.search(reason, code_change(language(tag), old, new))


@pytest.mark.parametrize(
    ("tag", "text", "reason"),
    [
        ("perl", "print 1;\n", "no grammar for Perl"),
        ("json", "{}", "JSON has no comments"),
        ("python", "def f(:\n", "no valid Python"),
        ("go", 'package p\n\n// int x;\nimport "C"\n', "are code"),
    ],
)
def test_where_nothing_can_be_proven_it_is_said(tag: str, text: str, reason: str) -> None:
    assert reason in unprovable(language(tag), text)
    assert unprovable(None, "x") == "its language is not known"


REAL = [Path(__file__), Path(__file__).parents[2] / "aigc_cli/tasks/example_runner.js"]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
@given(seed=st.integers(0, 10_000))
def test_one_character_less_in_real_code_is_never_the_same(path: Path, seed: int) -> None:
    """A token that is cut or doubled is a change; only white space, comments and docstrings are not."""
    text = path.read_text(encoding="utf-8")
    found = language_of(path)
    assert found
    places = [i for i, c in enumerate(text) if c in "()=,:[]{}" and "#" not in _line_of(text, i)]
    at = places[seed % len(places)]
    if code_change(found, text, text[:at] + text[at + 1 :]) == "":
        assert _is_spare(text, at)


def _line_of(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 : text.find("\n", at)]


def _is_spare(text: str, at: int) -> bool:
    """A comma before a closing bracket, or a character of a docstring or a comment, means nothing."""
    rest = text[at + 1 :].lstrip()
    line = _line_of(text, at).lstrip()
    return (text[at] == "," and rest[:1] in ")]}") or line.startswith(('"""', "//", "*", "/*"))
