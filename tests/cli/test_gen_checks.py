import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat, EngineInfo, Request
from aigc_cli.errors import EngineError
from aigc_cli.events import FinishReason
from aigc_cli.tasks.repair import RETRY_CANDIDATES
from tests.cli.command_line import CommandLine
from tests.scripted_engine import ScriptedEngine

GOOD = "def f(n):\n    return n * 2\n"
BAD = "def f(n):\n    return n + 3\n"
PROMPT = "a function f with f(2) == 4"
ENV = {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}


def message(request: Request) -> str:
    assert isinstance(request.prompt, Chat)
    return request.prompt.messages[-1].content


def files() -> set[str]:
    return {path.name for path in Path.cwd().iterdir()}


def test_a_draft_that_fails_an_example_is_drawn_anew(aigc: CommandLine) -> None:
    aigc.replies = [BAD, GOOD]
    outcome = aigc.run("gen", PROMPT, "-o", "x.py", "--run-examples", env=ENV)
    assert (outcome.code, outcome.out) == (0, "")
    assert Path("x.py").read_text(encoding="utf-8") == GOOD
    lines = outcome.err.splitlines()
    assert lines[0].startswith("aigc: each draft is run on 1 of your examples: ")
    assert lines[1:] == [
        "aigc: try 1 of 3: example f(2) == 4 failed: got 5",
        "aigc: try 2 of 3: passed",
        "aigc: wrote x.py (2 lines, Python)",
    ]
    first, second = aigc.engines[-1].requests[:2]
    assert message(first) == message(second)
    assert (first.candidates, second.candidates) == (1, RETRY_CANDIDATES)


def test_a_function_that_is_missing_under_its_name_is_told_to_the_model(aigc: CommandLine) -> None:
    aigc.replies = [GOOD.replace("def f", "def double"), GOOD]
    outcome = aigc.run("gen", PROMPT, "-o", "x.py", "--run-examples", env=ENV)
    assert outcome.code == 0
    assert "the code defines no f; it defines double" in message(aigc.engines[-1].requests[1])


def test_nothing_of_it_is_run_unasked(aigc: CommandLine) -> None:
    aigc.replies = ["open('ran', 'w').close()\n"]
    assert aigc.run("gen", PROMPT, "-o", "x.py", env=ENV).code == 0
    assert files() == {"x.py"}


def test_nothing_passes_exits_with_5_and_keeps_the_best_draft(aigc: CommandLine) -> None:
    Path("x.py").write_text("old", encoding="utf-8")
    aigc.replies = ["def f(:\n", BAD, "def g(:\n"]
    line = ("gen", PROMPT, "-o", "x.py", "--run-examples", "--force", "-n", "1")
    outcome = aigc.run(*line, env=ENV)
    assert outcome.code == 5
    assert Path("x.py").read_text(encoding="utf-8") == "old"
    assert Path("x.py.draft").read_text(encoding="utf-8") == BAD
    assert outcome.error_lines == [
        "aigc: error: no draft passed: example f(2) == 4 failed: got 5; x.py is not written",
        "hint: the draft is in x.py.draft; run it again, raise --tries, or say it otherwise",
    ]


def test_no_draft_is_kept_when_none_is_wanted(aigc: CommandLine) -> None:
    aigc.replies = [BAD]
    assert aigc.run("gen", PROMPT, "-o", "x.py", "--run-examples", "--no-draft", env=ENV).code == 5
    assert files() == set()


def test_tries_are_counted(aigc: CommandLine) -> None:
    aigc.replies = [BAD]
    aigc.run("gen", PROMPT, "-o", "x.py", "--run-examples", "--tries", "5", env=ENV)
    assert len(aigc.engines[-1].requests) == 5


def test_candidates_are_drawn_together_and_the_best_wins(aigc: CommandLine) -> None:
    aigc.replies = ["def f(:\n", BAD, GOOD]
    assert aigc.run("gen", PROMPT, "-o", "x.py", "--run-examples", "-n", "3", env=ENV).code == 0
    assert [request.candidates for request in aigc.engines[-1].requests] == [3]
    assert Path("x.py").read_text(encoding="utf-8") == GOOD


def test_on_a_terminal_a_better_candidate_than_the_watched_one_is_shown_too(
    aigc: CommandLine,
) -> None:
    aigc.replies = [BAD + "```", GOOD + "```"]
    line = ("gen", PROMPT, "-o", "x.py", "--run-examples", "-n", "2")
    outcome = aigc.run(*line, terminal=True, env={**ENV, "NO_COLOR": "1"})
    watched, _, kept = outcome.err.partition("aigc: another draft is better:\n")
    assert BAD.splitlines()[-1] in watched
    assert GOOD.splitlines()[-1] not in watched
    assert GOOD.splitlines()[-1] in kept
    assert kept.endswith("aigc: wrote x.py (2 lines, Python)\n")


def test_on_a_terminal_the_candidate_that_was_watched_is_there_once(aigc: CommandLine) -> None:
    aigc.replies = [GOOD + "```", BAD + "```"]
    line = ("gen", PROMPT, "-o", "x.py", "--run-examples", "-n", "2")
    outcome = aigc.run(*line, terminal=True, env={**ENV, "NO_COLOR": "1"})
    assert outcome.err.count(GOOD.splitlines()[-1]) == 1
    assert "another draft" not in outcome.err


def test_on_a_terminal_a_printed_candidate_is_the_best_one(aigc: CommandLine) -> None:
    aigc.replies = [BAD + "```", GOOD + "```"]
    line = ("gen", PROMPT, "-o", "-", "--lang", "python", "--run-examples", "-n", "2")
    outcome = aigc.run(*line, terminal=True, env={**ENV, "NO_COLOR": "1"})
    assert outcome.out.count(GOOD.splitlines()[-1]) == 1
    assert "aigc: another draft is better:" in outcome.err


def test_a_command_checks_the_draft(aigc: CommandLine) -> None:
    aigc.replies = ["a = 1\n", "b = 1\n"]
    outcome = aigc.run("gen", "x", "-o", "x.py", "--check", "grep -q b {file}", env=ENV)
    assert outcome.code == 0
    assert Path("x.py").read_text(encoding="utf-8") == "b = 1\n"
    assert "try 1 of 3: grep -q b {file}: exit 1" in outcome.err


def test_what_does_not_parse_is_not_run(aigc: CommandLine) -> None:
    aigc.replies = ["def f(:\n"]
    aigc.run("gen", "x", "-o", "x.py", "--check", "touch $AIGC_PROJECT/ran", "--no-draft", env=ENV)
    assert files() == set()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--check", "nosuch {file}"), "no program 'nosuch'"),
        (("--check", ""), "names no command"),
        (("--run-examples",), "holds no example"),
        (("--run-examples", "--lang", "rust"), "can't run Rust"),
        (("--tries", "0"), "--tries"),
        (("-n", "99"), "--candidates"),
    ],
)
def test_a_check_that_can_not_be_made_is_told_before_a_model_is_loaded(
    aigc: CommandLine, options: tuple[str, ...], said: str
) -> None:
    outcome = aigc.run("gen", "x", "-o", "x.py", *options, env=ENV)
    assert outcome.code == 2
    assert said in outcome.err
    assert aigc.engines == []


def test_a_language_without_a_parser_is_said_to_be_unchecked(aigc: CommandLine) -> None:
    aigc.replies = ["main = {{{\n"]
    assert aigc.run("gen", "x", "-o", "x.hs").err == "aigc: wrote x.hs (1 lines, Haskell, unchecked)\n"


def test_a_doubt_is_told_and_the_file_written(aigc: CommandLine) -> None:
    aigc.replies = ["WINAPI int f( {\n"]
    outcome = aigc.run("gen", "x", "-o", "x.c")
    assert outcome.code == 0
    assert "try 1 of 3: passed, with a doubt: line 1" in outcome.err
    assert len(aigc.engines[-1].requests) == 2


def test_a_file_that_was_overwritten_comes_back(aigc: CommandLine) -> None:
    Path("x.py").write_text("old", encoding="utf-8")
    aigc.replies = [GOOD]
    outcome = aigc.run("gen", "x", "-o", "x.py", "--force")
    assert "aigc undo brings the old file back" in outcome.err
    assert Path("x.py").read_text(encoding="utf-8") == GOOD
    assert aigc.run("undo").code == 0
    assert Path("x.py").read_text(encoding="utf-8") == "old"


def test_a_file_that_changed_meanwhile_is_not_overwritten(aigc: CommandLine) -> None:
    Path("x.py").write_text("old", encoding="utf-8")

    def meanwhile(_request: Request) -> str:
        Path("x.py").write_text("newer", encoding="utf-8")
        return GOOD

    aigc.replies = [meanwhile]
    outcome = aigc.run("gen", "x", "-o", "x.py", "--force")
    assert (outcome.code, Path("x.py").read_text(encoding="utf-8")) == (1, "newer")
    assert "changed meanwhile" in outcome.err


# --dry-run, --json


def test_a_dry_run_prints_the_code_and_writes_nothing(aigc: CommandLine) -> None:
    aigc.replies = [GOOD]
    outcome = aigc.run("gen", "x", "-o", "x.py", "--dry-run")
    assert (outcome.code, outcome.out, outcome.err) == (0, GOOD, "")
    assert files() == set()


def test_a_dry_run_over_a_file_prints_a_diff_that_applies(aigc: CommandLine) -> None:
    Path("x.py").write_text("import os\n\ndef f(n):\n    return 1", encoding="utf-8")
    aigc.replies = [GOOD]
    outcome = aigc.run("gen", "x", "-o", "x.py", "--dry-run")
    assert outcome.code == 0
    assert "return 1" in Path("x.py").read_text(encoding="utf-8")
    Path("change.diff").write_text(outcome.out, encoding="utf-8")
    subprocess.run(["git", "apply", "change.diff"], check=True, capture_output=True)
    assert Path("x.py").read_text(encoding="utf-8") == GOOD


def test_a_dry_run_that_fails_writes_no_draft(aigc: CommandLine) -> None:
    aigc.replies = ["def f(:\n"]
    outcome = aigc.run("gen", "x", "-o", "x.py", "--dry-run")
    assert (outcome.code, outcome.out) == (5, "")
    assert files() == set()


def test_a_report_holds_the_code_and_all_tries(aigc: CommandLine) -> None:
    aigc.replies = [BAD, GOOD]
    outcome = aigc.run("gen", PROMPT, "-o", "x.py", "--run-examples", "--json", "-n", "1", env=ENV)
    report = json.loads(outcome.out)
    assert (report["passed"], report["written"], report["code"]) == (True, True, GOOD)
    assert [each["way"] for each in report["tries"]] == ["first", "fresh"]
    assert report["tries"][0]["checks"][-1]["said"] == "example f(2) == 4 failed: got 5"
    assert report["tokens"]["reply"] > 0


def test_a_report_of_a_failure_says_so(aigc: CommandLine) -> None:
    aigc.replies = [BAD]
    outcome = aigc.run("gen", PROMPT, "-o", "-", "--lang", "python", "--run-examples", "--json", env=ENV)
    report = json.loads(outcome.out)
    assert (outcome.code, report["passed"], report["written"]) == (5, False, False)
    assert report["code"] == BAD


# What goes wrong in the middle


def test_ctrl_c_in_a_later_try_keeps_the_best_draft_and_the_target(aigc: CommandLine) -> None:
    Path("x.py").write_text("old", encoding="utf-8")
    engine = ScriptedEngine([], EngineInfo("m", 4096))

    def interrupted(_request: Request) -> str:
        engine.finish_reason = FinishReason.INTERRUPTED
        return "de"

    engine.replies = [BAD, interrupted]
    aigc.engine = engine
    outcome = aigc.run("gen", PROMPT, "-o", "x.py", "--force", "--run-examples", "-n", "1", env=ENV)
    assert outcome.code == 130
    assert Path("x.py").read_text(encoding="utf-8") == "old"
    assert Path("x.py.draft").read_text(encoding="utf-8") == BAD


def test_an_engine_that_fails_in_a_later_try_loses_nothing(aigc: CommandLine) -> None:
    def fails(_request: Request) -> str:
        raise EngineError("out of order")

    aigc.replies = [BAD, fails]
    outcome = aigc.run("gen", PROMPT, "-o", "x.py", "--run-examples", "-n", "1", env=ENV)
    assert outcome.code == 1
    assert "out of order; x.py is not written" in outcome.err
    assert Path("x.py.draft").read_text(encoding="utf-8") == BAD


SCRIPT = """
import sys
from aigc_cli.__main__ import run_process
from tests.scripted_engine import ScriptedEngine
sys.exit(run_process(sys.argv[1:], lambda app, settings: ScriptedEngine([{reply!r}])))
"""


def process(reply: str, *argv: str) -> "subprocess.Popen[bytes]":
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(reply=reply), *argv],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **ENV, "PYTHONPATH": str(root)},
    )


def test_ctrl_c_while_a_check_runs_ends_it_and_keeps_the_draft() -> None:
    line = ("gen", "x", "-o", "x.py", "--check", "touch $AIGC_PROJECT/begun; sleep 60", "--no-stdin")
    running = process(GOOD, *line)
    deadline = time.monotonic() + 60
    while not Path("begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"Traceback" not in errors
    assert files() == {"begun", "x.py.draft"}


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.005, 0.01, 0.02, 0.05])
def test_a_kill_at_any_point_of_a_write_leaves_the_old_or_the_new_file(delay_s: float) -> None:
    old, new = "old\n" * 500_000, "x = 1\n" * 300_000
    Path("x.py").write_text(old, encoding="utf-8")
    script = (
        "import sys, pathlib\nfrom aigc_cli.tasks.workspace import write_atomic\n"
        "print('ready', flush=True)\nwrite_atomic(pathlib.Path('x.py'), 'x = 1\\n' * 300_000)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(delay_s)
        running.kill()
    assert Path("x.py").read_text(encoding="utf-8") in (old, new)
