"""Recipes as commands: what they ask, what becomes of the answer, where they come from."""

import json
import subprocess
from pathlib import Path

import pytest

from aigc_cli.engine.base import Choices, JsonSchema
from tests.cli.command_line import CommandLine

BUG = "def f(a):\n    return a[len(a)]\n"


def finding(**values: object) -> dict[str, object]:
    plain = {
        "file": "a.py",
        "line": 2,
        "kind": "bug",
        "severity": "high",
        "message": "off by one",
        "fix": "-1",
    }
    return {**plain, **values}


def review(*findings: dict[str, object]) -> str:
    return json.dumps({"findings": findings})


@pytest.fixture(autouse=True)
def _code(aigc: CommandLine) -> None:
    (aigc.cwd / "a.py").write_text(BUG, encoding="utf-8")


def write_recipe(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


def own_folder(aigc: CommandLine) -> Path:
    return Path(aigc.run("recipes", "path").out.strip())


# Text


def test_words_are_the_argument_and_file_names_among_them_are_attached(aigc: CommandLine) -> None:
    aigc.replies = ["It *indexes*."]
    outcome = aigc.run("explain", "the", "bug", "a.py")
    assert (outcome.code, outcome.out) == (0, "It *indexes*.")
    assert aigc.last_message.startswith(f"a.py:\n```python\n{BUG}```\n\nExplain the bug to a programmer")
    assert aigc.engines[0].requests[0].sampling.temperature == 0.3


def test_a_flag_goes_before_the_recipe_s_sampling(aigc: CommandLine) -> None:
    aigc.run("explain", "closures", "--temperature", "0.9", "--top-k", "7")
    sampling = aigc.engines[0].requests[0].sampling
    assert (sampling.temperature, sampling.top_k) == (0.9, 7)


def test_a_pipe_is_what_the_recipe_works_on(aigc: CommandLine) -> None:
    aigc.run("summarize", "--points", "2", stdin="很长的文字\n".encode())
    assert "at most 2 short points" in aigc.last_message
    assert "很长的文字" in aigc.last_message


def test_the_answer_to_chinese_words_is_asked_for_in_chinese(aigc: CommandLine) -> None:
    aigc.run("explain", "什么是闭包")
    assert "用中文" in aigc.last_message
    aigc.run("explain", "closures")
    assert "用中文" not in aigc.last_message
    aigc.run("explain", stdin=b"x = 1", env={"LANG": "zh_CN.UTF-8"})
    assert "用中文" in aigc.last_message


def test_a_recipe_without_anything_to_work_on_says_so(aigc: CommandLine) -> None:
    outcome = aigc.run("explain")
    assert outcome.code == 2
    assert "nothing to work on" in outcome.error_lines[0]
    assert aigc.engines == []


def test_a_prompt_too_long_for_the_window_has_its_own_exit_code(aigc: CommandLine) -> None:
    aigc.n_ctx = 20
    assert aigc.run("explain", "word " * 50).code == 4


# Findings


def test_a_review_is_bound_and_shown_by_place(aigc: CommandLine) -> None:
    aigc.replies = [review(finding(message="b"), finding(line=1, severity="low", kind="style", message="a"))]
    outcome = aigc.run("review", "a.py")
    assert outcome.code == 0
    assert outcome.out == "a.py:1: low style: a\n    -1\na.py:2: high bug: b\n    -1\n"
    assert isinstance(aigc.engines[0].requests[0].constraint, JsonSchema)
    assert "1 def f(a):\n2     return" in aigc.last_message


def test_lines_that_do_not_exist_and_repetitions_are_left_out(aigc: CommandLine) -> None:
    aigc.replies = [review(finding(line=99), finding(), finding(line=1), finding(line=0))]
    assert aigc.run("review", "a.py").out == "a.py:2: high bug: off by one\n    -1\n"


@pytest.mark.parametrize(("threshold", "code_expected"), [("high", 0), ("medium", 1), ("low", 1)])
def test_fail_on_decides_the_exit_code(aigc: CommandLine, threshold: str, code_expected: int) -> None:
    aigc.replies = [review(finding(severity="medium"))]
    assert aigc.run("review", "a.py", "--fail-on", threshold).code == code_expected


def test_a_review_without_findings_says_so_on_stderr_only(aigc: CommandLine) -> None:
    aigc.replies = [review()]
    outcome = aigc.run("review", "a.py", "--fail-on", "low")
    assert (outcome.code, outcome.out) == (0, "")
    assert "nothing found" in outcome.err


def test_reports_for_programs(aigc: CommandLine) -> None:
    aigc.replies = [review(finding())]
    assert json.loads(aigc.run("review", "a.py", "--json").out)["findings"][0]["line"] == 2
    sarif = json.loads(aigc.run("review", "a.py", "--sarif").out)
    assert sarif["version"] == "2.1.0"
    run = sarif["runs"][0]
    assert run["tool"]["driver"]["rules"] == [{"id": "bug"}]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 2}}
    assert run["results"][0]["level"] == "error"
    assert aigc.run("review", "a.py", "--json", "--sarif").code == 2


def test_a_reply_that_is_no_review_is_an_error(aigc: CommandLine) -> None:
    aigc.replies = ["sorry"]
    outcome = aigc.run("review", "a.py")
    assert outcome.code == 1
    assert "can't be read" in outcome.error_lines[0]


# Labels


def test_each_line_gets_one_of_the_labels_with_its_probability(aigc: CommandLine) -> None:
    aigc.replies = ["bug", "feature"]
    outcome = aigc.run("classify", "--labels", "bug,feature", stdin=b"it crashes\n\nadd a door\n")
    labels = [line.split("\t") for line in outcome.out.splitlines()]
    assert [label for label, _ in labels] == ["bug", "feature"]
    assert all(0 <= float(probability) <= 1 for _, probability in labels)
    request = aigc.engines[0].requests[0]
    assert request.constraint == Choices(("bug", "feature"))
    assert request.sampling.temperature == 0
    assert aigc.last_message.endswith("Text: add a door")


def test_labels_as_json_lines_keep_the_text(aigc: CommandLine) -> None:
    aigc.replies = ["负面"]
    out = aigc.run("classify", "--labels", "正面，负面", "很差", "--json").out
    assert {k: v for k, v in json.loads(out).items() if k != "probability"} == {
        "label": "负面",
        "text": "很差",
    }


def test_fewer_than_two_labels_leave_nothing_to_choose(aigc: CommandLine) -> None:
    assert aigc.run("classify", "--labels", "bug", "x").code == 2
    assert aigc.run("classify", "x").code == 2  # the option itself is missing
    assert aigc.run("classify", "--labels", "a,b", stdin=b"\n").code == 2


# Shell and commit


def test_a_command_is_printed_alone_into_a_pipe(aigc: CommandLine) -> None:
    aigc.replies = [json.dumps({"explanation": "counts", "command": "wc -l *.py"})]
    outcome = aigc.run("shell", "count lines", "--no-stdin")
    assert (outcome.code, outcome.out) == (0, "wc -l *.py\n")


def test_a_message_for_what_is_staged(aigc: CommandLine) -> None:
    subprocess.run(["git", "init", "-q"], cwd=aigc.cwd, check=True)
    assert "nothing is staged" in aigc.run("commit").error_lines[0]
    (aigc.cwd / "a.py").write_text("x = 1\n", encoding="utf-8")
    subprocess.run(["git", "add", "a.py"], cwd=aigc.cwd, check=True)
    aigc.replies = [json.dumps({"subject": "Add x", "body": "It is needed."})]
    outcome = aigc.run("commit", "the answer")
    assert outcome.out == "Add x\n\nIt is needed.\n"
    assert "+x = 1" in aigc.last_message
    assert "the answer" in aigc.last_message


def test_outside_a_repository_the_failure_of_git_is_told(aigc: CommandLine) -> None:
    outcome = aigc.run("commit")
    assert outcome.code == 2
    assert "git diff" in outcome.error_lines[0]


# A person's own recipes


def test_a_new_recipe_is_a_command_at_once(aigc: CommandLine) -> None:
    path = Path(aigc.run("recipes", "new", "greet").out.strip())
    assert path == own_folder(aigc) / "greet.md"
    outcome = aigc.run("greet", "Ada", "--tone", "formal")
    assert outcome.code == 0
    assert "Write about Ada in a formal tone" in aigc.last_message
    assert aigc.run("greet", "Ada", "--tone", "loud").code == 2
    assert "greet" in aigc.run("recipes", "list").out
    assert "greet" in aigc.run("--help").out
    assert aigc.run("recipes", "show", "greet").out == path.read_text(encoding="utf-8")
    assert aigc.run("recipes", "new", "greet").code == 1  # nothing is overwritten


@pytest.mark.parametrize("name", ["ask", "A b", "../x"])
def test_a_name_that_can_t_be_a_command_of_its_own_is_refused(aigc: CommandLine, name: str) -> None:
    assert aigc.run("recipes", "new", name).code == 2


def test_a_broken_recipe_breaks_nothing_but_itself(aigc: CommandLine) -> None:
    write_recipe(own_folder(aigc), "broken", "no front matter")
    assert aigc.run("ask", "hi").code == 0
    assert "can't be used" in aigc.run("recipes", "list").out
    assert aigc.run("--help").code == 0
    outcome = aigc.run("broken")
    assert outcome.code == 2
    assert "broken.md" in outcome.error_lines[0]


def test_a_project_s_recipe_runs_its_command_only_when_trusted(aigc: CommandLine) -> None:
    folder = aigc.cwd / ".aigc" / "recipes"
    write_recipe(folder, "log", "---\nhelp: x\ninputs: {log: echo changed; touch ran}\n---\n{{ inputs.log }}")
    outcome = aigc.run("log", stdin=b"")
    assert outcome.code == 2
    assert "runs commands" in outcome.error_lines[0]
    assert not (aigc.cwd / "ran").exists()
    assert aigc.run("recipes", "trust", "log").code == 0
    assert aigc.run("log", stdin=b"").code == 0
    assert aigc.last_message == "changed"
    assert (aigc.cwd / "ran").exists()


def test_a_project_s_recipe_without_commands_needs_no_trust(aigc: CommandLine) -> None:
    write_recipe(aigc.cwd / ".aigc" / "recipes", "hello", "---\nhelp: x\n---\nSay hello.")
    assert aigc.run("hello", stdin=b"").code == 0
    assert "needs no trust" in aigc.run("recipes", "trust", "hello").err


def test_a_question_that_begins_with_no_recipe_is_still_a_question(aigc: CommandLine) -> None:
    aigc.run("explaining", "things", "is", "hard")
    assert aigc.last_message == "explaining things is hard"
