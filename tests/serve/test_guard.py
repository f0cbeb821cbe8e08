"""Who may ask: keys, hosts, origins, sizes."""

import socket
from typing import Any

import pytest
from openai import AuthenticationError

from aigc_cli.serve.guard import Rules
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving
from tests.serve.test_chat import HELLO

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"messages": HELLO}


def test_a_key_is_asked_for_everywhere_but_at_the_health_check(engine: ScriptedEngine) -> None:
    with serving(engine, Rules(api_key="s3cret")) as server:
        for given in (None, "Bearer wrong", "Bearer", "Basic s3cret", "Bearer s3cret2", "Bearer s3cre"):
            answer = server.post(CHAT, BODY, headers={"Authorization": given} if given else {})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key"), given
            assert "s3cret" not in answer.text
        assert engine.requests == []
        assert server.post(CHAT, BODY, headers={"Authorization": "bearer s3cret"}).status_code == 200
        assert server.post(CHAT, BODY, headers={"X-Api-Key": "s3cret"}).status_code == 200
        with server.client() as client:
            assert client.get("/health").json() == {"status": "ok"}
            for path in ("/props", "/v1/models", "/nowhere"):
                assert client.get(path).status_code == 401
        assert server.openai(api_key="s3cret").models.list().data[0].id == "scripted"
        with pytest.raises(AuthenticationError):
            server.openai(api_key="wrong").models.list()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "[::1", "a:b:c"]
)
def test_a_name_that_was_pointed_at_this_machine_is_not_served(server: Running, host: str) -> None:
    answer = server.post(CHAT, BODY, headers={"Host": host})
    assert answer.status_code in (400, 403)  # 400: the HTTP library's own answer to what is no host at all
    if answer.status_code == 403:
        assert answer.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:1", "[::1]:8080", "192.168.1.7"])
def test_this_machine_is_asked_by_its_address(server: Running, host: str) -> None:
    assert server.post(CHAT, BODY, headers={"Host": host}).status_code == 200


def test_further_names_can_be_allowed(engine: ScriptedEngine) -> None:
    with serving(engine, Rules(host_names=("box.lan",))) as server:
        assert server.post(CHAT, BODY, headers={"Host": "box.lan:8080"}).status_code == 200
        assert server.post(CHAT, BODY, headers={"Host": "other.lan"}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
def test_a_page_of_another_origin_may_not_ask(server: Running, engine: ScriptedEngine, origin: str) -> None:
    answer = server.post(CHAT, BODY, headers={"Origin": origin, "Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers
    assert engine.requests == []


def test_a_page_of_the_server_itself_may_ask(server: Running) -> None:
    assert server.post(CHAT, BODY, headers={"Origin": server.url}).status_code == 200


def test_an_allowed_page_gets_the_headers_that_its_browser_wants(engine: ScriptedEngine) -> None:
    page = "https://chat.example"
    with serving(engine, Rules(origins=(page,))) as server, server.client() as client:
        asked = {"Origin": page, "Access-Control-Request-Method": "POST"}
        preflight = client.options(CHAT, headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == page
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        answer = client.post(CHAT, json=BODY, headers={"Origin": page})
        assert answer.headers["access-control-allow-origin"] == page
        assert answer.headers["vary"] == "Origin"
        assert client.options(CHAT, headers=asked | {"Origin": "https://evil.example"}).status_code == 403


def test_a_long_body_is_refused_before_it_is_read(engine: ScriptedEngine) -> None:
    with serving(engine, Rules(most_bytes=1000)) as server:
        answer = server.post(CHAT, {"messages": [{"role": "user", "content": "x" * 2000}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
        assert server.post(CHAT, BODY).status_code == 200


def test_a_long_body_that_does_not_say_so_is_refused_too(engine: ScriptedEngine) -> None:
    with serving(engine, Rules(most_bytes=1000)) as server, server.client() as client:
        answer = client.post(CHAT, content=iter([b'{"messages": "', *[b"x" * 100] * 30]))
        assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "9" * 30, "0x10", "1, 2"])
def test_a_senseless_length_does_no_harm(server: Running, length: str) -> None:
    request = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{{}}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request.encode())
        status = connection.recv(4096).split()[1]
    assert status in (b"400", b"413")
    assert server.post(CHAT, BODY).status_code == 200


def test_what_is_no_http_does_no_harm(server: Running) -> None:
    for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET\r\n\r\n", b"\x00" * 70_000):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert server.post(CHAT, BODY).status_code == 200


def test_a_key_never_shows_itself() -> None:
    assert "s3cret" not in repr(Rules(api_key="s3cret"))
