"""`aigc sessions`: what was kept is listed, read, found, exported, renamed and deleted."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from rich.cells import cell_len

from aigc_cli.chat.recording import Recording
from aigc_cli.chat.session import Conversation
from aigc_cli.chat.store import FILE_NAME, SessionStore, Summary
from aigc_cli.cli.session_list import age_text, session_lines
from aigc_cli.events import FinishReason
from tests.cli.command_line import CommandLine

Tell = Callable[..., str]
REPLY = "Use **sorted**:\n\n```python\nsorted(rows)\n```\n"


@pytest.fixture
def keep(aigc: CommandLine) -> Tell:
    """Keep a conversation; gives its id."""
    ticks = count(1)

    def tell(question: str, reply: str = REPLY, reason: FinishReason = FinishReason.STOP) -> str:
        store = SessionStore(database(aigc), lambda: float(next(ticks)) - 7200)
        conversation = Conversation("")
        conversation.ask(question)
        conversation.record_reply(reply, reason)
        recording = Recording(store, conversation)
        recording.save("qwen2.5-coder-0.5b")
        store.close()
        return recording.session_id or ""

    return tell


def database(aigc: CommandLine) -> Path:
    return aigc.home / "aigc" / "data" / FILE_NAME


def test_list_shows_the_newest_first(aigc: CommandLine, keep: Tell) -> None:
    old, new = keep("how do I sort?"), keep("怎么读取文件？")
    lines = aigc.run("sessions", "list").out.splitlines()
    assert lines[0].split() == ["ID", "AGE", "TURNS", "MODEL", "TITLE"]
    assert lines[1].split() == [new, "1", "h", "1", "qwen2.5-coder-0.5b", "怎么读取文件？"]
    assert lines[2].split()[0] == old
    assert aigc.run("sessions").out.splitlines() == lines


@pytest.mark.parametrize("command", [("list",), ("search", "sorted")])
def test_list_is_cut_where_it_says_so(aigc: CommandLine, keep: Tell, command: tuple[str, ...]) -> None:
    for n in range(3):
        keep(f"question {n}")
    outcome = aigc.run("sessions", *command, "-n", "2")
    assert [n for n in range(3) if f"question {n}\n" in outcome.out] == [1, 2]
    assert "the newest 2; -n 0 lists all" in outcome.err
    outcome = aigc.run("sessions", *command, "-n", "0")
    assert (outcome.out.count("qwen2.5"), outcome.err) == (3, "")


@pytest.mark.parametrize("columns", [12, 20, 40, 80, 200])
def test_lines_fit_any_window(columns: int) -> None:
    titles = ("x" * 300, "快速排序怎么写" * 30, "👩‍👩‍👧 family " * 20, "")
    summary = Summary("7kq2abcd", "", "a-model-with-a-long-name-of-its-own", 12, 0.0, 0.0)
    lines = list(session_lines([replace(summary, title=title) for title in titles], 90_000.0, columns))
    assert all(cell_len(line) <= columns for line in lines)
    assert all(line.startswith("7kq2abcd  ") for line in lines[1:])
    assert ("MODEL" in lines[0]) is (columns >= 80)
    assert lines[1].endswith("…")


def test_terminal_gets_a_list_that_fits_and_a_pipe_the_whole_title(aigc: CommandLine, keep: Tell) -> None:
    title = "很长的问题" * 30
    keep(title)
    assert title in aigc.run("sessions").out
    on_terminal = aigc.run("sessions", terminal=True).out
    assert max(cell_len(line) for line in on_terminal.splitlines()) in (79, 80)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (59, "now"), (60, "1 min"), (7300, "2 h"), (86_400 * 6, "6 d"),
     (86_400 * 20, "2 wk"), (9e7, "2 y")],
)  # fmt: skip
def test_age(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


def test_json_holds_everything_and_an_empty_list_is_one(aigc: CommandLine, keep: Tell) -> None:
    assert json.loads(aigc.run("sessions", "list", "--json").out) == []
    name = keep("how do I sort?")
    (row,) = json.loads(aigc.run("sessions", "list", "--json").out)
    assert row == {
        "id": name,
        "title": "how do I sort?",
        "model": "qwen2.5-coder-0.5b",
        "n_turns": 1,
        "created": "1969-12-31T22:00:01+00:00",
        "updated": "1969-12-31T22:00:01+00:00",
        "forked_from": None,
    } | {key: row[key] for key in ("created", "updated")}
    assert row["created"].startswith("1969-12-31T22:00:0")
    (found,) = json.loads(aigc.run("sessions", "search", "--json", "sorted").out)
    assert found == row | {"excerpt": found["excerpt"]}
    assert "sorted" in found["excerpt"]


def test_without_a_session_every_command_says_so_and_makes_no_file(aigc: CommandLine) -> None:
    outcome = aigc.run("sessions")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no session yet" in outcome.err
    for words in (("show", "x"), ("export", "x"), ("rename", "x", "y"), ("rm", "x")):
        outcome = aigc.run("sessions", *words)
        assert (outcome.code, outcome.error_lines[0]) == (1, "aigc: error: no session 'x'")
    assert aigc.run("sessions", "search", "x").code == 1
    assert not database(aigc).exists()


def test_search_shows_where_the_words_are(aigc: CommandLine, keep: Tell) -> None:
    keep("unrelated", "nothing here")
    name = keep("怎么排序？", "word " * 100 + "用快速排序。")
    for words in (("快速排序",), ("排序",), ("WORD", "快速")):
        outcome = aigc.run("sessions", "search", *words)
        assert outcome.code == 0
        assert outcome.out.splitlines()[1].startswith(name)
        assert len(outcome.out.splitlines()) == 3
    assert "用快速排序" in aigc.run("sessions", "search", "快速").out
    assert aigc.run("sessions", "search", "快速 unrelated").code == 1


def test_show_is_markdown_in_a_pipe_and_rendered_on_a_terminal(aigc: CommandLine, keep: Tell) -> None:
    name = keep("how do I sort?", REPLY, FinishReason.INTERRUPTED)
    plain = aigc.run("sessions", "show", name[:6]).out
    assert plain.startswith("# how do I sort?\n\n> how do I sort?\n")
    assert "```python\nsorted(rows)\n```\n" in plain
    assert "interrupted" in plain
    rendered = aigc.run("sessions", "show", name, terminal=True).out
    assert "```" not in rendered
    assert "\x1b[" in rendered


def test_escape_sequences_of_a_reply_stay_out_of_a_terminal(aigc: CommandLine, keep: Tell) -> None:
    name = keep("\x1b]0;owned\x07title", "\x1b]52;c;aGk=\x07text")
    for words in (("list",), ("show", name), ("search", "text")):
        assert "\x1b]" not in aigc.run("sessions", *words, terminal=True).out


def test_export_writes_markdown_or_json(aigc: CommandLine, keep: Tell) -> None:
    name = keep("how do I sort?")
    markdown = aigc.run("sessions", "export", name).out
    assert markdown == aigc.run("sessions", "show", name).out
    exported = json.loads(aigc.run("sessions", "export", name, "--format", "json").out)
    assert (exported["id"], exported["turns"][0]["reply"]) == (name, REPLY)
    assert aigc.run("sessions", "export", name, "-o", "talk.json").code == 0
    assert json.loads((aigc.cwd / "talk.json").read_text(encoding="utf-8")) == exported
    assert aigc.run("sessions", "export", name, "-o", "talk.md").code == 0
    assert (aigc.cwd / "talk.md").read_text(encoding="utf-8") == markdown
    (aigc.cwd / "talk.md").write_text("mine", encoding="utf-8")
    assert aigc.run("sessions", "export", name, "-o", "talk.md").code == 1
    assert (aigc.cwd / "talk.md").read_text(encoding="utf-8") == "mine"
    assert aigc.run("sessions", "export", name, "-o", "talk.md", "--force").code == 0


def test_rename_gives_a_title_and_takes_it_back(aigc: CommandLine, keep: Tell) -> None:
    name = keep("how do I sort?")
    aigc.run("sessions", "rename", name[:5], "the", "parser")
    assert "the parser" in aigc.run("sessions").out
    aigc.run("sessions", "rename", name, "")
    assert "how do I sort?" in aigc.run("sessions").out


def test_rm_needs_a_yes_and_a_pipe_has_none(aigc: CommandLine, keep: Tell) -> None:
    name, other = keep("one"), keep("two")
    outcome = aigc.run("sessions", "rm", name, stdin=b"y\n")
    assert (outcome.code, outcome.error_lines[1]) == (2, "hint: add --yes")
    assert aigc.run("sessions", "rm", name).code == 1  # a terminal where nobody types
    assert aigc.run("sessions", "rm", name, "nope", "--yes").code == 1
    assert len(aigc.run("sessions", "list").out.splitlines()) == 3
    assert aigc.run("sessions", "rm", name, "--yes").code == 0
    assert [line.split()[0] for line in aigc.run("sessions").out.splitlines()[1:]] == [other]


@pytest.mark.parametrize("bad", ["nope", "", "%", "é", "a b", "x" * 500, "'; DROP TABLE sessions"])
def test_bad_ids_are_refused(aigc: CommandLine, keep: Tell, bad: str) -> None:
    keep("one")
    for words in (("show",), ("export",), ("rm", "-y")):
        outcome = aigc.run("sessions", *words, bad)
        assert (outcome.code, len(outcome.error_lines)) == (1, 2)
    assert "one" in aigc.run("sessions").out


def test_damaged_file_is_moved_aside_by_a_list_too(aigc: CommandLine, keep: Tell) -> None:
    keep("one")
    database(aigc).write_bytes(b"garbage" * 1000)
    outcome = aigc.run("sessions")
    assert outcome.code == 0
    assert "damaged; it was moved to" in outcome.err
    assert len(list(database(aigc).parent.glob("*.damaged-*"))) == 1
