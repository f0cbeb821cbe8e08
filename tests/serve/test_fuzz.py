"""Whatever a stranger sends, the answer is 200 or a 4xx in OpenAI's shape, and the server lives."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aigc_cli.engine.base import EngineInfo
from aigc_cli.serve.sampling import LONGEST, NUMBERS
from aigc_cli.serve.unserved import UNSERVED
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import serving

PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/infill",
    "/v1/chat/completions/input_tokens",
    "/tokenize",
)
NAMES = (
    *NUMBERS,
    *LONGEST,
    *UNSERVED,
    *(
        "messages",
        "prompt",
        "suffix",
        "input_prefix",
        "input_suffix",
        "input_extra",
        "stream",
        "stop",
        "seed",
    ),
    *("top_k", "repeat_last_n", "n", "logprobs", "top_logprobs", "n_probs", "response_format", "json_schema"),
    *("grammar", "prediction", "x_aigc", "stream_options", "return_progress", "samplers", "n_indent", "user"),
    *("t_max_predict_ms", "response_fields", "model", "content", "role", "type", "text", "name"),
)
NUMBER = st.one_of(
    st.integers(-5, 5), st.integers(), st.floats(), st.sampled_from([10**400, 2**63, -(2**31), 1e308, 0.5, 1])
)
LEAF = st.one_of(
    st.none(), st.booleans(), NUMBER, st.text(max_size=8), st.sampled_from(["user", "assistant"])
)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=4)), inner, max_size=4),
    ),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool", "?"]), "content": st.text(max_size=8)},
    optional={"name": VALUE, "tool_calls": VALUE},
)
SOUND = {
    "messages": st.lists(MESSAGE, min_size=1, max_size=3),
    "prompt": st.text(max_size=8),
    "input_prefix": st.text(max_size=8),
    "input_suffix": st.text(max_size=8),
}


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """Mostly sound requests with a few fields that need not be."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUE)
    body = {name: draw(value) for name, value in SOUND.items()}
    return body | draw(st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=3))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    engine = ScriptedEngine(["one two"], EngineInfo("scripted", 4096, has_infill=True))
    with serving(engine) as server, server.client() as client:
        yield client


@given(path=st.sampled_from(PATHS), body=bodies())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json(client: httpx2.Client, path: str, body: Any) -> None:
    assert_answered(client.post(path, content=json.dumps(body).encode()))


@given(path=st.sampled_from(PATHS), body=st.binary(max_size=60))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(client: httpx2.Client, path: str, body: bytes) -> None:
    assert_answered(client.post(path, content=body))


def assert_answered(answer: httpx2.Response) -> None:
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert set(error) >= {"message", "type", "param", "code", "x_aigc"}
        assert error["message"]
        assert "Traceback" not in answer.text
    elif answer.headers["content-type"] == "text/event-stream":
        assert '"error"' not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/health", 405),
        ("GET", "/v1/models/other", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/v1/chat/completions?x=%00", 400),
    ],
)
def test_what_is_not_there(client: httpx2.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert_answered(answer)
