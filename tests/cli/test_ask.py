import json
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat, Choices, EngineInfo, Grammar, JsonSchema, Sampling
from aigc_cli.events import FinishReason
from tests.cli.command_line import CommandLine
from tests.scripted_engine import ScriptedEngine

PYTHON = "Sure:\n\n```python\nprint(1)\n```\n\nand\n\n```sh\nls\n```\nBye."


def test_stdout_holds_the_answer_and_nothing_else(aigc: CommandLine) -> None:
    aigc.replies = ["An *answer*,\nwith `code`.\n\n"]
    outcome = aigc.run("what", "is", "it?", "--stats")
    assert outcome.out == "An *answer*,\nwith `code`.\n\n"
    assert outcome.code == 0
    assert "tok/s" in outcome.err


def test_the_words_are_the_question_and_the_system_prompt_goes_first(aigc: CommandLine) -> None:
    aigc.run("用", "Python", "写一个函数")
    prompt = aigc.engines[0].requests[0].prompt
    assert isinstance(prompt, Chat)
    assert [message.role for message in prompt.messages] == ["system", "user"]
    assert prompt.messages[1].content == "用 Python 写一个函数"


def test_an_empty_system_prompt_is_none(aigc: CommandLine) -> None:
    aigc.run("hi", "--system", "")
    prompt = aigc.engines[0].requests[0].prompt
    assert isinstance(prompt, Chat)
    assert [message.role for message in prompt.messages] == ["user"]


def test_options_may_stand_anywhere(aigc: CommandLine) -> None:
    aigc.run("-m", "first", "hello", "--temperature", "0", "you")
    assert aigc.last_message == "hello you"
    assert aigc.opened[0].model == "first"
    assert aigc.engines[0].requests[0].sampling.temperature == 0


def test_what_is_set_overlays_what_the_publisher_recommends(aigc: CommandLine) -> None:
    info = EngineInfo("m", 4096, Sampling(temperature=0.1, top_k=7, stop=("<end>",)))
    aigc.engine = ScriptedEngine(["ok"], info)
    options = ["--top-p", "0.5", "--seed", "3", "--stop", "A", "--stop", "B", "--max-tokens", "9"]
    aigc.run("hi", *options)
    assert aigc.engine.requests[0].sampling == Sampling(
        temperature=0.1, top_k=7, top_p=0.5, seed=3, max_tokens=9, stop=("<end>", "A", "B")
    )


def test_the_engine_is_closed_whatever_happens(aigc: CommandLine) -> None:
    aigc.run("hi")
    aigc.n_ctx = 3
    assert aigc.run("hi").code == 4
    assert [engine.closed for engine in aigc.engines] == [True, True]


# Files


def test_files_go_along_as_labelled_blocks_in_their_language(aigc: CommandLine) -> None:
    Path("a.py").write_text("x = 1\n", encoding="utf-8")
    Path("笔记.md").write_text("# Title\n\n```\ninside\n```\n", encoding="utf-8")
    assert aigc.run("-f", "a.py", "what does it do?", "-f", "笔记.md").code == 0
    assert aigc.last_message == (
        "a.py:\n```python\nx = 1\n```\n\n"
        "笔记.md:\n````markdown\n# Title\n\n```\ninside\n```\n````\n\nwhat does it do?"
    )


def test_patterns_are_expanded_by_aigc_itself(aigc: CommandLine) -> None:
    Path("src/deep").mkdir(parents=True)
    for name in ("src/b.py", "src/a.py", "src/deep/c.py", "src/d.txt", "src/.hidden.py"):
        Path(name).write_text(name, encoding="utf-8")
    aigc.run("-f", "src/**/*.py", "-f", "src/a.py", "review")
    labels = [line for line in aigc.last_message.splitlines() if line.endswith(".py:")]
    assert labels == ["src/a.py:", "src/b.py:", "src/deep/c.py:"]


def test_binary_files_of_a_pattern_are_left_out_and_named(aigc: CommandLine) -> None:
    Path("a.txt").write_text("text", encoding="utf-8")
    Path("b.png").write_bytes(b"\x89PNG\0\0")
    outcome = aigc.run("-f", "*", "what")
    assert outcome.code == 0
    assert "left out as no text: b.png" in outcome.err
    assert "b.png" not in aigc.last_message


def test_a_file_whose_name_looks_like_a_pattern_is_itself(aigc: CommandLine) -> None:
    Path("page[1].tsx").write_text("one", encoding="utf-8")
    Path("page1.tsx").write_text("two", encoding="utf-8")
    aigc.run("-f", "page[1].tsx", "what")
    assert "one" in aigc.last_message
    assert "two" not in aigc.last_message


def test_line_endings_of_files_stay(aigc: CommandLine) -> None:
    Path("dos.bat").write_bytes(b"echo 1\r\necho 2\r\n")
    aigc.run("-f", "dos.bat", "what")
    assert "echo 1\r\necho 2\r\n```" in aigc.last_message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_files_with_a_byte_order_mark_are_read_in_their_encoding(aigc: CommandLine, encoding: str) -> None:
    Path("a.txt").write_bytes("数据\n".encode(encoding))
    aigc.run("-f", "a.txt", "what")
    assert aigc.last_message == "a.txt:\n```text\n数据\n```\n\nwhat"


def test_words_that_are_no_text_reach_the_model_as_replacement_characters(aigc: CommandLine) -> None:
    assert aigc.run("caf\udce9", "--stop", "\udcff").code == 0
    assert aigc.last_message == "caf\ufffd"


# --code, --json, constraints


def test_code_prints_the_blocks_with_an_empty_line_between(aigc: CommandLine) -> None:
    aigc.replies = [PYTHON]
    assert aigc.run("hi", "--code").out == "print(1)\n\nls\n"


def test_a_reply_without_code_exits_with_6(aigc: CommandLine) -> None:
    outcome = aigc.run("hi", "--code")
    assert (outcome.code, outcome.out) == (6, "")
    assert "holds no code" in outcome.err


def test_json_is_one_object_on_one_line(aigc: CommandLine) -> None:
    aigc.replies = [PYTHON + " 好"]
    outcome = aigc.run("hi", "--json", "-m", "some-model")
    assert outcome.out.count("\n") == 1
    answer = json.loads(outcome.out)
    assert answer["text"] == PYTHON + " 好"
    assert answer["code"] == [
        {"language": "python", "code": "print(1)\n"},
        {"language": "sh", "code": "ls\n"},
    ]
    assert answer["finish_reason"] == "stop"
    assert answer["model"] == "some-model"
    assert set(answer["tokens"]) == {"prompt", "cached", "reply"}
    assert {"first_token_s", "prefill_s", "decode_s"} <= set(answer["timings"])


def test_errors_of_json_go_to_stderr(aigc: CommandLine) -> None:
    outcome = aigc.run("hi", "--json", "-f", "missing.py")
    assert outcome.out == ""
    assert outcome.error_lines[0] == "aigc: error: no file 'missing.py'"


def test_a_choice_is_one_line(aigc: CommandLine) -> None:
    aigc.replies = ["yes"]
    outcome = aigc.run("is it?", "--choices", "yes, no,yes,")
    assert outcome.out == "yes\n"
    assert aigc.engines[0].requests[0].constraint == Choices(("yes", "no"))


def test_a_schema_comes_from_a_file_or_from_the_line(aigc: CommandLine) -> None:
    schema = '{"type": "object"}'
    Path("s.json").write_text(schema, encoding="utf-8")
    aigc.run("hi", "--schema", "s.json")
    aigc.run("hi", "--schema", schema)
    assert [engine.requests[0].constraint for engine in aigc.engines] == [JsonSchema(schema)] * 2


def test_a_grammar_comes_from_a_file(aigc: CommandLine) -> None:
    Path("g.gbnf").write_text('root ::= "a"', encoding="utf-8")
    aigc.run("hi", "--grammar", "g.gbnf")
    assert aigc.engines[0].requests[0].constraint == Grammar('root ::= "a"')


# How a reply ends


def ended(aigc: CommandLine, reason: FinishReason, n_ctx: int = 4096) -> None:
    aigc.engine = ScriptedEngine(["one two three"], EngineInfo("m", n_ctx), finish_reason=reason)


def test_a_loop_is_a_failure_that_keeps_its_text(aigc: CommandLine) -> None:
    ended(aigc, FinishReason.LOOP)
    outcome = aigc.run("hi")
    assert (outcome.code, outcome.out) == (1, "one two three")
    assert "repeated itself" in outcome.err
    assert "--repeat-penalty" in outcome.err


def test_a_length_that_was_asked_for_is_no_failure(aigc: CommandLine) -> None:
    ended(aigc, FinishReason.LENGTH)
    outcome = aigc.run("hi", "--max-tokens", "3")
    assert (outcome.code, outcome.out) == (0, "one two three")
    assert outcome.err == "aigc: stopped at --max-tokens 3\n"


@pytest.mark.parametrize("options", [[], ["--max-tokens", "4000"]])
def test_a_full_window_is_a_failure(aigc: CommandLine, options: list[str]) -> None:
    ended(aigc, FinishReason.LENGTH, n_ctx=300)
    outcome = aigc.run("hi", *options)
    assert (outcome.code, outcome.out) == (1, "one two three")
    assert "context window is full" in outcome.err


def test_an_interrupted_reply_exits_with_130_and_keeps_its_text(aigc: CommandLine) -> None:
    ended(aigc, FinishReason.INTERRUPTED)
    outcome = aigc.run("hi")
    assert (outcome.code, outcome.out) == (130, "one two three")


def test_json_of_an_interrupted_reply_says_so(aigc: CommandLine) -> None:
    ended(aigc, FinishReason.INTERRUPTED)
    outcome = aigc.run("hi", "--json")
    assert outcome.code == 130
    assert json.loads(outcome.out)["finish_reason"] == "interrupted"


# What does not fit


def test_a_prompt_over_the_window_is_refused_with_both_numbers(aigc: CommandLine) -> None:
    aigc.n_ctx = 1000
    outcome = aigc.run("word " * 1200)
    assert outcome.code == 4
    assert "1,2" in outcome.err
    assert "1,000" in outcome.err


def test_far_too_much_is_refused_without_tokenizing_it(aigc: CommandLine) -> None:
    outcome = aigc.run("what", stdin=b"x" * 500_000)
    assert outcome.code == 4
    assert "125,0" in outcome.err
    assert "4,096" in outcome.err
    assert aigc.engines[0].requests == []


def test_more_than_any_window_holds_is_not_even_read(aigc: CommandLine) -> None:
    with Path("huge.txt").open("wb") as file:
        file.truncate(10**12)  # sparse: takes no space
    outcome = aigc.run("what", "-f", "huge.txt")
    assert outcome.code == 4
    assert "250,000,000,000" in outcome.err


@pytest.mark.parametrize(("setting", "private"), [("history = true", False), ("history = false", True)])
@pytest.mark.parametrize("words", [["ask", "why?"], ["gen", "a file", "-o", "-"], ["chat"]])
def test_without_history_nothing_may_be_written_to_disk(
    aigc: CommandLine, setting: str, words: list[str], *, private: bool
) -> None:
    config = aigc.home / "aigc" / "config" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(setting, encoding="utf-8")
    aigc.replies = ["```\nx\n```"]
    aigc.run(*words, stdin=b"a question\n")
    assert [request.private for engine in aigc.engines for request in engine.requests] == [private]
