import os
import stat
from pathlib import Path

import pytest

from aigc_cli.tasks.journal import FILE_NAME
from tests.cli.command_line import CommandLine

OLD, NEW = "x = 1\r\n", "x = 2\r\n"


@pytest.fixture
def file() -> Path:
    path = Path("a.py")
    path.write_bytes(OLD.encode())
    return path


def change(aigc: CommandLine, file: Path, reply: str = "x = 2\n") -> None:
    aigc.replies = [reply]
    outcome = aigc.run("edit", str(file), "another number", "-y")
    assert outcome.code == 0, outcome.err


def test_the_last_change_is_taken_back_and_made_again(aigc: CommandLine, file: Path) -> None:
    file.chmod(0o640)
    change(aigc, file)
    outcome = aigc.run("undo")
    assert (outcome.code, outcome.out) == (0, "")
    assert file.read_bytes() == OLD.encode()
    assert outcome.err == "aigc: a.py: as it was before\naigc: undone: aigc edit a.py 'another number'\n"
    assert aigc.run("undo", "--redo").code == 0
    assert file.read_bytes() == NEW.encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_undo_goes_back_step_by_step_and_redo_forward(aigc: CommandLine, file: Path) -> None:
    change(aigc, file)
    change(aigc, file, "x = 3\n")
    seen = []
    for words in (["undo"], ["undo"], ["undo", "--redo"], ["undo", "--redo"]):
        assert aigc.run(*words).code == 0
        seen.append(file.read_bytes())
    assert seen == [b"x = 2\r\n", b"x = 1\r\n", b"x = 2\r\n", b"x = 3\r\n"]


def test_nothing_left_to_undo_or_redo(aigc: CommandLine, file: Path) -> None:
    assert aigc.run("undo").code == 2
    assert aigc.run("undo", "--redo").code == 2
    change(aigc, file)
    assert aigc.run("undo", "--redo").code == 2
    assert aigc.run("undo").code == 0
    outcome = aigc.run("undo")
    assert outcome.code == 2
    assert "aigc undo --list" in outcome.err


def test_a_file_that_was_changed_since_is_left_alone(aigc: CommandLine, file: Path) -> None:
    change(aigc, file)
    file.write_bytes(b"x = 2\r\ny = 7\r\n")
    outcome = aigc.run("undo")
    assert outcome.code == 1
    assert "+ y = 7" in outcome.err
    assert "a.py was changed since; nothing is written" in outcome.err
    assert file.read_bytes() == b"x = 2\r\ny = 7\r\n"
    assert aigc.run("undo", "--force").code == 0
    assert file.read_bytes() == OLD.encode()


def test_a_file_that_is_gone_comes_back_with_its_mode(aigc: CommandLine, file: Path) -> None:
    file.chmod(0o750)
    change(aigc, file)
    file.unlink()
    assert aigc.run("undo").code == 1
    assert aigc.run("undo", "--force").code == 0
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (OLD.encode(), 0o750)


def test_all_files_of_a_change_go_together(aigc: CommandLine, file: Path) -> None:
    other = Path("b.py")
    other.write_text("y = 1\n", encoding="utf-8")
    aigc.replies = ["x = 2\n", "y = 2\n"]
    assert aigc.run("edit", "a.py", "b.py", "2 for all", "-y").code == 0
    other.write_text("y = 3\n", encoding="utf-8")
    assert aigc.run("undo").code == 1
    assert file.read_bytes() == NEW.encode()
    other.write_text("y = 2\n", encoding="utf-8")
    assert aigc.run("undo").code == 0
    assert (file.read_bytes(), other.read_bytes()) == (OLD.encode(), b"y = 1\n")


def test_changes_elsewhere_are_left_alone_unless_named(aigc: CommandLine, file: Path) -> None:
    change(aigc, file)
    elsewhere = Path("elsewhere").absolute()
    elsewhere.mkdir()
    aigc.cwd = elsewhere
    assert aigc.run("undo").code == 2
    assert aigc.run("undo", "1").code == 0
    assert file.read_bytes() == OLD.encode()


def test_the_list(aigc: CommandLine, file: Path) -> None:
    change(aigc, file)
    change(aigc, file, "x = 3\n")
    aigc.run("undo")
    lines = aigc.run("undo", "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1"]
    assert "undone" in lines[0]
    assert "undone" not in lines[1]
    assert lines[1].endswith(f"aigc edit a.py 'another number'  {file.absolute()}")


@pytest.mark.parametrize(("number", "reason"), [("7", "no change has the ID 7"), ("1", "not undone")])
def test_a_number_that_does_not_fit(aigc: CommandLine, file: Path, number: str, reason: str) -> None:
    change(aigc, file)
    outcome = aigc.run("undo", number, "--redo")
    assert outcome.code == 2
    assert reason in outcome.err


def test_the_journal_is_private_and_keeps_no_words_without_history(aigc: CommandLine, file: Path) -> None:
    aigc.replies = ["x = 2\n"]
    aigc.run("edit", str(file), "a secret wish", "-y", env={"AIGC_HISTORY": "false"})
    journal = aigc.home / "aigc" / "state" / FILE_NAME
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert "secret wish" not in aigc.run("undo", "--list").out
    assert aigc.run("undo").code == 0


def test_without_a_journal_the_change_is_made_and_the_loss_is_told(aigc: CommandLine, file: Path) -> None:
    journal = aigc.home / "aigc" / "state" / FILE_NAME
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"this is no database" * 100)
    aigc.replies = ["x = 2\n"]
    outcome = aigc.run("edit", str(file), "another number", "-y")
    assert outcome.code == 0
    assert "this can't be undone: " in outcome.err
    assert file.read_bytes() == NEW.encode()
    outcome = aigc.run("undo")
    assert outcome.code == 1
    assert "move the file away" in outcome.err


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_a_name_that_is_no_text(aigc: CommandLine) -> None:
    path = Path(os.fsdecode(b"caf\xe9.py"))
    path.write_bytes(OLD.encode())
    change(aigc, path)
    assert aigc.run("undo").code == 0
    assert path.read_bytes() == OLD.encode()


def test_what_gen_overwrote_is_taken_back_too(aigc: CommandLine, file: Path) -> None:
    aigc.replies = ["x = 5\n"]
    assert aigc.run("gen", "a number", "-o", "a.py", "--force").code == 0
    assert file.read_bytes() == b"x = 5\n"
    assert aigc.run("undo").code == 0
    assert file.read_bytes() == OLD.encode()
