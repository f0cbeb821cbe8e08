"""The table of slash commands, and how an entry is read by it."""

from contextlib import suppress
from pathlib import Path

import pytest

from aigc_cli.cli.prompt import Leave
from aigc_cli.cli.repl import dispatch
from aigc_cli.cli.slash import COMMANDS, candidates, parse
from aigc_cli.errors import AigcError, UsageError
from tests.cli_chat.world import talk_in

EXPECTED = {
    "help", "exit", "new", "clear", "undo", "retry", "edit", "file", "drop", "context", "compact", "run",
    "save", "copy", "model", "set", "system", "sessions", "resume", "fork", "stats", "why",
}  # fmt: skip


def completions(folder: Path, before: str) -> list[str]:
    return [candidate.text for candidate in candidates(talk_in(folder).talk, before)]


def test_every_name_and_alias_means_one_command() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))
    assert {command.name for command in COMMANDS} == EXPECTED


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_lists_and_explains_every_command(tmp_path: Path, command: str) -> None:
    world = talk_in(tmp_path)
    dispatch(world.talk, "/help")
    assert f"/{command}" in world.notes
    explained = talk_in(tmp_path)
    dispatch(explained.talk, f"/help {command}")
    assert explained.notes.startswith(f"/{command}")


@pytest.mark.parametrize(
    "entry", ["/EXIT", "/quit", "/bye", "exit", "quit", ":q", ":wq", "Quit", "exit()", "退出"]
)
def test_ways_to_leave(tmp_path: Path, entry: str) -> None:
    with pytest.raises(Leave):
        dispatch(talk_in(tmp_path).talk, entry)


@pytest.mark.parametrize("entry", ["help", "?", "/?", "/h", "？", "／help", "、help", "帮助", "/help  "])
def test_ways_to_ask_for_help(tmp_path: Path, entry: str) -> None:
    world = talk_in(tmp_path)
    dispatch(world.talk, entry)
    assert "/retry" in world.notes
    assert world.engine.requests == []


@pytest.mark.parametrize(
    ("typed", "meant"), [("/hlep", "/help"), ("/retyr", "/retry"), ("/modle x", "/model")]
)
def test_typo_is_not_sent_and_names_what_was_meant(tmp_path: Path, typed: str, meant: str) -> None:
    world = talk_in(tmp_path)
    with pytest.raises(UsageError, match=typed.split(maxsplit=1)[0]) as caught:
        dispatch(world.talk, typed)
    assert meant in caught.value.hint
    assert world.engine.requests == []


def test_unknown_command_points_to_help_and_to_the_way_around(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        dispatch(talk_in(tmp_path).talk, "/xyzzy")
    assert "/help" in caught.value.hint
    assert "begin with a space" in caught.value.hint


@pytest.mark.parametrize(
    "question",
    [
        "/etc/hosts: what is this?",
        "// a comment",
        "/* C */",
        "/[a-z]+/ matches what?",
        " /help me",
        "help me with this",
        "、是什么标点",
        "exit codes of grep",
    ],
)
def test_question_that_looks_a_little_like_a_command_is_a_question(tmp_path: Path, question: str) -> None:
    assert parse(talk_in(tmp_path).talk, question) is None


def test_command_names_and_their_arguments_are_completed(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / ".hidden").touch()
    assert completions(tmp_path, "/ret") == ["/retry"]
    assert "/set" in completions(tmp_path, "/")
    assert completions(tmp_path, "/set temp") == ["temperature"]
    assert completions(tmp_path, "/set theme li") == ["light"]
    assert completions(tmp_path, "/set stats o") == ["on", "off"]
    assert completions(tmp_path, "/file a") == ["app.py"]
    assert completions(tmp_path, "/file app.py s") == ["src/"]
    assert "qwen2.5-coder-1.5b" in completions(tmp_path, "/model qwen")
    assert completions(tmp_path, "/help un") == ["undo"]
    assert completions(tmp_path, "/undo ") == []
    assert completions(tmp_path, "an ordinary word") == []


def test_paths_are_completed_after_an_at_sign(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "my file.py").touch()
    (tmp_path / ".hidden").touch()
    assert completions(tmp_path, "explain @") == ["@app.py", "@src/"]
    assert completions(tmp_path, "explain @.h") == ["@.hidden"]
    assert completions(tmp_path, "解释@ap") == ["@app.py"]
    assert completions(tmp_path, "explain @src/") == ['@"src/my file.py"']
    assert completions(tmp_path, "mail me@ap") == []


def test_a_directory_that_is_not_there_completes_to_nothing(tmp_path: Path) -> None:
    assert completions(tmp_path, "@nowhere/x") == []


@pytest.mark.parametrize("command", sorted(EXPECTED - {"exit", "copy"}))
def test_any_argument_gives_an_answer_and_no_traceback(tmp_path: Path, command: str) -> None:
    for argument in ("", "nonsense", "a b c", "--force", "'", "\x1b[31m", "中文", "=", "all"):
        world = talk_in(tmp_path)
        with suppress(AigcError):
            dispatch(world.talk, f"/{command} {argument}")
        assert world.engine.requests == []
