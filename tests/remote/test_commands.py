"""`--base-url` as a person uses it: the real command line, in a process, against a server."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.remote.engines import CHAT
from tests.remote.replaying_server import (
    STREAM_HEAD,
    ReplayingServer,
    Route,
    answer,
    delta,
    event,
    finish,
    models,
    stream,
)

SECRET = "sk-test-123"
ROUTES: dict[str, Route] = {
    "/v1/models": models("big-model", context_length=100_000),
    CHAT: stream(delta("你好"), delta("!"), finish()),
}


def aigc(
    *argv: str, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aigc_cli", *argv],
        env={**os.environ, **(env or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_a_question_goes_to_the_server_and_no_model_is_looked_for_here() -> None:
    with ReplayingServer.on_tcp(dict(ROUTES)) as server:
        done = aigc("--base-url", server.url, "hello", env={"OPENAI_API_KEY": SECRET})
        assert (done.returncode, done.stdout, done.stderr) == (0, "你好!", "")
        asked = server.seen[-1]
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.body["model"] == "big-model"
    assert asked.body["messages"][-1] == {"role": "user", "content": "hello"}


def test_a_chat_from_a_pipe_sends_the_conversation() -> None:
    with ReplayingServer.on_tcp(dict(ROUTES)) as server:
        done = aigc("chat", "--base-url", server.url, stdin="one\n/model\ntwo\n")
        last = server.bodies(CHAT)[-1]["messages"]
    assert done.returncode == 0, done.stderr
    assert "big-model, a window of 100,000 tokens" in done.stdout + done.stderr
    assert [each["content"] for each in last][-3:] == ["one", "你好!", "two"]


def test_a_model_that_the_server_lacks() -> None:
    with ReplayingServer.on_tcp(dict(ROUTES)) as server:
        done = aigc("chat", "--base-url", server.url, stdin="/model other\n")
    assert done.returncode == 2
    assert "the server has no model 'other'" in done.stderr
    assert "it has: big-model" in done.stderr


def test_other_programs_variable_names_the_server_and_that_is_told() -> None:
    with ReplayingServer.on_tcp(dict(ROUTES)) as server:
        done = aigc("ask", "hello", env={"OPENAI_BASE_URL": f"{server.url}/v1"})
        assert (done.returncode, done.stdout) == (0, "你好!")
        assert "(OPENAI_BASE_URL)" in done.stderr
        own = aigc("ask", "hello", env={"OPENAI_BASE_URL": "http://127.0.0.1:1", "AIGC_BASE_URL": server.url})
        assert (own.returncode, own.stderr) == (0, "")


def test_a_key_alone_sends_nothing_anywhere() -> None:
    done = aigc("config", "show", "--json", env={"OPENAI_API_KEY": SECRET})
    assert '"base_url": {\n    "value": null' in done.stdout
    assert SECRET not in done.stdout


def test_a_project_can_not_name_a_server_or_run_a_command() -> None:
    for line in ('base_url = "http://evil.example"', 'api_key_command = "touch pwned"'):
        Path(".aigc.toml").write_text(line, encoding="utf-8")
        done = aigc("ask", "hello")
        assert done.returncode == 2
        assert "a project can't set" in done.stderr


def test_the_key_that_a_command_prints() -> None:
    command = f"{sys.executable} -c \"print(chr(115) + 'k-9')\""
    with ReplayingServer.on_tcp(dict(ROUTES)) as server:
        done = aigc(
            "--base-url", server.url, "hi", env={"AIGC_API_KEY_COMMAND": command, "OPENAI_API_KEY": "x"}
        )
        assert done.returncode == 0, done.stderr
        assert server.seen[-1].headers["authorization"] == "Bearer sk-9"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("false", "failed with exit code 1"),
        ("true", "printed nothing"),
        ("no-such-program", "can't be run"),
        ("'", "can't be run"),
    ],
)
def test_a_command_that_gives_no_key(command: str, message: str) -> None:
    done = aigc("--base-url", "http://127.0.0.1:1", "hi", env={"AIGC_API_KEY_COMMAND": command})
    assert done.returncode == 2
    assert message in done.stderr


def test_no_traceback_shows_the_key() -> None:
    refused = answer({"error": {"message": f"Incorrect API key provided: {SECRET}"}}, "401 Unauthorized")
    with ReplayingServer.on_tcp({"/v1/models": refused}) as server:
        done = aigc("--base-url", server.url, "hi", env={"OPENAI_API_KEY": SECRET, "AIGC_DEBUG": "1"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_a_password_in_the_address_is_neither_used_nor_shown() -> None:
    done = aigc("config", "show", env={"OPENAI_BASE_URL": "http://me:hunter2@host/v1"})
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr


def test_doctor_tells_which_engine_is_in_force() -> None:
    with ReplayingServer.on_tcp(dict(ROUTES)) as server:
        done = aigc("doctor", "--base-url", server.url)
        assert f"engine     the server at {server.url} (base_url from --base-url)" in done.stdout
    assert done.returncode == 0, done.stderr
    assert "model big-model, a window of 100,000 tokens" in done.stdout


def test_ctrl_c_ends_a_reply_of_a_server() -> None:
    with ReplayingServer.on_tcp(ROUTES | {CHAT: [STREAM_HEAD, event(delta("one")), 30.0]}) as server:
        argv = [sys.executable, "-m", "aigc_cli", "--base-url", server.url, "hi"]
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            assert running.stdout is not None
            assert running.stdout.read(3) == b"one"
            running.send_signal(signal.SIGINT)
            assert server.hung_up.wait(20)  # the server would take 30 s
            assert running.wait(20) == 130


def test_a_server_that_dies_in_the_middle_of_a_reply() -> None:
    with ReplayingServer.on_tcp(ROUTES | {CHAT: [STREAM_HEAD, event(delta("one"))]}) as server:
        done = aigc("--base-url", server.url, "hi")
    assert (done.returncode, done.stdout) == (1, "one")
    assert "broke off in the middle" in done.stderr


def test_a_reply_that_loops_is_stopped_unless_that_is_switched_off() -> None:
    words = [delta(word) for word in ("The ", "fox ", "took ", "to ", "the ", "forest. ")]
    pieces = stream(*words * 50, finish())
    with ReplayingServer.on_tcp(ROUTES | {CHAT: pieces}) as server:
        stopped = aigc("ask", "--json", "--base-url", server.url, "hi")
        whole = aigc("ask", "--json", "--base-url", server.url, "hi", env={"AIGC_LOOP_GUARD": "off"})
    assert '"finish_reason": "loop"' in stopped.stdout
    assert whole.stdout.count("forest") == 50
    assert 10 < stopped.stdout.count("forest") < 45
