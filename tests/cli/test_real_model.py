"""The main job on real models, as a person types it."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.download

AIGC = [sys.executable, "-m", "aigc_cli"]
ModelFile = Callable[[str], Path]


def aigc(*line: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*AIGC, *line], input=stdin, capture_output=True, timeout=500, check=False)


def test_a_question_in_chinese_is_answered_with_code(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    done = aigc("-m", model, "--temperature", "0", "用 Python 写一个计算斐波那契数列的函数", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    answer = json.loads(done.stdout)
    assert answer["code"][0]["language"] == "python"
    ast.parse(answer["code"][0]["code"])
    assert answer["tokens"]["prompt"] < 150 + 40  # the system prompt is at most 150 of them


def test_a_generated_file_parses(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    done = aigc(
        "gen", "-m", model, "--temperature", "0", "a program that counts words in files", "-o", "wc.py"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    code = Path("wc.py").read_text(encoding="utf-8")
    ast.parse(code)
    assert "```" not in code


def test_what_is_piped_in_is_read(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    question = "What port does this configuration use?"
    done = aigc("-m", model, "--temperature", "0", question, stdin=b"host = a\nport = 4711\n")
    assert done.returncode == 0, done.stderr
    assert b"4711" in done.stdout


def test_choices_hold_a_small_model_to_them(real_model: ModelFile) -> None:
    model = str(real_model("smollm2-135m"))
    done = aigc("-m", model, "Is the sky blue?", "--choices", "yes,no")
    assert (done.returncode, done.stdout in (b"yes\n", b"no\n")) == (0, True), done


def test_more_than_the_window_is_refused_with_both_numbers(real_model: ModelFile) -> None:
    model = str(real_model("smollm2-135m"))
    done = aigc("-m", model, "--context", "512", "what?", stdin=b"word " * 2000)
    assert done.returncode == 4
    assert b"512" in done.stderr


def test_ctrl_c_in_a_long_prefill_ends_it_at_once(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    process = subprocess.Popen(
        [*AIGC, "-m", model, "what?", "--context", "8192"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b"some words of a long text\n" * 1000)
    process.stdin.close()
    time.sleep(4)  # the model is loaded by then, and 6,000 tokens take longer
    process.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    assert process.wait(30) == 130
    assert time.monotonic() - pressed < 15  # the process goes, too; reading the rest takes a minute
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


def test_a_reader_that_goes_away_ends_the_command(real_model: ModelFile) -> None:
    model = str(real_model("smollm2-135m"))
    shell = 'set -o pipefail; "$@" | head -c 1 >/dev/null'
    line = [*AIGC, "-m", model, "Write a very long story.", "--no-stdin"]
    done = subprocess.run(["bash", "-c", shell, "bash", *line], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_file_that_is_no_model_exits_with_3() -> None:
    Path("fake.gguf").write_bytes(os.urandom(1000))
    done = aigc("-m", "./fake.gguf", "hi")
    assert (done.returncode, done.stderr.count(b"\n")) == (3, 2), done.stderr


def test_a_draft_is_checked_by_a_command_and_by_examples(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    prompt = "a function add(a, b) that adds two numbers. add(2, 3) == 5 and add(-1, 1) returns 0"
    check = f"{sys.executable} -m py_compile {{file}}"
    line = (
        "gen",
        "-m",
        model,
        prompt,
        "-o",
        "add.py",
        "--run-examples",
        "--check",
        check,
        "--json",
        "--seed",
        "1",
    )
    done = aigc(*line)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    assert [each["name"] for each in report["tries"][-1]["checks"]] == ["syntax", "command", "examples"]
    assert "def add(" in Path("add.py").read_text(encoding="utf-8")


def test_an_example_that_can_not_hold_writes_nothing(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    prompt = "a function f(n) that doubles n. f(2) == 4 and f(2) == 5"
    done = aigc("gen", "-m", model, prompt, "-o", "f.py", "--run-examples", "--tries", "2", "--seed", "1")
    assert done.returncode == 5, done.stderr
    assert {path.name for path in Path.cwd().iterdir()} == {"f.py.draft"}
    assert b"try 1 of 2: " in done.stderr


def test_ctrl_c_in_a_try_exits_with_130_and_writes_no_target(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    prompt = "a very long program: a chess engine with all rules, an opening book and a text interface"
    process = subprocess.Popen(
        [
            *AIGC,
            "gen",
            "-m",
            model,
            prompt,
            "-o",
            "chess.py",
            "--no-stdin",
            "--check",
            "false",
            "--tries",
            "50",
        ],
        stderr=subprocess.PIPE,
    )
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert not Path("chess.py").exists()
    assert b"Traceback" not in errors


def test_a_gap_is_filled_in_from_both_sides(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-0.5b"))
    Path("prices.py").write_text('PRICES = {"apple": 2.5, "pear": 3.0}\n', encoding="utf-8")
    cart = "from prices import PRICES\n\n\ndef total(items):\n\n\nprint(total([('apple', 2), ('pear', 1)]))\n"
    Path("cart.py").write_text(cart, encoding="utf-8")
    done = aigc("fill", "-m", model, "--temperature", "0", "cart.py:4", "-i")
    assert done.returncode == 0, done.stderr
    written = Path("cart.py").read_text(encoding="utf-8")
    ast.parse(written)
    assert written.startswith(cart.partition("\n\n\nprint")[0])
    assert written.endswith(cart.partition("def total(items):")[2])
    assert "PRICES[" in written.partition("def total")[2]


def test_a_project_of_several_files_is_planned_and_written(real_model: ModelFile) -> None:
    model = str(real_model("qwen2.5-coder-1.5b"))
    wish = "two Python files: text.py with a function count_words(text), and main.py that prints it for stdin"
    done = aigc("new", "-m", model, "--temperature", "0", "words", wish, "-y")
    assert done.returncode == 0, done.stderr
    written = sorted(path.name for path in Path("words").iterdir())
    assert {"README.md", "main.py", "text.py"} <= set(written)
    ran = subprocess.run(
        [sys.executable, "main.py"], cwd="words", input=b"one two three\n", capture_output=True, check=False
    )
    assert ran.stdout.strip().endswith(b"3"), ran
