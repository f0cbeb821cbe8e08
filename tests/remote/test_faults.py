"""What can go wrong between aigc and a server: each is one clear error, and nothing is lost or doubled."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aigc_cli.engine.connection import Timeouts
from aigc_cli.engine.sse import MOST_LINE_BYTES, objects
from aigc_cli.errors import (
    AigcError,
    ContextOverflow,
    EngineError,
    ExitCode,
    ModelError,
    ServerGone,
    ServerUnreachable,
    UnsupportedFeature,
)
from aigc_cli.events import Delta
from tests.remote.engines import CHAT, QUICK, chat, engine_at, known_engine, text_of
from tests.remote.replaying_server import (
    END,
    STREAM_HEAD,
    Piece,
    ReplayingServer,
    answer,
    chunked,
    delta,
    event,
    finish,
    stream,
)


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port that refuses connections until the socket listens; nobody else can take it meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def url_of(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"


def failure(pieces: list[Piece], *, key: str = "", timeouts: Timeouts | None = None) -> AigcError:
    """What a chat ends with when the server answers so."""
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        engine = known_engine(server.url, key=key, timeouts=timeouts or QUICK)
        with pytest.raises(AigcError) as caught:
            list(engine.stream(chat()))
    return caught.value


def test_nobody_listens(taken: socket.socket) -> None:
    with pytest.raises(ServerUnreachable, match=r"no server at http://127\.0\.0\.1:") as caught:
        _ = engine_at(url_of(taken)).info
    assert caught.value.hint == "start it, or check base_url"


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable, match=r"unix:.*no such file"):
        _ = engine_at(f"unix:{tmp_path / 'none.sock'}").info


def test_a_server_that_starts_late_is_reached(taken: socket.socket) -> None:
    engine = known_engine(url_of(taken), retry_pauses_s=(0.2,) * 100)
    servers: list[ReplayingServer] = []

    def start() -> None:
        time.sleep(0.1)
        routes = {CHAT: stream(delta("late"), finish())}
        taken.listen()
        servers.append(ReplayingServer(dict(routes), taken).__enter__())

    starting = threading.Thread(target=start)
    starting.start()
    assert text_of(engine.stream(chat())) == "late"
    starting.join()
    servers[0].__exit__()


def test_a_reply_that_began_is_never_asked_for_again() -> None:
    with ReplayingServer.on_tcp({CHAT: [STREAM_HEAD, event(delta("one"))]}) as server:
        engine = known_engine(server.url)
        events = engine.stream(chat())
        assert next(events) == Delta("one")
        with pytest.raises(ServerGone, match="broke off"):
            next(events)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [STREAM_HEAD, event(delta("one")), b"5\r\nda"],
        [STREAM_HEAD, event(delta("one")), b"0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\ndata: {}\n\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Ty"],
    ],
    ids=["in a chunk", "without an end of the reply", "before its length", "in the head"],
)
def test_a_server_that_breaks_off(pieces: list[Piece]) -> None:
    assert isinstance(failure(pieces), ServerGone)


def test_a_server_that_hangs_up_at_once_is_asked_a_few_times() -> None:
    with ReplayingServer.on_tcp({CHAT: [b""]}) as server:
        with pytest.raises(ServerUnreachable, match="hung up"):
            list(known_engine(server.url).stream(chat()))
        assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([b"220 mail.example.org ESMTP\r\n\r\n"], "does not speak HTTP"),
        ([STREAM_HEAD, b"zz\r\nrubbish\r\n"], "garbled"),
        ([STREAM_HEAD, b"-5\r\nrubbish\r\n"], "garbled"),
        ([STREAM_HEAD, chunked(b"data: {rubbish\n\n")], "garbled"),
        ([STREAM_HEAD, chunked(b"data: [1, 2]\n\n")], "garbled"),
        ([STREAM_HEAD, chunked(b"data: " + b"[" * 100_000 + b"\n\n")], "garbled"),
        (answer(b"<!doctype html><h1>Welcome</h1>", kind="text/html; charset=utf-8"), "web page"),
        (answer({"choices": [{"index": 7, "delta": {"content": "x"}}]}), "nobody asked for"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000], "no end of its headers"),
    ],
)
def test_what_is_no_answer_of_a_chat_server(pieces: list[Piece], message: str) -> None:
    error = failure(pieces)
    assert message in error.message
    assert error.exit_code is ExitCode.FAILURE


def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(EngineError, match="longer than 16 MB"):
        list(objects(b"x" * 65_536 for _ in range(MOST_LINE_BYTES // 65_536 + 1)))


def test_a_long_line_in_small_pieces_takes_linear_time() -> None:
    text = "x" * 4_000_000
    line = b'data: {"choices": [], "pad": "' + text.encode() + b'"}\n\n'
    pieces = [line[i : i + 1000] for i in range(0, len(line), 1000)]
    assert [value and value["pad"] for value in objects(pieces)] == [text]


@given(st.lists(st.integers(1, 9), max_size=60))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_cut_of_the_bytes_gives_the_same_text(sizes: list[int]) -> None:
    body = ': ping\n\ndata: {"t": "你好 🎉 é"}\r\n\r\ndata: {"t":\ndata:"two lines"}\n\ndata: [DONE]\n\n'
    rest, pieces = body.encode(), []
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert list(objects([*pieces, rest])) == [{"t": "你好 🎉 é"}, {"t": "two lines"}, None]


def test_half_a_character_at_the_border_of_two_chunks() -> None:
    whole = (
        b'data: {"choices":[{"index":0,"delta":{"content":"'
        + "你好".encode()
        + b'"},"finish_reason":"stop"}]}\n\n'
    )
    cut = whole.index("你".encode()) + 1
    pieces: list[Piece] = [STREAM_HEAD, chunked(whole[:cut]), 0.02, chunked(whole[cut:]), END]
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        assert text_of(known_engine(server.url).stream(chat())) == "你好"


def test_a_server_that_says_nothing_is_waited_for_only_so_long() -> None:
    error = failure([30.0], timeouts=Timeouts(5, 0.2, 0.2))
    assert isinstance(error, ServerGone)
    assert "no answer for 0.2 s" in error.message
    assert "first_token_timeout" in error.hint


def test_a_long_prefill_is_waited_for_and_a_stalled_reply_is_not() -> None:
    pieces = stream(delta(""), 0.4, delta("one"), 30.0)
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        events = known_engine(server.url, timeouts=Timeouts(5, 5, 0.2)).stream(chat())
        assert next(events) == Delta("one")
        with pytest.raises(ServerGone, match=r"no answer for 0\.2 s"):
            next(events)


def test_a_large_request_that_is_refused_half_way_tells_why() -> None:
    refused = answer({"error": {"message": "too big"}}, "413 Payload Too Large")
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(b"".join(piece for piece in refused if isinstance(piece, bytes)))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass
        connection.close()

    serving = threading.Thread(target=refuse)
    serving.start()
    with listener, pytest.raises(EngineError, match="too large"):
        list(known_engine(f"http://127.0.0.1:{listener.getsockname()[1]}").stream(chat("x" * 4_000_000)))
    serving.join()


REFUSALS = [
    ("401 Unauthorized", {"error": {"message": "Invalid key sk-secret-1"}}, EngineError, "wants an API key"),
    ("403 Forbidden", {"error": "no"}, EngineError, "access is refused: no"),
    ("404 Not Found", {"detail": "Not Found"}, EngineError, "no such route"),
    (
        "404 Not Found",
        {"error": {"message": "model 'm' not found", "type": "not_found_error"}},
        ModelError,
        "no model",
    ),
    ("429 Too Many Requests", {"error": {"message": "quota"}}, EngineError, "too many requests"),
    ("500 Internal Server Error", {"error": {"message": "boom"}}, EngineError, "the server failed: boom"),
    ("502 Bad Gateway", {}, EngineError, "the gateway reaches no server"),
    (
        "503 Service Unavailable",
        {"error": {"message": "Loading model"}},
        EngineError,
        "not ready: Loading model",
    ),
    ("400 Bad Request", {"error": {"message": "bad value", "code": None}}, EngineError, "bad value"),
    (
        "501 Not Implemented",
        {"error": {"message": "x", "type": "not_supported_error"}},
        UnsupportedFeature,
        "can't",
    ),
]


@pytest.mark.parametrize(("status", "body", "kind", "message"), REFUSALS)
def test_refusals_by_status(status: str, body: object, kind: type[AigcError], message: str) -> None:
    error = failure(answer(body, status), key="sk-secret-1")
    assert isinstance(error, kind)
    assert message in error.message
    assert "\n" not in error.message
    assert "sk-secret-1" not in f"{error.message}{error.hint}{error!r}"


def test_a_redirection_is_told_and_not_followed() -> None:
    error = failure(answer(b"", "308 Permanent Redirect", Location="https://elsewhere.example/v1"))
    assert "https://elsewhere.example/v1" in error.message


def test_how_long_a_busy_server_asks_to_wait() -> None:
    error = failure(answer({"error": {"message": "slow down"}}, "429 Too Many Requests", Retry_After="7"))
    assert error.hint == "try again in 7 s"


OVERFLOWS = [
    (  # llama-server, tools/server/server-common.cpp of 2026
        {
            "error": {
                "code": 400,
                "message": "request (12031 tokens) exceeds the available context size (4096 tokens), "
                "try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 12031,
                "n_ctx": 4096,
            }
        },
        (12031, 4096),
    ),
    (  # OpenAI, https://platform.openai.com/docs/guides/error-codes
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens. However, your messages "
                "resulted in 9000 tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error",
                "code": "context_length_exceeded",
            }
        },
        (9000, 8192),
    ),
    (  # vLLM 0.33.0, vllm/renderers/params.py
        {
            "error": {
                "message": "This model's maximum context length is 2048 tokens. However, you "
                "requested 100 output tokens and your prompt contains at least 2949 input "
                "tokens, for a total of at least 3049 tokens.",
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            }
        },
        (2949, 2048),
    ),
    (  # vLLM before 0.11, vllm/entrypoints/openai/serving_engine.py
        {
            "object": "error",
            "message": "This model's maximum context length is 2048 tokens. However, you requested "
            "3000 tokens (2900 in the messages, 100 in the completion). Please reduce the length.",
            "type": "BadRequestError",
            "code": 400,
        },
        (2900, 2048),
    ),
    ({"error": {"message": "prompt too long; exceeded max context length by 77 tokens"}}, (0, 0)),  # Ollama
]


@pytest.mark.parametrize(("body", "numbers"), OVERFLOWS)
def test_a_prompt_that_does_not_fit(body: object, numbers: tuple[int, int]) -> None:
    error = failure(answer(body, "400 Bad Request"))
    assert isinstance(error, ContextOverflow)
    assert error.exit_code is ExitCode.CONTEXT_OVERFLOW
    assert (error.n_tokens, error.n_ctx) == numbers


def test_our_own_server_says_hint_and_exit_code() -> None:
    body = {
        "message": "top_k is -3",
        "type": "invalid_request_error",
        "x_aigc": {"hint": "0 to 9", "exit_code": 2},
    }
    error = failure(answer({"error": body}, "400 Bad Request"))
    assert (error.message, error.hint, error.exit_code) == ("top_k is -3", "0 to 9", ExitCode.USAGE)


def test_an_error_in_the_middle_of_a_stream() -> None:
    with ReplayingServer.on_tcp(
        {CHAT: stream(delta("one"), {"error": {"message": "out of memory"}})}
    ) as server:
        events = known_engine(server.url).stream(chat())
        assert next(events) == Delta("one")
        with pytest.raises(EngineError, match="out of memory"):
            next(events)


def test_a_content_filter_is_told() -> None:
    assert "content filter" in failure(stream(delta("one"), finish("content_filter"))).message
