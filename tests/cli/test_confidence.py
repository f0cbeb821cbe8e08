"""`aigc ask --confidence`, `/why`, and `aigc complete`."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.cli.confidence import N_ALTERNATIVES, show_why
from aigc_cli.engine.base import EngineInfo, Request, Text
from aigc_cli.errors import UsageError
from aigc_cli.events import Event
from tests.cli.command_line import CommandLine
from tests.cli_chat.world import talk_in
from tests.scripted_engine import ScriptedEngine

REPLY = "sort it with sorted()"
SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def line(tmp_path: Path, isolated: Path) -> CommandLine:
    return CommandLine(tmp_path, isolated, replies=[REPLY])


@pytest.mark.parametrize("goes_on", [(), ("-c",)])
def test_a_pipe_stays_plain_and_the_doubts_are_on_stderr(line: CommandLine, goes_on: tuple[str, ...]) -> None:
    outcome = line.run("ask", "--confidence", *goes_on, "how?")
    assert (outcome.code, outcome.out) == (0, REPLY)
    assert "4 tokens: mean log-probability -0.693, perplexity 2.00, lowest probability 0.50" in outcome.err
    assert line.engines[-1].requests[-1].top_logprobs == N_ALTERNATIVES


def test_a_terminal_shows_the_reply_in_colors(line: CommandLine) -> None:
    outcome = line.run("ask", "--confidence", "how?", terminal=True)
    assert SGR.sub("", outcome.out) == f"{REPLY}\n"
    assert "\x1b[35msort" in outcome.out
    assert "\x1b" not in line.run("ask", "--confidence", "how?", terminal=True, env={"NO_COLOR": "1"}).out


def test_json_carries_the_confidence_when_asked(line: CommandLine) -> None:
    facts = json.loads(line.run("ask", "--confidence", "--json", "how?").out)
    assert facts["confidence"]["perplexity"] == pytest.approx(2)
    assert "".join(each["text"] for each in facts["confidence"]["tokens"]) == facts["text"] == REPLY
    assert "confidence" not in json.loads(line.run("ask", "--json", "how?").out)


def test_without_the_option_nothing_is_asked_for(line: CommandLine) -> None:
    line.run("ask", "how?")
    assert line.engines[-1].requests[-1].top_logprobs is None


def test_why_tells_of_the_last_reply(tmp_path: Path) -> None:
    world = talk_in(tmp_path, REPLY)
    world.talk.top_logprobs = N_ALTERNATIVES
    with pytest.raises(UsageError, match="no reply yet"):
        show_why(world.talk, "")
    world.talk.ask("how?")
    show_why(world.talk, "")
    assert "4 tokens: mean log-probability" in world.notes
    assert "\x1b" not in world.notes


def test_why_of_a_reply_without_probabilities_asks_for_them_from_then_on(tmp_path: Path) -> None:
    world = talk_in(tmp_path, REPLY)
    world.talk.ask("how?")
    with pytest.raises(UsageError, match="without probabilities"):
        show_why(world.talk, "")
    world.talk.ask_again()
    show_why(world.talk, "")
    assert "perplexity" in world.notes


def test_why_knows_that_its_reply_was_taken_back(tmp_path: Path) -> None:
    world = talk_in(tmp_path, REPLY, "another")
    world.talk.ask("how?")
    world.talk.top_logprobs = N_ALTERNATIVES
    world.talk.ask("and?")
    world.talk.conversation.undo()
    with pytest.raises(UsageError, match="without probabilities"):
        show_why(world.talk, "")


def test_the_chat_asks_for_probabilities_where_they_are_sure_to_be_had(line: CommandLine) -> None:
    outcome = line.run("chat", stdin=b"how?\n/why\n")
    assert outcome.code == 0, outcome.err
    assert "perplexity 2.00" in outcome.err
    with_server = line.run("chat", stdin=b"how?\n", env={"AIGC_BASE_URL": "http://localhost:9/v1"})
    assert with_server.code == 0
    assert line.engines[-1].requests[-1].top_logprobs is None


def test_complete_prints_the_continuation_as_it_is(line: CommandLine) -> None:
    outcome = line.run("complete", "--temperature", "0.3", "--stop", "\n\n", "def fib(n):")
    assert (outcome.code, outcome.out, outcome.err) == (0, REPLY, "")
    request = line.engines[-1].requests[-1]
    assert (request.prompt, request.sampling.temperature) == (Text("def fib(n):"), 0.3)
    assert request.sampling.stop == ("\n\n",)


def test_complete_takes_a_file_or_a_pipe_as_it_is(line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n", encoding="utf-8")
    line.run("complete", "-f", "a.py")
    line.run("complete", stdin=b"def f():\n")
    assert [engine.requests[-1].prompt for engine in line.engines] == [Text("def f():\n")] * 2


def test_several_continuations_are_numbered(line: CommandLine) -> None:
    line.replies = ["one", "two\n"]
    assert line.run("complete", "-n", "2", "x").out == "--- 1\none\n--- 2\ntwo\n"
    facts = json.loads(line.run("complete", "-n", "2", "--json", "x").out)
    assert [each["text"] for each in facts["completions"]] == ["one", "two\n"]


def test_complete_without_a_text_or_with_a_bad_value_is_a_usage_error(line: CommandLine) -> None:
    assert line.run("complete").code == 2
    assert line.run("complete", "--top-p", "3", "x").code == 2
    assert line.opened == []


def test_ask_offers_complete_where_a_model_has_no_template(line: CommandLine) -> None:
    info = EngineInfo(model="raw", n_ctx=4096)
    line.engine = ScriptedEngine([REPLY], replace(info, has_chat_template=False))
    outcome = line.run("ask", "how?")
    assert (outcome.code, outcome.out) == (1, "")
    assert "no chat template" in outcome.error_lines[0]
    assert "aigc complete" in outcome.error_lines[1]
    assert line.run("complete", "how").out == REPLY


def test_a_server_without_probabilities_is_told(line: CommandLine) -> None:
    line.engine = Silent([REPLY])
    for options in ((), ("--json",)):
        outcome = line.run("ask", "--confidence", *options, "how?")
        assert (outcome.code, outcome.err) == (0, "aigc: the server gave no probabilities\n")


class Silent(ScriptedEngine):
    """A server that gives no probabilities, whatever it is asked."""

    def stream(self, request: Request) -> Iterator[Event]:
        return super().stream(replace(request, top_logprobs=None))
