import time

import pytest

from aigc_cli.tasks.languages import LANGUAGES, language_called
from aigc_cli.tasks.syntax import MOST_PROBLEMS, Parsed, parse

GOOD = {
    "python": "async def f():\n    await g()\n",
    "javascript": "export const f = async (a) => `${a}`;\n",
    "jsx": "const A = () => <p className='x'>{1}</p>;\n",
    "typescript": "export function f<T>(a: T): T { return a; }\n",
    "tsx": "const A = (p: {n: number}) => <p>{p.n}</p>;\n",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("你好") }\n',
    "rust": "fn main() {\n    let v: Vec<u8> = vec![1];\n}\n",
    "c": "#include <stdio.h>\nint main(void) { return 0; }\n",
    "cpp": "template <class T> T f(T a) { return a; }\n",
    "csharp": "namespace A; class B { int C => 1; }\n",
    "java": "class A { static <T> T f(T a) { return a; } }\n",
    "kotlin": "fun main() = println(1)\n",
    "swift": "func f(_ a: Int) -> Int { a }\n",
    "scala": "object A:\n  def f(a: Int): Int = a\n",
    "php": "<?php\nfunction f(int $a): int { return $a; }\n",
    "ruby": "def f(a) = a + 1\n",
    "lua": "local function f(a) return a end\n",
    "bash": 'for f in *; do echo "$f"; done\n',
    "sql": "SELECT a, count(*) FROM t WHERE b > 1 GROUP BY a;\n",
    "html": "<!doctype html>\n<html><body><p>a<script>let a = 1;</script></body></html>\n",
    "css": "a:hover { color: red; }\n",
    "json": '{"a": [1, 2]}',
    "yaml": "a:\n  - b: 1\n",
    "toml": "[a]\nb = 1\n",
    "dockerfile": "FROM debian:12\nRUN echo a\n",
    "markdown": "# A\n\n```sh\nls\n```\n",
}


def parsed(tag: str, text: str) -> Parsed:
    language = language_called(tag)
    assert language is not None
    return parse(language, text)


def test_every_grammar_of_the_table_has_an_example_here() -> None:
    assert {each.tag for each in LANGUAGES if each.grammar} == set(GOOD)


@pytest.mark.parametrize("tag", GOOD)
def test_good_code_raises_neither_problem_nor_doubt(tag: str) -> None:
    seen = parsed(tag, GOOD[tag])
    assert (seen.problems, seen.doubts, seen.is_checked) == ((), (), True)
    assert seen.tree is not None
    assert seen.tree.root_node.end_byte <= len(seen.source)


@pytest.mark.parametrize("tag", [tag for tag in GOOD if tag != "markdown"])  # any text is Markdown
def test_broken_code_is_told_with_its_place(tag: str) -> None:
    broken = {"yaml": "a: [1, {b\nc: ]\n", "html": "<p <b></q>", "dockerfile": "FROM a\nBANANA b\n"}
    code = broken.get(tag, GOOD[tag].rstrip()[:-1] + " ({[ =\n")
    seen = parsed(tag, code)
    told = seen.problems + seen.doubts
    assert told
    assert all(1 <= each.line <= code.count("\n") + 1 and each.message for each in told)


@pytest.mark.parametrize(
    ("tag", "code", "said"),
    [
        ("python", "x = 1\ndef f(:\n", "line 2, column 7: invalid syntax: 'def f(:'"),
        ("python", "return 1\n", "line 1, column 1: 'return' outside function: 'return 1'"),
        ("python", "a = 'é中' +\n", "line 1, column 11: invalid syntax: 'a = 'é中' +'"),
        ("python", "x\0\n", "line 1, column 2: a NUL character"),
        ("json", '{"a": 1,}\n', "line 1, column 9: Expecting property name enclosed in double quotes: '}'"),
        ("json", "", "line 1, column 1: Expecting value, but the text ends"),
        ("toml", "a = 1\nb = = 1\n", "line 2, column 5: Invalid value: 'b = = 1'"),
        ("toml", "a = [\n", "line 2: Invalid value (at end of document)"),
        ("go", "package a\n\nfunc f() {\n\tx := 1\n", "line 3, column 10: '{' is never closed"),
        ("java", "class A { int f() { return 1; } } }\n", "line 1, column 35: '}' closes nothing"),
        ("rust", "fn f() {\n    g(1];\n}\n", "line 2, column 8: ']' does not close the '(' of line 2"),
        ("go", 'package a\n\nvar s = f("中文", 1 2)\n', "line 3, column 19: '2' is not expected"),
        ("java", "class A { int a = 1 int b; }\n", "line 1, column 20: ';' is missing"),
        ("html", "<p>中</p><script>let = = 1;</script>\n", "line 1, column 23: '=' is not expected"),
    ],
)
def test_a_problem_names_line_column_in_characters_and_text(tag: str, code: str, said: str) -> None:
    assert str(parsed(tag, code).problems[0]) == said


def test_what_an_inexact_grammar_says_is_a_doubt() -> None:
    seen = parsed("c", "int f( {\n")
    assert (seen.problems, len(seen.doubts)) == ((), 1)


def test_a_bracket_in_a_string_or_a_comment_is_not_counted() -> None:
    seen = parsed("javascript", "const a = '((('; // ]]]\nconst b = ;\n")
    assert [each.line for each in seen.problems] == [2]


@pytest.mark.parametrize("kind", ["application/json", "text/template", "importmap"])
def test_a_script_element_that_holds_something_else_is_left_alone(kind: str) -> None:
    assert parsed("html", f'<script type="{kind}">{{{{ not code</script>').problems == ()


@pytest.mark.parametrize("tag", ["haskell", "perl", "text"])
def test_a_language_without_a_grammar_is_unchecked(tag: str) -> None:
    assert not parsed(tag, "anything {{{").is_checked
    assert not parse(None, "anything").is_checked


def test_a_warning_is_no_problem() -> None:
    assert parsed("python", 's = "\\d"\n').problems == ()


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("python", "(" * 1000),
        ("python", "-" * 100_000 + "1"),
        ("json", "[" * 100_000),
        ("toml", "a = " + "[" * 10_000),
        ("javascript", "(((" * 30_000),
        ("javascript", "`${" * 10_000),
        ("java", "if(x){\n" * 20_000),
        ("go", "\0" * 10_000),
        ("rust", "\ud800 fn"),
        ("python", "\ud800"),
    ],
)
def test_hostile_text_is_a_problem_and_nothing_worse(tag: str, code: str) -> None:
    seen = parsed(tag, code)
    assert 1 <= len(seen.problems) <= MOST_PROBLEMS


def test_the_time_grows_with_the_length_and_not_faster() -> None:
    def seconds(n: int) -> float:
        started = time.process_time()
        parsed("javascript", "function f(a) { return [a, 'x']; } )\n" * n)
        return time.process_time() - started

    seconds(100)
    assert min(seconds(8000) for _ in range(3)) < 8 * 3 * max(seconds(1000), 0.005)


def test_a_text_made_to_delay_the_parser_ends() -> None:
    started = time.process_time()
    parsed("cpp", "a<b<" * 300_000)
    assert time.process_time() - started < 60


def test_a_text_of_megabytes_is_unchecked() -> None:
    assert not parsed("javascript", "a;\n" * 1_000_000).is_checked


def test_comments_are_found_and_docstrings_are_none() -> None:
    seen = parsed("python", '"""# no"""\n# yes\nx = "# no"  # too\n')
    assert [node.text for node in seen.comments()] == [b"# yes", b"# too"]


def test_what_a_parser_is_said_to_complain_about_wrongly_is_only_a_doubt() -> None:
    assert parsed("jsx", "const A = <p class='a'>b</p>;\n").problems == ()
