"""`aigc serve` as a person runs it: a process, signals, keys, ports."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.scripted_aigc import scripted_argv, seen_requests

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
URL = re.compile(r"http://\S+:\d+(?=/v1,)")


class Served:
    """A process that serves, and what it said so far."""

    def __init__(self, process: subprocess.Popen[str], url: str, said: str) -> None:
        self.process = process
        self.url = url
        self.said = said

    def ended(self) -> tuple[int, str]:
        """The exit code and everything on stderr."""
        out, error = self.process.communicate(timeout=60)
        assert out == ""
        return self.process.returncode, self.said + error


@contextmanager
def served(
    folder: Path, *arguments: str, env: dict[str, str] | None = None, **script: Any
) -> Iterator[Served]:
    argv = [*scripted_argv(folder, **script), "serve", "--port", "0", *arguments]
    with serving_process(argv, env) as server:
        yield server


@contextmanager
def serving_process(argv: list[str], env: dict[str, str] | None = None) -> Iterator[Served]:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
    )
    assert process.stderr is not None
    said = process.stderr.readline() + process.stderr.readline()
    try:
        found = URL.search(said)
        assert found, said + process.communicate(timeout=60)[1]
        yield Served(process, found[0], said)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def failed(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [*scripted_argv(folder), "serve", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_it_says_where_it_is_and_how_to_try_it(tmp_path: Path) -> None:
    with served(tmp_path, replies=["hello {prompt}"]) as server:
        assert "scripted at http://127.0.0.1:" in server.said
        line = server.said.splitlines()[1].partition("try: ")[2]
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=True)
        assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "hello hello"


def test_the_model_is_in_this_process_whatever_engine_other_commands_ask(
    tmp_path: Path, tiny_file: Path
) -> None:
    home = tmp_path / "home"
    env = {"AIGC_HOME": str(home), "AIGC_RESIDENT": "true", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    argv = [
        sys.executable,
        "-m",
        "aigc_cli",
        "serve",
        "--port",
        "0",
        "-m",
        str(tiny_file),
        "--context",
        "512",
    ]
    with serving_process(argv, env) as server:
        answer = httpx2.post(f"{server.url}/tokenize", json={"content": "hello"}, timeout=60)
        assert answer.json()["tokens"]
        reply = httpx2.post(server.url + CHAT, json=BODY | {"max_tokens": 2}, timeout=60)
        assert reply.json()["usage"]["completion_tokens"] == 2
        assert not list(home.rglob("*.pid"))  # no resident engine
        server.process.send_signal(signal.SIGTERM)
        assert server.ended()[0] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_lets_the_reply_end_and_turns_new_ones_away(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # it ends within the three seconds that it gets, and not before the signal comes
    with served(tmp_path, replies=["word word word"], delay_s=0.5) as server:
        with httpx2.stream("POST", server.url + CHAT, json=BODY | {"stream": True}, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(number)
            rest = "".join(lines)
        assert rest.count("word") == 3
        assert '"finish_reason":"stop"' in rest
        assert rest.endswith("[DONE]")
        ended, said = server.ended()
    assert ended == code
    assert "the reply at work gets a moment to end" in said
    assert "Traceback" not in said


def test_a_second_signal_cuts_the_reply(tmp_path: Path) -> None:
    with served(tmp_path, replies=["word " * 1000], delay_s=0.05) as server:
        with httpx2.stream("POST", server.url + CHAT, json=BODY | {"stream": True}, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGINT)
            while "word" not in next(lines):
                pass
            server.process.send_signal(signal.SIGINT)
            rest = "".join(lines)
        assert '"x_aigc":{"finish_reason":"interrupted"}' in rest
        assert rest.endswith("[DONE]")
        code, said = server.ended()
    assert code == 130
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        port = server.url.rpartition(":")[2]
        code, said = failed(tmp_path, "--port", port)
    assert code == 1
    assert f"can't listen on 127.0.0.1 port {port}: Address already in use" in said
    assert "hint: choose another --port" in said
    assert seen_requests(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--host", "0.0.0.0"), 2, "others could use the model through 0.0.0.0 without a key"),
        (("--host", "::"), 2, "without a key"),
        (("--host", "no.such.host.invalid", "--api-key", "k"), 1, "no.such.host.invalid"),
        (("--port", "70000"), 2, "65535"),
        (("--api-key", ""), 2, "the API key is empty"),
        (("--api-key", "a b"), 2, "no header can carry"),
        (("--api-key", "schlüssel"), 2, "no header can carry"),
        (("--api-key", "k", "--api-key-file", "f"), 2, "exclude each other"),
        (("--api-key-file", "missing"), 1, "missing: No such file"),
        (("--allow-origin", "*"), 2, "any page in a browser"),
        (("--max-waiting", "0"), 2, "max-waiting"),
    ],
)
def test_what_can_t_be_served_safely_is_not(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended, stderr = failed(tmp_path, *arguments)
    assert ended == code
    assert said in stderr


def keyed(server: Served, key: str) -> int:
    return httpx2.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_key_comes_from_an_option_a_variable_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\nnot this\n", encoding="utf-8")
    file.chmod(0o644)
    environment = {"AIGC_API_KEY": "from-variable"}
    for arguments, key in (
        (("--api-key", "from-option"), "from-option"),
        ((), "from-variable"),
        (("--api-key-file", str(file)), "from-file"),
    ):
        # a host that is not this machine's alone: the key makes it possible
        with served(tmp_path, "--host", "0.0.0.0", *arguments, env=environment) as server:
            server.url = server.url.replace("0.0.0.0", "127.0.0.1")
            assert keyed(server, key) == 200
            assert keyed(server, key + "x") == 401
            server.process.terminate()
            _, said = server.ended()
        assert key not in said
        if "file" in key:
            assert f"others on this machine can read {file}" in said


def test_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with served(tmp_path, "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx2.get(f"{server.url}/health").json() == {"status": "ok"}
