import pytest

from aigc_cli.tasks.interfaces import interface_of
from aigc_cli.tasks.languages import language_called

PYTHON = """import os

LIMIT = 3


# about it
@app.get('/todos')
def todos(
    n: int,
) -> list[int]:
    return [n]


class Todo(Base):
    title: str = ''

    def done(self) -> bool:
        return x(1)
"""
PYTHON_HEADS = """LIMIT = 3
@app.get('/todos')
def todos(
    n: int,
) -> list[int]:
class Todo(Base):
    title: str = ''
    def done(self) -> bool:"""
JAVASCRIPT = """const url = '/api';
export async function load(id) {
  return 1;
}
class A {
  go() {
    x();
  }
}
"""
JAVASCRIPT_HEADS = """const url = '/api';
export async function load(id) {
class A {
  go() {"""
CASES = {
    "python": (PYTHON, PYTHON_HEADS),
    "javascript": (JAVASCRIPT, JAVASCRIPT_HEADS),
    "go": (
        "package a\n\ntype T struct {\n\tName string\n}\n\nfunc (t *T) Run() error {\n\treturn nil\n}\n",
        "type T struct {\n\tName string\n}\nfunc (t *T) Run() error {",
    ),
    "html": ("<p>hi</p><ul id=\"list\"></ul>\n<input name='q'>", "<ul id=\"list\">\n<input name='q'>"),
    "text": ("anything", ""),
}


@pytest.mark.parametrize("tag", CASES)
def test_what_others_need_to_know_of_a_file(tag: str) -> None:
    text, interface = CASES[tag]
    assert interface_of(text, language_called(tag)) == interface


def test_broken_code_has_an_interface_too() -> None:
    assert "def f(a):" in interface_of("def f(a):\n    return a\n\n\nx = (\n", language_called("python"))
    assert interface_of("", None) == ""
