"""Old turns summed up or dropped, and the question asked again with other sampling."""

from pathlib import Path

import pytest

from aigc_cli.chat.compact import INSTRUCTION, QUESTION
from aigc_cli.cli.repl import dispatch
from aigc_cli.config import Settings
from aigc_cli.engine.base import Message, Request
from aigc_cli.errors import EngineError, Interrupted, UsageError
from aigc_cli.events import FinishReason
from tests.cli_chat.world import World, talk_in

LONG = "w " * 40


def compacting(request: Request) -> str:
    """A model that sums up when told to, and else says a lot."""
    last = request.prompt.messages[-1].content  # type: ignore[union-attr]  # every request here is a chat
    return "the summary" if last == INSTRUCTION else LONG


def chatted(folder: Path, *entries: str, settings: Settings | None = None, n_ctx: int = 4096) -> World:
    world = talk_in(folder, settings=settings, n_ctx=n_ctx)
    world.engine.replies[:] = [compacting]
    for entry in entries:
        dispatch(world.talk, entry)
    return world


def test_summary_stands_for_all_but_the_last_two_turns(tmp_path: Path) -> None:
    world = chatted(tmp_path, "q1", "q2", "q3", "q4", "/compact")
    assert [content for _, content in world.sent()] == ["q1", LONG, "q2", LONG, INSTRUCTION]
    assert "turns 1 to 2" in world.notes
    assert "the summary" in world.notes
    dispatch(world.talk, "q5")
    assert world.sent() == [
        ("user", QUESTION), ("assistant", "the summary"),
        ("user", "q3"), ("assistant", LONG), ("user", "q4"), ("assistant", LONG), ("user", "q5"),
    ]  # fmt: skip
    assert "w w" not in world.replies.replace(LONG, "")
    assert "the summary" not in world.replies


def test_a_summary_is_summed_up_with_the_turns_after_it(tmp_path: Path) -> None:
    world = chatted(tmp_path, "q1", "q2", "/compact", "q3", "q4", "/compact")
    assert [content for _, content in world.sent()] == [
        QUESTION, "the summary", "q2", LONG, INSTRUCTION,
    ]  # fmt: skip
    assert [m.content for m in world.talk.conversation.messages()][:3] == [QUESTION, "the summary", "q3"]


def test_context_shows_the_summary_and_that_the_window_has_room_again(tmp_path: Path) -> None:
    world = chatted(tmp_path, "q1", "q2", "q3")
    used = world.talk.n_used
    dispatch(world.talk, "/compact")
    assert world.talk.n_used < used
    dispatch(world.talk, "/context")
    assert "turns 1 to 2: the model no longer sees them" in world.notes
    assert "turn 3: summary" in world.notes


def test_undoing_down_to_the_summary_brings_the_turns_back(tmp_path: Path) -> None:
    world = chatted(tmp_path, "q1", "q2", "/compact", "/undo", "/undo", "q3")
    assert [content for _, content in world.sent()] == ["q1", LONG, "q3"]


def test_files_that_go_out_of_sight_with_the_turns_are_named(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("x " * 50, encoding="utf-8")
    world = chatted(tmp_path, "what? @big.txt", "q2", "/compact")
    assert "with big.txt" in world.notes


@pytest.mark.parametrize(
    ("reason", "error"), [(FinishReason.INTERRUPTED, Interrupted), (FinishReason.LOOP, EngineError)]
)
def test_summary_that_is_stopped_changes_nothing(
    tmp_path: Path, reason: FinishReason, error: type[Exception]
) -> None:
    world = chatted(tmp_path, "q1", "q2")
    before = world.talk.conversation.messages()
    world.engine.finish_reason = reason
    with pytest.raises(error, match="nothing was compacted"):
        dispatch(world.talk, "/compact")
    assert world.talk.conversation.messages() == before


@pytest.mark.parametrize(("summary", "said"), [("  ", "said nothing"), ("much " * 200, "no shorter")])
def test_summary_of_no_use_changes_nothing(tmp_path: Path, summary: str, said: str) -> None:
    world = chatted(tmp_path, "q1", "q2")
    before = world.talk.conversation.messages()
    world.engine.replies[:] = [summary]
    with pytest.raises(EngineError, match=said):
        dispatch(world.talk, "/compact")
    assert world.talk.conversation.messages() == before


def test_nothing_to_compact_is_said(tmp_path: Path) -> None:
    for entries in ((), ("q1",)):
        with pytest.raises(UsageError, match="nothing to compact"):
            dispatch(chatted(tmp_path, *entries).talk, "/compact")


def test_full_window_is_compacted_when_that_is_the_policy(tmp_path: Path) -> None:
    world = chatted(
        tmp_path, *(f"q{i}" for i in range(1, 8)), settings=Settings(overflow="compact"), n_ctx=256
    )
    assert "the model sums up turns 1 to" in world.notes
    assert "no longer sees" not in world.notes
    contents = [content for _, content in world.sent()]
    assert contents[:2] == [QUESTION, "the summary"]
    assert contents[-1] == "q7"
    assert world.talk.count([Message("user", content) for content in contents]) <= 256


def test_full_window_drops_when_the_summary_is_of_no_use(tmp_path: Path) -> None:
    world = talk_in(tmp_path, LONG, settings=Settings(overflow="compact"), n_ctx=256)
    world.engine.replies[:] = [lambda request: "" if INSTRUCTION in str(request.prompt) else LONG]
    for i in range(7):
        dispatch(world.talk, f"q{i}")
    assert "dropped instead" in world.notes
    assert "no longer sees turn" in world.notes
    assert world.sent()[-1] == ("user", "q6")


def test_interrupted_compaction_sends_nothing_and_loses_nothing(tmp_path: Path) -> None:
    world = chatted(tmp_path, "q1", "q2", "q3", settings=Settings(overflow="compact"), n_ctx=256)
    before = world.talk.conversation.messages()
    world.engine.finish_reason = FinishReason.INTERRUPTED
    with pytest.raises(Interrupted):
        dispatch(world.talk, LONG * 2)
    assert world.talk.conversation.messages() == before
    assert world.sent()[-1] == ("user", INSTRUCTION)


def test_retry_takes_other_sampling_for_once(tmp_path: Path) -> None:
    world = chatted(tmp_path, "/set seed 7", "q1", "/retry temperature=0.9 top-p=0.5 seed=3", "q2")
    retried, after = (request.sampling for request in world.engine.requests[1:])
    assert (retried.temperature, retried.top_p, retried.seed) == (0.9, 0.5, 3)
    assert after.seed == 7
    assert after.temperature == world.engine.info.sampling.temperature
    assert len(world.talk.conversation.turns) == 2


def test_plain_retry_of_a_greedy_reply_does_not_repeat_it(tmp_path: Path) -> None:
    world = chatted(tmp_path, "/set temperature 0", "/set seed 7", "q1", "/retry")
    assert world.engine.requests[0].sampling.temperature == 0
    retried = world.engine.requests[1].sampling
    assert (retried.temperature, retried.seed) == (0.5, None)
    assert "temperature 0.5" in world.notes


@pytest.mark.parametrize("argument", ["hot", "temperature", "temperature=", "temperature=99", "color=never"])
def test_unusable_sampling_of_a_retry_is_refused_and_nothing_is_asked(tmp_path: Path, argument: str) -> None:
    world = chatted(tmp_path, "q1")
    with pytest.raises(UsageError):
        dispatch(world.talk, f"/retry {argument}")
    assert len(world.engine.requests) == 1
