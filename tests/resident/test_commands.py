"""Commands as a person types them: the same with the engine in the background and in their own process."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.gguf_files import write_model
from tests.resident.command import AIGC, aigc
from tests.resident.engines import World, chat, text_of
from tests.tiny_adapter import Making, write_tiny_adapter
from tests.tiny_model import write_tiny_model


@pytest.fixture(params=["0", "1"], ids=["in-process", "resident"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each test runs both ways; no engine outlives it."""
    monkeypatch.setenv("AIGC_RESIDENT", request.param)
    monkeypatch.setenv("AIGC_KEEP_ALIVE", "60")
    yield request.param
    aigc("engine", "stop")


def test_an_answer_is_the_same(mode: str, byte_model: Path) -> None:
    line = ("-m", str(byte_model), "--temperature", "0", "--max-tokens", "20", "--json", "hello")
    first, second = (json.loads(aigc(*line).stdout) for _ in range(2))
    assert first["model"] == "tiny"
    assert first["text"] == second["text"]
    assert len(first["text"]) == 20
    assert (second["tokens"]["cached"] > 0) or mode == "0"


@pytest.mark.usefixtures("mode")
def test_failures_have_the_same_exit_codes_and_words(byte_model: Path, tmp_path: Path) -> None:
    (tmp_path / "fake.gguf").write_bytes(b"nothing" * 300)
    fake = aigc("-m", "./fake.gguf", "hi")
    assert (fake.returncode, fake.stderr.count(b"\n")) == (3, 2), fake.stderr
    missing = aigc("-m", "./missing.gguf", "hi")
    assert (missing.returncode, missing.stderr.count(b"\n")) == (3, 2)
    full = aigc("-m", str(byte_model), "--context", "512", "what?", stdin=b"word " * 500)
    assert full.returncode == 4, full.stderr
    assert b"512" in full.stderr
    wide = aigc("-m", str(byte_model), "--context", "100000", "what?")
    assert wide.returncode == 2, wide.stderr


@pytest.mark.usefixtures("mode")
def test_choices_hold(byte_model: Path) -> None:
    done = aigc("-m", str(byte_model), "Is the sky blue?", "--choices", "yes,no")
    assert done.stdout in (b"yes\n", b"no\n"), done.stderr


@pytest.mark.usefixtures("mode")
def test_ctrl_c_ends_the_reply_and_nothing_else(byte_model: Path) -> None:
    line = [*AIGC, "-m", str(byte_model), "hello", "--no-stdin"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode in (0, 1, 130)  # it may have come to its end before
    assert b"Traceback" not in err
    assert aigc("-m", str(byte_model), "--max-tokens", "5", "again").returncode == 0


def test_the_engine_is_looked_at_and_stopped(mode: str, byte_model: Path) -> None:
    assert aigc("engine").stdout == b"no engine runs\n"
    assert aigc("-m", str(byte_model), "--max-tokens", "5", "hello").returncode == 0
    if mode == "0":
        assert json.loads(aigc("engine", "status", "--json").stdout) == []
        return
    shown = aigc("engine", "status").stdout.decode()
    assert "tiny, a window of 2,048 tokens: idle" in shown
    assert "leaves after 1 min without work" in shown
    assert re.search(r"held +1 prefix of [\d,]+ tokens, in a cache of [\d,]+; on disk 0 MB", shown), shown
    (report,) = json.loads(aigc("engine", "status", "--json").stdout)
    assert (report["replies"], report["reply_tokens"], report["waiting"]) == (1, 5, 0)
    assert len(report["held_prefixes"]) == 1
    assert report["held_prefixes"][0] >= report["prompt_tokens"]
    assert b"engine starts" in aigc("engine", "log").stdout
    assert aigc("engine", "restart", "-m", str(byte_model)).returncode == 0
    (again,) = json.loads(aigc("engine", "status", "--json").stdout)
    assert again["pid"] != report["pid"]
    assert aigc("engine", "stop").stderr == b"aigc: 1 engine stopped\n"
    assert aigc("engine", "stop").stderr == b"aigc: no engine ran\n"


@pytest.mark.usefixtures("mode")
def test_an_engine_is_started_ahead_of_the_first_question(byte_model: Path) -> None:
    started = aigc("engine", "start", "-m", str(byte_model))
    assert started.stderr == b"aigc: tiny is loaded, a window of 2,048 tokens\n"
    assert len(json.loads(aigc("engine", "status", "--json").stdout)) == 1


def test_where_no_engine_can_live_the_command_loads_the_model_itself(
    byte_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIGC_RESIDENT", "1")
    state = Path(os.environ["AIGC_HOME"]) / "state"
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text("a file where a directory belongs")
    line = ("-m", str(byte_model), "--max-tokens", "5", "hello")
    answered = aigc(*line)
    assert (answered.returncode, len(answered.stdout)) == (0, 5), answered.stderr
    assert b"no engine can stay in the background" in answered.stderr
    state.unlink()
    (state / "engines").mkdir(parents=True)
    (state / "engines").chmod(0o777)
    assert b"open to others" in aigc(*line).stderr
    assert aigc("engine", "start", "-m", str(byte_model)).returncode == 1


def test_what_is_kept_on_disk_is_told_and_deleted() -> None:
    kv = Path(os.environ["AIGC_HOME"]) / "cache" / "kv"
    assert aigc("engine", "cache").stdout == f"0 files, 0 MB: {kv}\n".encode()
    assert aigc("engine", "cache", "clear").stderr == b"aigc: deleted: 0 files, 0 MB\n"
    assert aigc("engine", "cache", "clean").returncode == 2


def test_two_chats_that_take_turns_keep_what_was_read(world: World) -> None:
    first, second = world.open(), world.open()
    told: dict[str, list[str]] = {"a": [], "b": []}
    read = []
    for turn in range(4):
        for name, engine in (("a", first), ("b", second)):
            question = f"{name}{turn}: {name * 40}"
            before = world.reports()[0]
            events = list(engine.stream(chat(*told[name], question, max_tokens=30)))
            after = world.reports()[0]
            evaluated = (after["prompt_tokens"] - after["cached_tokens"]) - (
                before["prompt_tokens"] - before["cached_tokens"]
            )
            read.append((turn, evaluated))
            told[name] += [question, text_of(events)]
    assert all(evaluated < 80 for turn, evaluated in read if turn), read


def test_adapters_come_and_go_and_the_model_stays_loaded(mode: str, byte_model: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("sql", "style")):
        write_tiny_adapter(tmp_path / f"{name}.gguf", seed=number)

    def said(*lora: str) -> bytes:
        options = [word for each in lora for word in ("--lora", each)]
        line = ("-m", str(byte_model), "--temperature", "0", "--max-tokens", "20", *options, "hello")
        done = aigc("complete", *line)
        assert done.returncode == 0, done.stderr
        return done.stdout

    plain, sql, style, both = said(), said("sql.gguf"), said("style.gguf"), said("sql.gguf", "style.gguf:0.5")
    assert len({plain, sql, style, both}) == 4
    assert said("sql.gguf:0") == plain
    assert (said("sql.gguf"), said()) == (sql, plain)
    if mode == "1":
        (report,) = json.loads(aigc("engine", "status", "--json").stdout)
        assert report["replies"] == 7
        assert {Path(path).name for path in report["adapters"]} == {"sql.gguf", "style.gguf"}
        assert b"adapters   " in aigc("engine", "status").stdout


@pytest.mark.usefixtures("mode")
def test_an_adapter_that_does_not_fit_is_told_alike(byte_model: Path, tmp_path: Path) -> None:
    write_tiny_adapter(tmp_path / "wide.gguf", making=Making(n_out=99))
    write_tiny_adapter(tmp_path / "other.gguf", making=Making(architecture="qwen2"))
    for name, words in (
        ("missing.gguf", b"No such file"),
        (str(byte_model), b"is a whole model"),
        ("other.gguf", b"for qwen2 models"),
        ("wide.gguf", b"'blk.0.attn_q.weight' has incorrect shape"),
    ):
        done = aigc("-m", str(byte_model), "--lora", name, "hi")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (3, b"", 2), done.stderr
        assert words in done.stderr


def test_a_draft_model_changes_nothing_that_is_said(
    mode: str, byte_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = write_tiny_model(tmp_path / "large.gguf", ascii_only=True, merges=("ÿ þ",), n_layers=4)
    shutil.copy(byte_model, tmp_path / "small.gguf")
    line = ("complete", "-m", str(large), "--temperature", "0", "--max-tokens", "60", "hello")
    plain = aigc(*line)
    assert plain.returncode == 0, plain.stderr
    monkeypatch.setenv("AIGC_DRAFT_MODEL", "small.gguf")
    assert aigc(*line).stdout == plain.stdout
    for _ in range(20):  # it is loaded in the background
        assert aigc(*line).stdout == plain.stdout
        if mode == "0" or b"guesses    by small" in aigc("engine", "status").stdout:
            return
    pytest.fail("the small model is not at work")


@pytest.mark.usefixtures("mode")
def test_a_draft_model_that_is_not_there_is_told(
    byte_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF?")
    for wanted, words in (
        ("broken.gguf", b"broken.gguf"),
        ("xyzzy", b"no model named 'xyzzy'"),
        ("0.5b", b"aigc models pull qwen2.5-coder-0.5b"),
    ):
        monkeypatch.setenv("AIGC_DRAFT_MODEL", wanted)
        done = aigc("-m", str(byte_model), "hello")
        assert (done.returncode, done.stderr.count(b"\n")) == (3, 2), done.stderr
        assert words in done.stderr


@pytest.mark.usefixtures("mode")
def test_a_draft_model_of_another_model_is_not_asked(
    byte_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "other.gguf")
    for wanted in ("other.gguf", str(byte_model), "off"):
        monkeypatch.setenv("AIGC_DRAFT_MODEL", wanted)
        assert aigc("-m", str(byte_model), "--max-tokens", "5", "hello").returncode == 0
    assert b"guesses" not in aigc("engine", "status").stdout
