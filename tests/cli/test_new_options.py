"""`aigc new --resume` goes on as the first call began."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.config import Settings
from tests.cli.command_line import CommandLine
from tests.cli.test_new import APP, BAD, DB, PLAN, Stopping, new


def begin(aigc: CommandLine, *options: str) -> str:
    """A project that is stopped before its last file; gives the line that goes on with it."""
    aigc.engine = Stopping([PLAN, DB, APP])
    outcome = aigc.run("new", "shop", "a shop", "-y", *options, stdin=b"")
    return outcome.error_lines[1].partition("; ")[2].removesuffix(" goes on")


def test_the_options_of_the_first_call_are_in_force(aigc: CommandLine) -> None:
    begin(aigc, "-m", "smollm2-135m", "--temperature", "0.5", "--threads", "2", "-s", "Be brief.", "--stats")
    assert new(aigc, "shop", "--resume", replies=[APP]).code == 0
    again = aigc.opened[-1]
    assert (again.model, again.temperature, again.threads) == ("smollm2-135m", 0.5, 2)
    assert (again.system, again.stats) == ("Be brief.", None)


def test_an_option_of_this_call_comes_first_and_stays(aigc: CommandLine) -> None:
    begin(aigc, "-m", "smollm2-135m", "--seed", "1")
    new(aigc, "shop", "--resume", "-m", "another", "--tries", "1", replies=[BAD])
    assert (aigc.opened[-1].model, aigc.opened[-1].seed) == ("another", 1)
    new(aigc, "shop", "--resume", replies=[APP])
    assert (aigc.opened[-1].model, aigc.opened[-1].seed) == ("another", 1)


def test_without_options_the_settings_are_in_force(aigc: CommandLine) -> None:
    begin(aigc)
    new(aigc, "shop", "--resume", replies=[APP])
    assert aigc.opened[-1] == Settings()


def test_the_number_of_tries_is_remembered(aigc: CommandLine) -> None:
    begin(aigc, "--tries", "1")
    assert new(aigc, "shop", "--resume", replies=[BAD, APP]).code == 5
    assert len(aigc.engines[-1].requests) == 1
    assert new(aigc, "shop", "--resume", "--tries", "2", replies=[BAD, APP]).code == 0


@pytest.mark.parametrize(
    "options", [("--model", "./mine.gguf"), ("--base-url", "http://localhost:1/v1"), ("-m", "here")]
)
def test_a_file_or_a_server_is_asked_for_again(aigc: CommandLine, options: tuple[str, str]) -> None:
    """Somebody else may have written the project's state."""
    (aigc.cwd / "here").write_text("a file")
    line = begin(aigc, *options)
    engines = len(aigc.engines)
    outcome = new(aigc, "shop", "--resume", replies=[APP])
    assert (outcome.code, len(aigc.engines), len(outcome.error_lines)) == (2, engines, 2)
    assert f"hint: {line} goes on" in outcome.error_lines[1]
    assert new(aigc, *shlex.split(line)[2:], replies=[APP]).code == 0
    assert options[1] in (aigc.opened[-1].model, aigc.opened[-1].base_url)


@pytest.mark.parametrize(
    "options",
    [{"context": "many"}, {"nonsense": 1}, {"run_seconds": 5}, {"temperature": 99}, 7, {"model": []}],
)
def test_options_that_make_no_sense_are_refused(aigc: CommandLine, options: Any) -> None:
    begin(aigc)
    path = Path("shop/.aigc/plan.json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"options": options}))
    outcome = new(aigc, "shop", "--resume", replies=[APP])
    assert (outcome.code, len(outcome.error_lines)) == (1, 2), outcome.err


def test_the_state_of_an_older_version_has_none(aigc: CommandLine) -> None:
    begin(aigc, "--seed", "1")
    path = Path("shop/.aigc/plan.json")
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({name: kept[name] for name in kept if name not in ("options", "tries")}))
    assert new(aigc, "shop", "--resume", replies=[APP]).code == 0
    assert aigc.opened[-1].seed is None
