import pytest

from aigc_cli.engine.base import Chat, ContextFile, EngineInfo, Infill, Request, Sampling
from aigc_cli.events import FinishReason
from aigc_cli.tasks.ending_engine import EndingEngine
from aigc_cli.tasks.fill import MOST_TOKENS, Fill, chat_request, fills, infill_request, sampling_for
from aigc_cli.tasks.fill_end import end_of
from aigc_cli.tasks.gap import Gap, Place, gap_at
from aigc_cli.tasks.languages import language_called
from tests.scripted_engine import ScriptedEngine

PYTHON = language_called("python")
STOP = FinishReason.STOP
TEXT = "def f(a):\n    return a\n\n\nprint(f(\n"
INFO = EngineInfo("m", 4096, has_infill=True)


def at(line: int, column: int | None = None, text: str = TEXT) -> Gap:
    return gap_at(Place("a.py", line, column), text, PYTHON)


def found(gap: Gap, *replies: str, reason: FinishReason = STOP) -> list[Fill]:
    return fills(gap, [(reply, reason) for reply in replies], end_of(gap))


def test_those_that_parse_come_first_and_none_comes_twice() -> None:
    gap = at(2, text="def f(a):\n    b = 1\n    return a\n")
    assert [each.text for each in found(gap, " +", " + 2", "", " + 2\n", " * 3")] == [" + 2", " * 3", " +"]
    assert found(gap, " +")[0].problem.startswith("line 2")


def test_what_did_not_parse_before_need_not_do_so_now() -> None:
    fill = found(at(2, text="def f(a):\n    b = (\n    return a\n"), "1")[0]
    assert (fill.problem, bool(fill.doubt)) == ("", True)


def test_the_parser_says_whose_bracket_it_is() -> None:
    gap = at(1, 7, "print()\n")
    assert [each.text for each in found(gap, "f(1)", "f(2))")] == ["f(1)", "f(2)"]


def test_a_reply_that_was_cut_in_a_line_loses_that_line() -> None:
    gap = at(1, text="def f():\n")
    assert found(gap, "\n    a = 1\n    b = fo", reason=FinishReason.LENGTH)[0].text == "\n    a = 1"
    assert found(gap, " retur", reason=FinishReason.LENGTH)[0].text == " retur"


def test_a_model_that_fills_in_gets_what_stands_around_the_gap() -> None:
    gap = at(1, 7)
    request = infill_request(gap, (ContextFile("b.py", "x"),), end_of(gap), Sampling(stop=("<e>",)), INFO)
    assert request.prompt == Infill(
        "def f(", "a):\n    return a\n\n\nprint(f(\n", (ContextFile("b.py", "x"),)
    )
    assert request.sampling.stop == ("<e>", "\n")


def test_a_long_text_is_cut_far_from_the_gap() -> None:
    text = "x = 1\n" * 100_000
    gap = gap_at(Place("a.py", 50_000), text, PYTHON)
    for make in (infill_request, chat_request):
        prompt = make(gap, (), end_of(gap), Sampling(), INFO).prompt
        size = len(prompt.messages[-1].content) if isinstance(prompt, Chat) else 0
        size += len(prompt.prefix) + len(prompt.suffix) if isinstance(prompt, Infill) else 0
        assert size < 4096 * 40


def test_a_model_that_only_chats_sees_a_mark_and_goes_on_with_the_line() -> None:
    gap = at(2, 12)
    extra = (ContextFile("far.py", "y" * 5000), ContextFile("b.py", "x = 1\n"))
    request = chat_request(gap, extra, end_of(gap), Sampling(), INFO)
    assert isinstance(request.prompt, Chat)
    asked = request.prompt.messages[-1].content
    assert "def f(a):\n    return <GAP>a\n" in asked
    assert "b.py:\n```\nx = 1\n```" in asked
    assert "yyy" not in asked  # no room
    assert request.prompt.reply_prefix == "```python\n    return "
    assert request.sampling.stop == ("\n```", "\n")


def test_one_is_the_most_probable_and_several_differ() -> None:
    base = Sampling(temperature=0.9)
    assert sampling_for(base, 1, is_temperature_set=False).temperature == 0
    assert 0 < sampling_for(base, 3, is_temperature_set=False).temperature < 0.9
    assert sampling_for(base, 1, is_temperature_set=True).temperature == 0.9
    assert sampling_for(base, 1, is_temperature_set=True).max_tokens == MOST_TOKENS


@pytest.mark.parametrize("n", [1, 2])
def test_nothing_is_waited_for_after_the_end(n: int) -> None:
    gap = at(1, text="def f():\n")
    engine = ScriptedEngine(["\n    a = 1\nb" + " = 2\n" * 100], INFO)
    events = list(EndingEngine(engine, end_of(gap)).stream(Request(Infill("", ""), candidates=n)))
    assert len(events) < 10 * n + 2
    reasons = [event.finish_reason for event in events if hasattr(event, "finish_reason")]
    assert reasons == [STOP] * n


def test_an_interruption_is_one() -> None:
    engine = ScriptedEngine(["a b c"], INFO)
    stream = EndingEngine(engine, end_of(at(1))).stream(Request(Infill("", "")))
    next(stream)
    engine.cancel()
    assert [getattr(event, "finish_reason", None) for event in stream] == [FinishReason.INTERRUPTED]
