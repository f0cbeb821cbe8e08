"""What the client writes and the server reads are one wire format: any request survives the way."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.engine.base import (
    Chat,
    Choices,
    Constraint,
    ContextFile,
    Grammar,
    Infill,
    JsonSchema,
    Message,
    Request,
    Sampling,
    Text,
)
from aigc_cli.engine.dialect import AIGC
from aigc_cli.engine.encode import encode
from aigc_cli.serve.decoding import chat_call, infill_call, text_call

CALLS = {"/chat/completions": chat_call, "/completions": text_call, "/infill": infill_call}
OTHER_DEFAULTS = Sampling(1.3, 7, 0.4, 3, 0.2, 0.3, 1.9, frequency_penalty=1.0, presence_penalty=1.0)

texts = st.text(st.characters(codec="utf-8"), max_size=30)
filled = texts.filter(bool)
shares = st.floats(0, 1)
samplings = st.builds(
    Sampling,
    repeat_penalty=st.floats(0.01, 10),
    repeat_last_n=st.integers(0, 2**20),
    dry_multiplier=st.floats(0, 10),
    top_k=st.integers(0, 2**31 - 1),
    top_p=shares,
    min_p=shares,
    temperature=st.floats(0, 10),
    seed=st.none() | st.integers(0, 2**32 - 2),
    max_tokens=st.none() | st.integers(1, 2**31 - 1),
    stop=st.lists(filled, max_size=4).map(tuple),
    frequency_penalty=st.floats(-2, 2),
    presence_penalty=st.floats(-2, 2),
    infill=st.booleans(),
)
asked = st.builds(Message, st.sampled_from(("system", "user")), texts)
messages = st.lists(st.builds(Message, st.sampled_from(("system", "user", "assistant")), texts), max_size=3)
prompts = st.one_of(
    st.builds(lambda before, last, prefix: Chat((*before, last), prefix), messages, asked, texts),
    st.builds(Text, texts),
    st.builds(Infill, texts, texts, st.lists(st.builds(ContextFile, texts, texts), max_size=2).map(tuple)),
)
constraints: st.SearchStrategy[Constraint | None] = st.one_of(
    st.none(),
    st.builds(Grammar, filled),
    st.builds(Choices, st.lists(filled, min_size=1, max_size=3).map(tuple)),
    st.dictionaries(st.sampled_from(("title", "description")), texts).map(
        lambda extra: JsonSchema(json.dumps({"type": "object", **extra}, ensure_ascii=False))
    ),
)


def one_request(
    prompt: Chat | Text | Infill, sampling: Sampling, constraint: Constraint | None, **rest: Any
) -> Request:
    """What fits together: the sampler for filling in goes with no constraint."""
    return Request(prompt, sampling, None if sampling.infill else constraint, **rest)


@given(
    st.builds(
        one_request,
        prompts,
        samplings,
        constraints,
        prediction=texts,
        candidates=st.integers(1, 16),
        top_logprobs=st.none() | st.integers(1, 20),
        private=st.booleans(),
    )
)
def test_any_request_survives_the_way(request_: Request) -> None:
    encoded = encode(request_, "m", AIGC)
    body = json.loads(json.dumps(encoded.body, ensure_ascii=False).encode())
    call = CALLS[encoded.route](body, OTHER_DEFAULTS)
    assert call.request == request_
    assert (call.wishes.stream, call.wishes.include_usage, call.wishes.return_progress) == (True, True, True)
