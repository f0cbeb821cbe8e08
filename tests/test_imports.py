"""What starting up costs: --help must not pay for what only a reply needs."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aigc_cli.chat.entries import Entry, State
from aigc_cli.chat.session import Conversation, Question
from aigc_cli.chat.store import FILE_NAME, SessionStore
from aigc_cli.events import FinishReason

# 60 ms, 40 ms and 10 ms of a start: what is short must not pay for them
SLOW = ("pydantic", "asyncio", "email", "importlib.metadata")
HEAVY = (
    "llama_cpp",
    "numpy",
    "huggingface_hub",
    "prompt_toolkit",
    "rich",
    "pygments",
    "psutil",
    "jinja2",
    "uvicorn",
    "starlette",
)
STARTS = {
    "import aigc_cli.cli.app": "import aigc_cli.cli.app",
    "--help": "from aigc_cli.__main__ import run_process; run_process(['--help'])",
    "ask --help": "from aigc_cli.__main__ import run_process; run_process(['ask', '--help'])",
    "models --help": "from aigc_cli.__main__ import run_process; run_process(['models', '--help'])",
    "--version": "from aigc_cli.__main__ import run_process; run_process(['--version'])",
    "config show": "from aigc_cli.__main__ import run_process; run_process(['config', 'show'])",
    "a mistake": "from aigc_cli.__main__ import run_process; run_process(['ask', '--no-such-option'])",
}
ASK = """
import os, sys
from aigc_cli.__main__ import run_process

def open_engine(app, settings):
    print(*sys.modules, file=sys.__stdout__, flush=True)
    os._exit(0)

run_process(["-m", "smol", "--temperature", "0.5", "--stats", "why?"], open_engine)
"""
SESSIONS = (
    "from aigc_cli.__main__ import run_process; run_process(['sessions', {!r}, '-n', '3', 'word'][:{}])"
)
SHORT = {
    "ask, until the engine is opened": ASK,
    "sessions list": SESSIONS.format("list", 4),
    "sessions search": SESSIONS.format("search", 5),
    "config show": STARTS["config show"],
}
MOST = 6.0  # times the start of a bare interpreter
RUNS = 9


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys; print('\\n' + ' '.join(sys.modules), file=sys.__stdout__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("start", STARTS)
def test_nothing_heavy_is_imported(start: str) -> None:
    loaded = loaded_by(STARTS[start])
    assert "aigc_cli" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("command", SHORT)
def test_a_short_command_needs_neither_pydantic_nor_asyncio(command: str) -> None:
    loaded = loaded_by(SHORT[command])
    assert "aigc_cli.cli.app" in loaded
    assert loaded.isdisjoint((*HEAVY, *SLOW))


@pytest.mark.parametrize("command", ["sessions list", "sessions search"])
def test_a_list_of_sessions_needs_no_model(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SessionStore(tmp_path / "data" / FILE_NAME, lambda: 0.0)
    entry = Entry(Question("a word"), "and another", State.DONE, FinishReason.STOP)
    store.create(Conversation(), [entry], "m")
    store.close()
    monkeypatch.setenv("AIGC_HOME", str(tmp_path))
    loaded = loaded_by(SHORT[command])
    assert "aigc_cli.chat.store" in loaded
    assert loaded.isdisjoint(
        (*SLOW, "rich.console", "llama_cpp", "numpy", "secrets", "aigc_cli.models.store")
    )


def test_a_command_is_not_built_for_another_one() -> None:
    loaded = loaded_by(ASK)
    assert "aigc_cli.cli.ask" in loaded
    assert loaded.isdisjoint(
        f"aigc_cli.cli.{name}" for name in ("chat", "gen", "models", "sessions", "doctor")
    )


def test_the_version_does_not_even_need_typer() -> None:
    assert "typer" not in loaded_by(STARTS["--version"])


def seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True
    )
    return time.perf_counter() - started


def test_the_version_takes_no_more_than_six_times_a_bare_interpreter() -> None:
    # alternating, so that whatever else the machine does falls on both alike
    pairs = [(seconds("-c", "pass"), seconds("-m", "aigc_cli", "--version")) for _ in range(RUNS)]
    bare, version = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert version <= MOST * bare
