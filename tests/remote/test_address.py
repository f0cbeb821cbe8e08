"""Addresses, keys and certificates: those that can't be used, and a reply over HTTPS."""

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from aigc_cli.engine.address import Secret
from aigc_cli.engine.connection import Timeouts
from aigc_cli.errors import AigcError, ConfigError, EngineError
from tests.remote.engines import chat, engine_at, text_of
from tests.remote.replaying_server import ReplayingServer, delta, finish, models, stream


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8080", "neither http:// nor https://"),
        ("ftp://x", "neither"),
        ("http://", "no address"),
        ("http://host:99999", "no address"),
        ("http://user:hunter2@host/v1", "user name or password"),
        ("http://host/v1?key=x", "no address"),
        ("http://host/a b", "no address"),
        ("http://host/\r\nX: y", "no address"),
        ("unix:relative.sock", "not the path"),
        ("", "neither"),
    ],
)
def test_addresses_that_are_none(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        engine_at(url)
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}"


def test_the_hint_for_an_address_without_a_scheme_is_the_right_one() -> None:
    with pytest.raises(ConfigError) as caught:
        engine_at("localhost:8080/v1")
    assert caught.value.hint == "base_url = http://localhost:8080/v1"


def test_a_key_that_would_be_two_headers() -> None:
    with pytest.raises(ConfigError, match="API key") as caught:
        Secret("sk-1\r\nX-Evil: 1")
    assert "sk-1" not in f"{caught.value.message}{caught.value.hint}"
    assert "sk-2" not in repr(Secret("sk-2"))


def test_https_where_there_is_only_http() -> None:
    with ReplayingServer.on_tcp({}) as server, pytest.raises(AigcError, match="no TLS connection"):
        _ = engine_at(server.url.replace("http:", "https:"), timeouts=Timeouts(0.5, 0.5, 0.5)).info


def test_a_certificate_that_nobody_signed(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def shake_hands() -> None:
        connection, _ = listener.accept()
        with pytest.raises(OSError, match=r".*"):
            context.wrap_socket(connection, server_side=True)
        connection.close()

    serving = threading.Thread(target=shake_hands)
    serving.start()
    with listener, pytest.raises(EngineError, match="not to be trusted"):
        _ = engine_at(f"https://127.0.0.1:{listener.getsockname()[1]}").info
    serving.join()


def test_a_reply_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    long = "长 answer 🙂 " * 2000  # more than one TLS record
    chunks = stream(delta("hello "), 0.05, delta(long), finish())
    routes = {"/v1/models": models("m"), "/v1/chat/completions": chunks}
    with ReplayingServer.on_tls({**routes}, cert, key) as server:
        engine = engine_at(f"{server.url}/v1", key="sk-1")
        assert server.url.startswith("https:")
        assert text_of(engine.stream(chat("问题 " * 5000))) == "hello " + long
        (asked,) = server.bodies("/v1/chat/completions")
    assert asked["messages"][-1]["content"] == "问题 " * 5000
    assert server.seen[-1].headers["authorization"] == "Bearer sk-1"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-newkey", "rsa:2048", "-nodes", "-x509", "-days", "2", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([openssl, "req", *made, *names], check=True, capture_output=True)
    return cert, key
