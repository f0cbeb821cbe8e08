"""What `aigc --base-url` writes is what `aigc serve` reads, and the events come back as they were."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.engine.address import parse_address
from aigc_cli.engine.base import (
    Chat,
    Choices,
    Constraint,
    ContextFile,
    EngineInfo,
    Grammar,
    Infill,
    JsonSchema,
    Message,
    Request,
    Role,
    Sampling,
    Text,
)
from aigc_cli.engine.client import Client
from aigc_cli.engine.dialect import AIGC
from aigc_cli.engine.encode import encode
from aigc_cli.engine.remote import RemoteEngine
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Alternative, Delta, Done, FinishReason, Prefill, Queued, Stats, TokenLogprob
from aigc_cli.serve.decoding import chat_call, infill_call, text_call
from aigc_cli.serve.fields import parse_object
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving
from tests.serve.test_disconnect import send, wait_until

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SOME = TEXT.filter(bool)
SHARE = st.floats(0, 1)
PENALTY = st.floats(-2, 2)
ROLES: st.SearchStrategy[Role] = st.sampled_from(["system", "user", "assistant"])
MESSAGES = st.lists(st.builds(Message, ROLES, TEXT), max_size=3).flatmap(
    # the assistant's own last words can only be the start of its reply
    lambda before: st.builds(Message, st.sampled_from(["system", "user"]), TEXT).map(
        lambda last: (*before, last)
    )
)
PROMPTS = st.one_of(
    st.builds(Chat, MESSAGES, TEXT),
    st.builds(Text, TEXT),
    st.builds(Infill, TEXT, TEXT, st.lists(st.builds(ContextFile, TEXT, TEXT), max_size=2).map(tuple)),
)
SAMPLINGS = st.builds(
    Sampling,
    repeat_penalty=st.floats(0.01, 10),
    repeat_last_n=st.integers(0, 2**20),
    dry_multiplier=st.floats(0, 10),
    top_k=st.integers(0, 2**31 - 1),
    top_p=SHARE,
    min_p=SHARE,
    temperature=st.floats(0, 10),
    seed=st.one_of(st.none(), st.integers(0, 2**32 - 2)),
    max_tokens=st.one_of(st.none(), st.integers(1, 2**31 - 1)),
    stop=st.lists(SOME, max_size=3).map(tuple),
    frequency_penalty=PENALTY,
    presence_penalty=PENALTY,
    infill=st.booleans(),
)
SCHEMAS = st.dictionaries(SOME, st.one_of(TEXT, st.integers(-9, 9)), max_size=3).map(
    lambda schema: JsonSchema(json.dumps(schema, ensure_ascii=False))
)
CONSTRAINTS: st.SearchStrategy[Constraint | None] = st.one_of(
    st.none(),
    SCHEMAS,
    st.builds(Grammar, SOME),
    st.lists(SOME, min_size=1, max_size=3).map(lambda options: Choices(tuple(options))),
)
LOGPROBS = st.one_of(st.none(), st.integers(1, 20))


def one_request(prompt: Chat | Text | Infill, sampling: Sampling, *rest: Any) -> Request:
    """What fits together: the sampler for filling in goes with no constraint."""
    constraint, *others = rest
    return Request(prompt, sampling, None if sampling.infill else constraint, *others)


REQUESTS = st.builds(
    one_request, PROMPTS, SAMPLINGS, CONSTRAINTS, TEXT, st.integers(1, 16), LOGPROBS, st.booleans()
)
DECODERS = {"/chat/completions": chat_call, "/completions": text_call, "/infill": infill_call}
OTHER_DEFAULTS = Sampling(temperature=0.123, top_k=3, min_p=0.9, repeat_penalty=1.7)


@given(REQUESTS)
def test_any_request_arrives_as_it_was_sent(request: Request) -> None:
    encoded = encode(request, "any", AIGC)
    body = parse_object(json.dumps(encoded.body).encode())
    call = DECODERS[encoded.route](body, OTHER_DEFAULTS)
    assert call.request == request
    assert call.wishes.stream
    assert call.wishes.return_progress


@contextmanager
def remote(engine: ScriptedEngine) -> Iterator[RemoteEngine]:
    with serving(engine) as server, remote_to(server) as far:
        yield far


@contextmanager
def remote_to(server: Running) -> Iterator[RemoteEngine]:
    client = Client(parse_address(f"{server.url}/v1"))
    with closing(RemoteEngine(client, time.monotonic)) as far:
        yield far


HI = Chat((Message("user", "one two three"),))


@pytest.mark.parametrize("prompt", [HI, Text("one two"), Infill("a b", "c")])
def test_events_come_back_as_they_were(prompt: Chat | Text | Infill) -> None:
    engine = ScriptedEngine(["é 🌍 x", "fünf"], EngineInfo("scripted", 4096, has_infill=True))
    request = Request(prompt, candidates=2, top_logprobs=2)
    here = list(ScriptedEngine(engine.replies, engine.info).stream(request))
    with remote(engine) as far:
        there = list(far.stream(request))
    assert [event for event in there if isinstance(event, Prefill)] == here[:1]
    assert [event for event in there if isinstance(event, Delta)] == [e for e in here if isinstance(e, Delta)]
    ends = [(e.candidate, e.finish_reason, e.stats.reply_tokens) for e in there if isinstance(e, Done)]
    assert ends == [(0, FinishReason.STOP, 3), (1, FinishReason.STOP, 1)]
    assert here[1] == Delta(
        "é",
        tokens=(
            TokenLogprob(
                "é".encode(),
                math.log(0.5),
                (Alternative("é".encode(), math.log(0.5)), Alternative("é~".encode(), 2 * math.log(0.5))),
            ),
        ),
    )


def test_counts_and_times_come_back() -> None:
    stats = Stats(9, 4, 3, 0.25, 0.5, 7, 5)

    class Counting(ScriptedEngine):
        def stream(self, request: Request) -> Iterator[Prefill | Delta | Done]:
            self.requests.append(request)
            yield Delta("x", 3)
            yield Done(FinishReason.LOOP, stats)

    with remote(Counting(["x"])) as far:
        assert list(far.stream(Request(HI)))[-2:] == [Delta("x", 3), Done(FinishReason.LOOP, stats)]


def test_the_place_in_line_comes_back() -> None:
    engine = ScriptedEngine(["word " * 500, "x"], delay_s=0.02)
    with serving(engine) as server, remote_to(server) as far:
        running = send(server, stream=True)
        wait_until(lambda: len(engine.requests) == 1)
        events = far.stream(Request(HI))
        assert next(events) == Queued(1)
        running.close()
        assert Delta("x") in list(events)


def test_a_prompt_that_does_not_fit_comes_back_with_both_numbers() -> None:
    with remote(ScriptedEngine(["x"], EngineInfo("scripted", 4))) as far:
        with pytest.raises(ContextOverflow) as overflow:
            list(far.stream(Request(Chat((Message("user", "one two three four"),)))))
        assert (overflow.value.n_tokens, overflow.value.n_ctx) == (6, 4)
