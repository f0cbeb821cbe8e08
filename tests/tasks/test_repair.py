from collections.abc import Sequence

import pytest

from aigc_cli.engine.base import Chat, Request, Sampling
from aigc_cli.errors import ContextOverflow, UnsupportedFeature
from aigc_cli.events import FinishReason
from aigc_cli.tasks.checks import Verdict
from aigc_cli.tasks.generate import FileTask
from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.repair import RETRY_CANDIDATES, Attempt, Draft, Plan, Way, attempts

TASK = FileTask("count words", (), "wc.py", language_of("wc.py"))


class Model:
    """Says what it is told to, request after request."""

    def __init__(self, *replies: Sequence[Draft] | Exception) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.tasks: list[FileTask] = []

    def __call__(self, task: FileTask, request: Request) -> Sequence[Draft]:
        self.tasks.append(task)
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def message(self, n: int) -> str:
        prompt = self.requests[n].prompt
        assert isinstance(prompt, Chat)
        return prompt.messages[-1].content


class Words:
    """Code passes when it holds the word; a part for each letter of it, and a doubt for a question mark."""

    def __init__(self, word: str, *, by_running: bool = False) -> None:
        self.word = word
        self.by_running = by_running
        self.judged: list[str] = []

    def judge(self, code: str) -> Verdict:
        self.judged.append(code)
        passed = sum(letter in code for letter in self.word)
        said = "" if passed == len(self.word) else f"no {self.word} in {code}"
        doubt = "a question" if "?" in code else ""
        detail = said and f"It has {said}"
        return Verdict("word", passed, len(self.word), said, detail, doubt, bool(said) and self.by_running)


def drafts(*codes: str) -> list[Draft]:
    return [Draft(code) for code in codes]


def run(model: Model, check: Words, tries: int = 3, **plan: object) -> list[Attempt]:
    made = Plan(TASK, None, Sampling(seed=7), is_temperature_set=False, tries=tries, **plan)  # type: ignore[arg-type]
    return list(attempts(made, model, [check]))


def test_a_first_draft_that_passes_is_the_only_one_and_greedy() -> None:
    model = Model(drafts("ab"))
    assert [each.way for each in run(model, Words("ab"))] == [Way.FIRST]
    assert model.requests[0].sampling.temperature == 0
    assert (model.requests[0].candidates, model.requests[0].top_logprobs) == (1, None)


def test_a_failing_draft_goes_back_with_its_error_and_then_fresh_ones_are_drawn() -> None:
    model = Model(drafts("x"), drafts("a"), drafts("ab"))
    tried = run(model, Words("ab"))
    assert [each.way for each in tried] == [Way.FIRST, Way.REPAIR, Way.FRESH]
    assert tried[-1].judged.is_passed
    assert "```python\nx\n```" in model.message(1)
    assert "It has no ab in x" in model.message(1)
    assert model.message(2) == model.message(0)
    assert all(request.candidates == RETRY_CANDIDATES for request in model.requests[1:])


def test_after_a_wrong_result_drafts_are_drawn_then_thought_out_then_repaired() -> None:
    model = Model(*[drafts("x")] * 5)
    tried = run(model, Words("ab", by_running=True), tries=5)
    assert [each.way for each in tried] == [Way.FIRST, Way.FRESH, Way.THOUGHT_OUT, Way.REPAIR, Way.FRESH]
    assert model.message(1) == model.message(2) == model.message(0)
    prompt = model.requests[2].prompt
    assert isinstance(prompt, Chat)
    assert prompt.reply_prefix == "```python\n# How it works, on the example:"
    assert model.tasks[2].reply_prefix == prompt.reply_prefix
    assert model.tasks[1] == model.tasks[3] == TASK


def test_what_has_no_line_comments_is_written_afresh_instead_of_thought_out() -> None:
    model = Model(*[drafts("x")] * 3)
    css = FileTask("blue text", (), "a.css", language_of("a.css"))
    plan = Plan(css, None, Sampling(), is_temperature_set=False)
    tried = list(attempts(plan, model, [Words("ab", by_running=True)]))
    assert [each.way for each in tried] == [Way.FIRST, Way.FRESH, Way.FRESH]


def test_later_drafts_are_drawn_otherwise() -> None:
    model = Model(*[drafts("x")] * 3)
    run(model, Words("ab"))
    assert model.requests[1].sampling.temperature > 0
    assert model.requests[2].sampling.temperature > 0
    assert len({request.sampling.seed for request in model.requests}) == 3


def test_a_temperature_that_the_person_set_stays() -> None:
    model = Model(*[drafts("x")] * 3)
    plan = Plan(TASK, None, Sampling(temperature=0.3), is_temperature_set=True)
    list(attempts(plan, model, [Words("ab")]))
    assert {request.sampling.temperature for request in model.requests} == {0.3}


def test_the_best_draft_is_the_one_to_repair() -> None:
    model = Model(drafts("x"), drafts("a"), drafts("x"), drafts("x"))
    run(model, Words("ab"), tries=4)
    assert "```python\na\n```" in model.message(3)


def test_of_several_candidates_the_best_wins() -> None:
    model = Model([Draft("x"), Draft("a"), Draft("ab", mean_logprob=-2.0), Draft("ab.", mean_logprob=-1.0)])
    (attempt,) = run(model, Words("ab"), candidates=4)
    assert attempt.judged.draft.code == "ab."
    assert (model.requests[0].candidates, model.requests[0].top_logprobs) == (4, 0)
    assert model.requests[0].sampling.temperature > 0


def test_the_same_code_is_checked_once() -> None:
    check = Words("ab")
    run(Model(drafts("x"), drafts("x", "x"), drafts("a")), check)
    assert check.judged == ["x", "a"]


def test_a_doubt_is_worth_one_more_try_and_no_failure() -> None:
    model = Model(drafts("ab?"), drafts("x"))
    tried = run(model, Words("ab"), tries=5)
    assert [each.judged.is_passed for each in tried] == [True, False]
    assert "It may be wrong here: a question" in model.message(1)


def test_a_draft_too_long_to_be_shown_is_written_anew() -> None:
    model = Model(drafts("x"), ContextOverflow(9, 5), drafts("ab"))
    assert [each.way for each in run(model, Words("ab"))] == [Way.FIRST, Way.FRESH]


def test_an_engine_without_candidates_is_asked_for_one() -> None:
    model = Model(drafts("x"), UnsupportedFeature("no candidates"), drafts("ab"))
    assert len(run(model, Words("ab"))) == 2
    assert model.requests[-1].candidates == 1


def test_an_engine_without_the_candidates_that_were_asked_for_fails() -> None:
    with pytest.raises(UnsupportedFeature):
        run(Model(UnsupportedFeature("no candidates")), Words("ab"), candidates=2)


def test_a_loop_or_an_empty_reply_is_not_shown_to_the_model() -> None:
    model = Model([Draft("x x x", FinishReason.LOOP)], [Draft("")], drafts("ab"))
    assert [each.way for each in run(model, Words("ab"))] == [Way.FIRST, Way.FRESH, Way.FRESH]


def test_a_full_window_ends_the_tries() -> None:
    assert len(run(Model([Draft("x", FinishReason.LENGTH)]), Words("ab"))) == 1


def test_what_is_private_stays_so() -> None:
    model = Model(*[drafts("x")] * 3)
    run(model, Words("ab"), private=True)
    assert all(request.private for request in model.requests)
