"""`/set lora`: adapters that come and go in a chat while its model stays loaded."""

from pathlib import Path

import pytest

from aigc_cli.cli.repl import dispatch
from aigc_cli.cli.slash import candidates
from aigc_cli.config import Settings
from aigc_cli.engine.base import Adapter
from aigc_cli.errors import AigcError, ExitCode
from tests.cli_chat.world import World, talk_in
from tests.tiny_adapter import Making, write_tiny_adapter
from tests.tiny_model import write_tiny_model


@pytest.fixture
def world(tmp_path: Path) -> World:
    model = write_tiny_model(tmp_path / "tiny.gguf")
    write_tiny_adapter(tmp_path / "sql.gguf")
    write_tiny_adapter(tmp_path / "other.gguf", making=Making(architecture="qwen2"))
    return talk_in(tmp_path, settings=Settings(model=str(model)))


def test_it_goes_with_every_reply_until_it_is_taken_off(world: World, tmp_path: Path) -> None:
    sql = Adapter(str(tmp_path / "sql.gguf"), 0.5)
    world.talk.ask("one")
    dispatch(world.talk, "/set lora sql.gguf:0.5")
    assert "lora = sql.gguf:0.5" in world.notes
    assert "scripted + sql.gguf:0.5" in world.talk.status()[0]
    world.talk.ask("two")
    dispatch(world.talk, "/set lora none")
    world.talk.ask("three")
    questions = [request for request in world.engine.requests if not request.private]
    assert [request.adapters for request in questions] == [None, (sql,), None]
    assert not world.engine.closed, "the model was loaded again"
    assert world.talk.status()[0] == "scripted"
    dispatch(world.talk, "/set lora")
    assert world.notes.rstrip().splitlines()[-2] == "lora = none"


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("missing.gguf", ExitCode.NO_MODEL, "No such file"),
        ("tiny.gguf", ExitCode.NO_MODEL, "a whole model"),
        ("other.gguf", ExitCode.NO_MODEL, "for qwen2 models"),
        ("sql.gguf:99", ExitCode.USAGE, "the scale 99"),
        ("sql.gguf,sql.gguf:2", ExitCode.USAGE, "given twice"),
    ],
)
def test_one_that_does_not_fit_changes_nothing(
    world: World, tmp_path: Path, value: str, code: ExitCode, words: str
) -> None:
    dispatch(world.talk, "/set lora sql.gguf")
    with pytest.raises(AigcError, match=words) as caught:
        dispatch(world.talk, f"/set lora {value}")
    assert caught.value.exit_code is code
    assert world.talk.settings.lora == ("sql.gguf",)
    world.talk.ask("still?")
    assert world.engine.requests[-1].adapters == (Adapter(str(tmp_path / "sql.gguf")),)


def test_files_are_completed(world: World) -> None:
    assert [each.text for each in candidates(world.talk, "/set lora sq")] == ["sql.gguf"]
    assert "none" in [each.text for each in candidates(world.talk, "/set lora ")]
