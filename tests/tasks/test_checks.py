import os
import shutil
import sys
from pathlib import Path

import pytest

from aigc_cli.errors import UsageError
from aigc_cli.tasks.checks import CommandCheck, ExampleCheck, SyntaxCheck, Verdict, refuse_missing_program
from aigc_cli.tasks.examples import find_examples
from aigc_cli.tasks.languages import Language, language_called
from aigc_cli.tasks.run_examples import interpreter_for, runnable
from aigc_cli.tasks.sandbox import Isolation, find_isolation

DATACLASS = (
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\ndef f(n): return A(2 * n).n\n"
)
ENV = {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}


def language(tag: str) -> Language:
    found = language_called(tag)
    assert found is not None
    return found


def command(line: str, code: str, name: str = "x.py", limit_s: float = 20) -> Verdict:
    return CommandCheck(line, name, Path.cwd(), ENV, limit_s).judge(code)


def examples(prompt: str, code: str, tag: str = "python") -> Verdict:
    found = runnable(find_examples(prompt), language(tag))
    name = "draft" + language(tag).suffixes[0]
    isolation = find_isolation(ENV["PATH"])
    return ExampleCheck(tuple(found), language(tag), name, Path.cwd(), ENV, isolation).judge(code)


def test_syntax_tells_the_first_problem_and_shows_the_model_the_line() -> None:
    verdict = SyntaxCheck(language("python")).judge("x = 1\ndef f(:\n")
    assert not verdict.is_passed
    assert verdict.said == "no valid Python: line 2, column 7: invalid syntax: 'def f(:'"
    assert "\n    def f(:" in verdict.detail


def test_a_doubt_is_no_failure() -> None:
    verdict = SyntaxCheck(language("c")).judge("int f( {\n")
    assert verdict.is_passed
    assert verdict.doubt


# --check


@pytest.mark.parametrize("name", ["x.py", "a b'\"$(touch gone).py", "-v.py", "中.py"])
def test_a_command_sees_the_draft_under_its_own_name_whatever_that_is(name: str) -> None:
    assert command("grep -q needle {file} && test $(ls | wc -l) = 1", "needle", name).is_passed
    assert not command("grep -q needle {file}", "hay", name).is_passed
    assert list(Path.cwd().iterdir()) == []


def test_a_command_knows_where_the_project_is() -> None:
    Path("lib.txt").write_text("x", encoding="utf-8")
    assert command('test -f "$AIGC_PROJECT/lib.txt"', "").is_passed


def test_a_failing_command_is_told_with_its_output_and_without_the_temporary_directory() -> None:
    verdict = command("echo $PWD/x.py:3: bad; exit 4", "")
    assert verdict.said == "echo $PWD/x.py:3: bad; exit 4: exit 4: x.py:3: bad"
    assert verdict.detail.endswith("fails (exit 4):\nx.py:3: bad")


def test_a_long_output_is_told_by_its_two_ends() -> None:
    detail = command("seq 1 100000; exit 1", "").detail
    assert len(detail) < 2200
    assert "\n1\n" in detail
    assert "[…]" in detail


def test_a_command_that_hangs_is_killed() -> None:
    assert command("sleep 50", "", limit_s=0.5).said == "sleep 50: killed after 0.5 s"


def test_a_command_reads_nothing_and_sees_no_secret() -> None:
    check = CommandCheck("cat; env", "x", Path.cwd(), {**ENV, "API_KEY": "k-123"}, 20)
    assert check.judge("").is_passed
    assert (
        not CommandCheck("cat; env | grep k-123", "x", Path.cwd(), {**ENV, "API_KEY": "k-123"}, 20)
        .judge("")
        .is_passed
    )


def is_refused(line: str) -> bool:
    try:
        refuse_missing_program(line, ENV)
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("line", ["nosuch {file}", "", "  ", "./here {file}"])
def test_a_command_that_can_not_be_is_told_before_a_model_works(line: str) -> None:
    assert is_refused(line)


@pytest.mark.parametrize(
    "line", ["true", "test -f {file}", "cd . && true", "X=1 true", "'sh' -c true", "{ true; }"]
)
def test_a_command_that_can_be_is_not_refused(line: str) -> None:
    assert not is_refused(line)


# --run-examples


def test_examples_that_hold_pass() -> None:
    told = "f(2) == 4, f('x') raises TypeError, f(1) is 0.1"
    prompt = f"{told}\n>>> f(2)\n4\n>>> print(f(2))\n4\n\nassert f(2) < math.inf"
    code = (
        "def f(n):\n    if n == 'x':\n        raise TypeError\n    return 4 if n == 2 else n / 10 + 1e-17\n"
    )
    assert examples(prompt, code) == Verdict("examples", 6, 6)


@pytest.mark.parametrize(
    ("prompt", "code", "said"),
    [
        ("f(2) == 4", "def f(n): return 5\n", "example f(2) == 4 failed: got 5"),
        ("assert f(2) == 4", "def f(n): return 5\n", "example assert f(2) == 4 failed: f(2) gives 5"),
        ("assert f(2) > 4", "def f(n): return 1\n", "example assert f(2) > 4 failed: it does not hold"),
        ("f(0) raises ValueError", "def f(n): return 1\n", "it raises nothing and gives 1"),
        ("f(0) raises ValueError", "def f(n):\n    return 1 / n\n", "by zero at line 2: return 1 / n"),
        ("f(2) == 4", "def g(n): return 4\n", "the code defines no f; it defines g"),
        ("f(2) == 4", "raise ValueError(3)\n", "the code defines no f; it defines nothing"),
        ("f(2) == 4", "def f(n): return 4\nx = input()\n", "EOFError"),
        ("f(2) == 4", "import os\nos._exit(7)\n", "exit code 7"),
        ("f(2) == 4", "import sys\ndef f(n): return 4\nsys.exit()\n", "ends itself"),
        ("f(2) == 4", "def f(n):\n    while True: pass\n", "no result after"),
        ("f(2) == 4", "def f(n): return f(n)\n", "RecursionError"),
        ("f(2) == 4", "def f(n): return 'x' * 10**6\n", "got 'xxx"),
        (">>> f(2)\n4\n", "def f(n): return 5\n", "got 5"),
        ("Input: 3 4\nOutput: 7", "print(sum(map(int, input().split())) + 1)\n", "got '8'"),
        ("Input: 3 4\nOutput: 7", "input()\n1 / 0\n", "ZeroDivisionError"),
        ("Input: [3, 4]\nOutput: 7", "def add(v): return 1\n", "got 1"),
        ("Input: 1\nOutput: 1", "def f(n): return n\ndef g(n): return n\n", "not clear which function"),
    ],
)  # fmt: skip
def test_an_example_that_fails_says_how(prompt: str, code: str, said: str) -> None:
    verdict = examples(prompt, code)
    assert not verdict.is_passed
    assert said in verdict.said
    assert verdict.detail


@pytest.mark.parametrize(
    ("code", "is_wrong_result"),
    [
        ("def f(n): return 5\n", True),
        ("def f(n): return 1 / 0\n", True),
        ("def g(n): return 4\n", False),
        ("raise ValueError(3)\n", False),
        ("import os\nos._exit(7)\n", False),
        ("def f(n): return 4\n", False),
    ],
)
def test_a_wrong_result_is_told_from_an_error_that_says_where(code: str, *, is_wrong_result: bool) -> None:
    assert examples("f(2) == 4", code).is_wrong_result is is_wrong_result


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("Input: 3 4\nOutput: 7", "print(sum(map(int, input().split())))\n"),
        ("输入 3 4，输出 7。", "import sys\na, b = sys.stdin.read().split()\nprint(int(a) + int(b))\n"),
        ("Input: nums = [3, 4], k = 0\nOutput: 7", "def add(nums, k): return sum(nums) + k\n"),
        ("f(2) == 4", DATACLASS),
        ("f(2) == 4", "def f(n): return 4\nif __name__ == '__main__':\n    input()\n"),
    ],
)  # fmt: skip
def test_programs_and_functions_are_both_put_to_the_test(prompt: str, code: str) -> None:
    assert examples(prompt, code).is_passed


def test_code_that_fails_in_its_last_line_is_told_by_what_it_does() -> None:
    verdict = examples("f(2) == 4", "def f(n): return 5\n\nassert f(2) == 4\n")
    assert verdict.said == "example f(2) == 4 failed: got 5"
    assert verdict.detail.endswith("The code fails: AssertionError at line 3: assert f(2) == 4")
    loaded = examples("f(2) == 4", "def f(n): return 4\n\nassert f(2) == 5\n")
    assert (loaded.passed, loaded.said[:38]) == (0, "the code fails when it is loaded: Asse")


def test_one_hanging_example_does_not_hide_the_others() -> None:
    verdict = examples("f(1) == 1, f(2) == 2, f(3) == 3", "def f(n):\n    while n == 2: pass\n    return n\n")
    assert (verdict.passed, verdict.total) == (2, 3)


def test_code_that_does_harm_is_bounded() -> None:
    verdict = examples("f(1) == 1", "import os\nwhile True: os.fork()\n")
    assert not verdict.is_passed


@pytest.mark.skipif(shutil.which("node", path=ENV["PATH"]) is None, reason="there is no node")
@pytest.mark.parametrize(
    "code",
    [
        "const f = (n) => { if (n === 0) throw new Error('no'); return { a: [n] }; };\n",
        "export function f(n) { if (n === 0) throw new Error('no'); return { a: [n] }; }\n",
        "function f(n) { if (n === 0) throw new Error('no'); return { a: [n] }; }\nmodule.exports = { f };\n",
        "async function f(n) { if (n === 0) throw new Error('no'); return { a: [n] }; }\n",
    ],
)
def test_javascript_runs_in_node(code: str) -> None:
    prompt = "f(2) == {'a': [2]}, f(0) raises Error"
    assert examples(prompt, code, "javascript") == Verdict("examples", 2, 2)
    verdict = examples(prompt, code.replace("[n]", "[n + 1]"), "javascript")
    assert verdict.said == "example f(2) == {'a': [2]} failed: got { a: [ 3 ] }"


def test_other_languages_have_no_interpreter() -> None:
    assert interpreter_for(language("rust"), ENV) == []
    assert interpreter_for(None, ENV) == []
    assert interpreter_for(language("python"), {"PATH": "/nowhere"}) == [sys.executable]


def test_without_isolation_the_limits_still_hold() -> None:
    check = ExampleCheck(
        tuple(find_examples("f(1) == 1")), language("python"), "a.py", Path.cwd(), ENV, Isolation.NONE
    )
    assert check.judge("def f(n): return n\n").is_passed
    assert not check.judge("def f(n): return bytearray(5 * 2**30)\n").is_passed
