"""The engine dies at the worst moments; the person loses a second and nothing else."""

import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from aigc_cli.engine.base import Chat, Choices, Engine, Request, Text
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.errors import EngineError
from aigc_cli.events import Delta, Done, EngineDied, Event, FinishReason, Prefill, Stats
from aigc_cli.serve.recovery import Repeatable
from tests.resident.engines import World, ask, chat, text_of, wait_for

LENGTH = 1500  # tokens: more than come in the time whose text is told together
SURELY_EQUAL = 8  # characters


class Alone:
    """The same model in this process, loaded anew for each request.

    What an engine has read before changes the sizes of its batches, those the last bits of the logits, and
    now and then a greedy reply. So a reply is compared with one that was read in the same way.
    """

    def __init__(self, world: World) -> None:
        self._options = EngineOptions(world.model, "tiny", 2048, n_threads=1, guard_loops=False)

    def reply(self, request: Request, said: str = "") -> str:
        """The greedy reply; or how it goes on from what is said."""
        match request.prompt:
            case Chat(messages):
                prompt: Chat | Text = Chat(messages, said)
            case Text(text):
                prompt = Text(text + said)
            case _:
                raise AssertionError(request.prompt)
        n_left = (request.sampling.max_tokens or 0) - len(said)
        left = replace(request, prompt=prompt, sampling=replace(request.sampling, max_tokens=n_left))
        with closing(LlamaEngine(self._options, time.perf_counter)) as engine:
            return said + text_of(list(engine.stream(left)))


def deaths(events: list[Event]) -> list[EngineDied]:
    return [event for event in events if isinstance(event, EngineDied)]


def killed_at(n_seen: int, world: World, request: Request) -> list[Event]:
    """The events of a reply whose engine dies when so many characters of it are here.

    On a busy machine the engine can be done with the reply by then; that time nothing is lost, and the next
    engine gets the request.
    """
    seen: list[Event] = []
    while not deaths(seen):
        seen = list(disturbed(world, world.open(), request, n_seen))
    return seen


@pytest.mark.parametrize("n_seen", [1, 50, 400])
def test_a_reply_goes_on_where_it_was(world: World, n_seen: int) -> None:
    request = ask("hello", max_tokens=LENGTH)
    seen = killed_at(n_seen, world, request)
    (death,) = deaths(seen)
    said = text_of(seen[: seen.index(death)])
    assert len(said) >= n_seen
    assert Alone(world).reply(request).startswith(said)
    assert text_of(seen) == Alone(world).reply(request, said)
    kinds = [type(event) for event in seen]
    assert Prefill not in kinds[kinds.index(EngineDied) :]  # a person does not watch the reply being read
    done = seen[-1]
    assert isinstance(done, Done)
    assert (done.stats.prompt_tokens, done.stats.reply_tokens) == (5, LENGTH)


def test_in_the_prefill_too(world: World) -> None:
    request = ask("the quick brown fox. " * 80, max_tokens=200)
    seen: list[Event] = []
    while not deaths(seen):  # as `killed_at`
        engine = world.open()
        list(engine.stream(ask("something else")))  # nothing of the prompt is cached
        events = engine.stream(request)
        seen = [next(events)]
        assert isinstance(seen[0], Prefill)
        world.kill()
        seen += list(events)
    (death,) = deaths(seen)
    assert text_of(seen) == Alone(world).reply(request, text_of(seen[: seen.index(death)]))


def test_while_it_is_idle_and_the_person_is_told_at_the_next_reply(world: World) -> None:
    engine = world.open()
    whole = text_of(list(engine.stream(ask("hello"))))
    world.kill()
    assert engine.count(ask("hello")) == 5
    seen = list(engine.stream(ask("hello")))
    assert (text_of(seen), len(deaths(seen))) == (whole, 1)
    assert deaths(list(engine.stream(ask("hello")))) == []


def test_before_anything_was_asked_of_it(world: World) -> None:
    engine = world.open()
    world.kill()
    assert engine.info.n_ctx == 2048
    assert len(deaths(list(engine.stream(ask("hello"))))) == 1


def test_twice_on_one_request_is_an_error_that_names_it(world: World) -> None:
    engine, seen = world.open(), []
    with pytest.raises(EngineError, match="died twice on this request"):  # noqa: PT012  # in the middle of it
        for event in engine.stream(ask("hello", max_tokens=1500)):
            seen.append(event)
            if isinstance(event, Delta):
                world.kill()
    assert len(deaths(seen)) == 1
    assert text_of(list(engine.stream(ask("hello")))) == Alone(world).reply(
        ask("hello")
    )  # and the next request is served


def test_candidates_are_drawn_again_and_nothing_is_shown_twice(world: World) -> None:
    request = Request(
        ask("hello").prompt, ask("x", temperature=1.0, seed=3, max_tokens=80).sampling, candidates=3
    )

    def texts(events: list[Event]) -> list[str]:
        return [text_of([e for e in events if isinstance(e, Delta) and e.candidate == n]) for n in range(3)]

    whole = texts(list(world.open().stream(request)))
    seen = killed_at(2, world, request)
    assert texts(seen) == whole
    assert sorted(e.candidate for e in seen if isinstance(e, Done)) == [0, 1, 2]


def test_a_client_that_goes_away_ends_its_request_at_once(long_world: World) -> None:
    events = long_world.endless()
    assert long_world.reports()[0]["state"] == "busy"
    events.close()  # type: ignore[attr-defined]  # it is a generator
    wait_for(lambda: long_world.reports()[0]["state"] == "idle", "the end of the request")
    assert long_world.reports()[0]["reply_tokens"] < 30_000


def test_a_conversation_of_40_turns_outlives_20_deaths(world: World) -> None:
    dice = random.Random(7)  # the same deaths in each run
    kill_at = {n: dice.randrange(2) for n in dice.sample(range(40), 20)}
    engine, alone = world.open(), Alone(world)
    conversation: list[str] = []
    n_kills, is_dead = 0, False
    for n in range(40):
        # killed before it or at its first words; it can be done by then, and the next turn finds it dead
        at = None if is_dead else kill_at.get(n)
        request = chat(*conversation[-6:], f"question {n}?", max_tokens=150)
        seen = list(disturbed(world, engine, request, at))
        said, found = text_of(seen), deaths(seen)
        n_kills += at is not None
        assert len(said) == 150
        assert len(found) <= 1
        assert found or not is_dead
        if found:
            before = text_of(seen[: seen.index(found[0])])
            expected = alone.reply(request, before)
            # the rest repeats itself, is guessed ahead in batches as the clock has them, and rounds with them
            goes_on = len(before) + SURELY_EQUAL
            assert said[:goes_on] == expected[:goes_on], f"turn {n}, killed at {at}"
        is_dead = at is not None and not found
        conversation += [f"question {n}?", said]
    assert n_kills > 10
    assert world.log.count("engine starts") == 1 + n_kills - is_dead


def disturbed(world: World, engine: Engine, request: Request, kill_at: int | None) -> Iterator[Event]:
    """The events of a reply whose engine is killed when so much of it is there; at nought, before it."""
    if kill_at == 0:
        world.kill()
    n_seen = 0
    for event in engine.stream(request):
        yield event
        if isinstance(event, Delta):
            if kill_at is not None and n_seen < kill_at <= n_seen + len(event.text):
                world.kill()
            n_seen += len(event.text)


class TestRepeatable:
    """What is asked of the next engine, without any."""

    def test_the_seed_is_drawn_once(self) -> None:
        drawn = Repeatable(ask("x", temperature=1.0), lambda below: below - 1).request.sampling.seed
        assert drawn is not None
        assert drawn + 15 <= 2**32 - 2
        assert Repeatable(ask("x", seed=3), lambda below: below - 1).request.sampling.seed == 3

    def test_a_reply_with_a_constraint_is_drawn_again_and_told_when_it_differs(self) -> None:
        asked = Repeatable(Request(ask("x").prompt, constraint=Choices(("yes", "no"))), lambda _below: 5)
        assert list(asked.take(Delta("ye"))) == [Delta("ye")]
        asked.repeat()
        assert asked.request.sampling.seed == 5
        assert list(asked.take(Delta("y"))) == []
        assert list(asked.take(Delta("es"))) == [Delta("s")]
        asked.repeat()
        with pytest.raises(EngineError, match="another reply"):
            list(asked.take(Delta("no")))

    def test_a_reply_that_lacks_only_its_end_gets_it(self) -> None:
        asked = Repeatable(ask("x", max_tokens=2), lambda _below: 0)
        list(asked.take(Prefill(1, 1, 0)))
        list(asked.take(Delta("a")))
        list(asked.take(Delta("b")))
        asked.repeat()
        assert asked.is_complete
        assert asked.end() == Done(FinishReason.LENGTH, Stats(1, 0, 2))
