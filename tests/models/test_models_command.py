"""`aigc models`, as a person and as a script use it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pexpect
import pytest

from aigc_cli.cli.app import run
from aigc_cli.cli.context import AppContext
from aigc_cli.config import Directories
from aigc_cli.errors import ExitCode
from tests.cli.command_line import CommandLine, Stream
from tests.models.gguf_files import write_model
from tests.models.hub_server import HubServer

REPO = "hf:owner/repo:tiny.gguf"


@pytest.fixture
def aigc(tmp_path: Path, isolated: Path) -> CommandLine:
    return CommandLine(cwd=tmp_path, home=isolated)


@pytest.fixture
def stored(aigc: CommandLine) -> Path:
    """A model that was put into the directory by hand."""
    directory = aigc.home / "aigc" / "data" / "models"
    directory.mkdir(parents=True)
    return write_model(directory / "mine.gguf")


@pytest.fixture
def on_hub(hub: HubServer, model_bytes: bytes) -> dict[str, str]:
    """Environment of a machine whose hub has a model."""
    hub.files["tiny.gguf"] = model_bytes
    return {"HF_ENDPOINT": hub.endpoint, "PATH": os.environ["PATH"]}


def answer(aigc: CommandLine, typed: str, *argv: str) -> tuple[int, str]:
    """Run at a terminal where somebody types this."""
    env = {"AIGC_HOME": str(aigc.home / "aigc")}
    stdin, out, err = (Stream(typed.encode(), is_terminal=True), Stream(), Stream())

    def no_engine(*_: object) -> NoReturn:
        raise AssertionError("a command on model files loads no model")

    places = Directories.from_environment(env)
    app = AppContext(stdin, out, err, aigc.cwd, env, places, lambda: 0.0, lambda: 0.0, no_engine)
    return run(argv, app), err.written()


def test_the_list_shows_known_and_stored_models(aigc: CommandLine, stored: Path) -> None:
    outcome = aigc.run("models", "list")
    lines = outcome.out.splitlines()
    assert outcome.code == ExitCode.DONE
    assert lines[0].split() == ["NAME", "SIZE", "DISK", "FITS", "CONTEXT", "LICENCE"]
    assert [line.split()[0] for line in lines[1:]][-2:] == ["smollm2-135m", "mine"]
    assert re.search(
        r"^qwen2.5-coder-3b +2.10 GB +no +\w+ +32,768 +non-commercial$", outcome.out, re.MULTILINE
    )
    assert re.search(r"^mine( \*)? +\d+ kB +yes +yes +2,048 +unknown$", outcome.out, re.MULTILINE)
    assert all(len(line) <= 80 for line in lines)
    assert aigc.run("models").out == outcome.out
    assert stored.exists()


def test_the_list_is_json_for_scripts(aigc: CommandLine, stored: Path) -> None:
    rows = json.loads(aigc.run("models", "list", "--json").out)
    (mine,) = [row for row in rows if row["name"] == "mine"]
    assert mine["on_disk"]
    assert mine["size_bytes"] == stored.stat().st_size
    assert [row["name"] for row in rows if row["is_default"]] == ["mine"]  # usable, and on disk


def test_a_damaged_file_is_listed_as_such(aigc: CommandLine, stored: Path) -> None:
    stored.write_bytes(b"GGUF, but no model behind it")
    outcome = aigc.run("models", "list")
    assert re.search(r"^mine +0 kB +yes +damaged", outcome.out, re.MULTILINE)


def test_names_from_the_disk_reach_the_terminal_without_escape_sequences(
    aigc: CommandLine, stored: Path
) -> None:
    stored.rename(stored.with_name("evil\x1b[2J.gguf"))
    assert "\x1b" not in aigc.run("models", "list", terminal=True).out
    assert "\x1b" not in aigc.run("models", "info", "evil\x1b[2j", terminal=True).out


def test_a_pull_tells_where_and_how_far_on_stderr_and_gives_the_path_on_stdout(
    aigc: CommandLine, on_hub: dict[str, str], model_bytes: bytes
) -> None:
    outcome = aigc.run("models", "pull", REPO, env=on_hub)
    assert outcome.code == ExitCode.DONE
    assert Path(outcome.out.strip()).read_bytes() == model_bytes
    assert f"pulling {REPO} to {aigc.home}" in outcome.err
    assert "100 % of 284 kB" in outcome.err
    assert "is ready, Hugging Face (owner/repo): SHA-256" in outcome.err
    assert "\x1b" not in outcome.err
    again = aigc.run("models", "pull", REPO, env=on_hub)
    assert again.out == outcome.out
    assert "already on disk" in again.err


def test_a_failed_pull_is_two_lines_and_exit_3(aigc: CommandLine, hub: HubServer) -> None:
    outcome = aigc.run("models", "pull", "hf:owner/none", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert outcome.code == ExitCode.NO_MODEL
    assert len(outcome.error_lines) == 2
    assert outcome.out == ""
    assert not hub.seen


def test_a_licence_that_forbids_commercial_use_is_told_before_the_pull(aigc: CommandLine) -> None:
    outcome = aigc.run("models", "pull", "3b", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    told, failed = outcome.err.index("does not allow commercial use"), outcome.err.index("error:")
    assert told < failed


def test_info_tells_facts_and_memory_of_a_stored_file_and_a_path(
    aigc: CommandLine, stored: Path, tmp_path: Path
) -> None:
    outside = write_model(tmp_path / "outside.gguf")
    for name in ("mine", str(outside)):
        text = aigc.run("models", "info", name).out
        assert re.search(r"^architecture +llama$", text, re.MULTILINE)
        assert re.search(r"^chat template +yes$", text, re.MULTILINE)
    facts = json.loads(aigc.run("models", "info", "mine", "--json").out)
    assert facts["context"] == 2048
    assert facts["file"] == str(stored)


def test_info_of_a_known_model_needs_no_file(aigc: CommandLine) -> None:
    facts = json.loads(aigc.run("models", "info", "1.5b", "--json").out)
    assert facts["on_disk"] is False
    assert facts["memory_bytes"]["8192"] == 1_117_320_768 + 8192 * 28_672 + 317_456_384


def test_info_of_a_foreign_file_says_what_is_wrong(aigc: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>" * 10)
    outcome = aigc.run("models", "info", "page.html")
    assert outcome.code == ExitCode.NO_MODEL
    assert "not a GGUF file" in outcome.err


def test_verify_tells_a_good_and_a_changed_file(aigc: CommandLine, on_hub: dict[str, str]) -> None:
    path = Path(aigc.run("models", "pull", REPO, env=on_hub).out.strip())
    good = aigc.run("models", "verify", "tiny")
    assert good.code == ExitCode.DONE
    assert re.search("SHA-256 [0-9a-f]{64}, as expected", good.out)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    changed = aigc.run("models", "verify", "tiny")
    assert changed.code == ExitCode.NO_MODEL
    assert "expected" in changed.err
    assert changed.out == ""


def test_use_makes_a_stored_model_the_default(aigc: CommandLine, stored: Path) -> None:
    write_model(stored.with_name("yours.gguf"))
    assert aigc.run("models", "use", "yours").code == ExitCode.DONE
    rows = json.loads(aigc.run("models", "list", "--json").out)
    assert [row["name"] for row in rows if row["is_default"]] == ["yours"]
    missing = aigc.run("models", "use", "7b")
    assert missing.code == ExitCode.NO_MODEL
    assert "aigc models pull qwen2.5-coder-7b" in missing.err


@pytest.mark.parametrize(
    ("typed", "kept"), [("y\n", False), ("YES\n", False), ("n\n", True), ("\n", True), ("", True)]
)
def test_rm_asks_at_a_terminal(aigc: CommandLine, stored: Path, typed: str, *, kept: bool) -> None:
    code, err = answer(aigc, typed, "models", "rm", "mine")
    assert "[y/N]" in err
    assert stored.exists() == kept
    assert code == (ExitCode.FAILURE if kept else ExitCode.DONE)


def test_rm_in_a_script_needs_a_yes(aigc: CommandLine, stored: Path) -> None:
    refused = aigc.run("models", "rm", "mine", stdin=b"y\n")
    assert refused.code == ExitCode.USAGE
    assert "--yes" in refused.err
    assert stored.exists()
    assert aigc.run("models", "rm", "mine", "--yes", stdin=b"").code == ExitCode.DONE
    assert not stored.exists()


def spawn(aigc: CommandLine, columns: int, *argv: str, **env: str) -> str:
    """Run the real program in a pseudo-terminal; all that reached the screen."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "aigc_cli", *argv],
        dimensions=(24, columns),
        env={**os.environ, "AIGC_HOME": str(aigc.home / "aigc"), **env},
        encoding="utf-8",
        timeout=30,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return child.before or ""


def test_a_narrow_terminal_gets_fewer_columns_and_no_wrapped_line(aigc: CommandLine, stored: Path) -> None:
    screen = spawn(aigc, 44, "models", "list")
    table = [line for line in screen.splitlines() if not line.startswith("aigc:")]
    assert table[0].split() == ["NAME", "SIZE", "DISK", "FITS"]
    assert max(map(len, table)) <= 44
    assert stored.exists()


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_a_terminal_shows_a_moving_bar_of_one_row(
    aigc: CommandLine, on_hub: dict[str, str], hub: HubServer, columns: int
) -> None:
    screen = spawn(aigc, columns, "models", "pull", REPO, HF_ENDPOINT=on_hub["HF_ENDPOINT"])
    assert "\x1b[2K" in screen
    assert "\x1b[2K\x1b[1A" not in screen  # erasing a wrapped row goes up in between
    assert "is ready" in screen
    assert "verifying Hugging Face" in screen
    assert hub.downloads()


def test_the_command_imports_nothing_heavy_before_it_must() -> None:
    code = "import sys, aigc_cli.cli.models; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"huggingface_hub", "httpx2", "rich", "llama_cpp", "numpy", "filelock", "psutil"}
    assert not heavy & set(modules.split())
