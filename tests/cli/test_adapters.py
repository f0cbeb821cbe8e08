"""`--lora`, `AIGC_LORA` and the setting `lora`: from what a person writes to what the engine is asked."""

import json
from pathlib import Path

import pytest

from aigc_cli.cli.adapters import parse_adapter
from aigc_cli.config import parse_value, read_settings_file
from aigc_cli.engine.adapted import AdaptedEngine, adapted, bare
from aigc_cli.engine.base import Adapter, Request, Text
from aigc_cli.errors import ConfigError, UsageError
from tests.cli.command_line import CommandLine
from tests.scripted_engine import ScriptedEngine
from tests.tiny_adapter import write_tiny_adapter
from tests.tiny_model import write_tiny_model


@pytest.fixture
def line(tmp_path: Path, isolated: Path) -> CommandLine:
    return CommandLine(tmp_path, isolated)


@pytest.mark.parametrize(
    ("text", "file", "scale"),
    [
        ("sql.gguf", "sql.gguf", 1.0),
        ("~/a b/sql.gguf:0.5", "~/a b/sql.gguf", 0.5),
        ("sql.gguf:0", "sql.gguf", 0.0),
        ("sql.gguf:-1", "sql.gguf", -1.0),
        (r"C:\models\sql.gguf", r"C:\models\sql.gguf", 1.0),
        (r"C:\models\sql.gguf:2", r"C:\models\sql.gguf", 2.0),
        ("a:b:0.25", "a:b", 0.25),
    ],
)
def test_a_file_and_its_scale(text: str, file: str, scale: float) -> None:
    assert parse_adapter(text) == Adapter(file, scale)


@pytest.mark.parametrize("text", [":0.5", "sql.gguf:nan", "sql.gguf:inf", "sql.gguf:11"])
def test_a_scale_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_adapter(text)


def test_an_array_a_text_and_nothing() -> None:
    assert parse_value("lora", ["a.gguf", "b,c.gguf:2"], "x") == ("a.gguf", "b,c.gguf:2")
    assert parse_value("lora", " a.gguf , b.gguf:0.5,", "x") == ("a.gguf", "b.gguf:0.5")
    assert parse_value("lora", "", "x") == ()
    for wrong in (1, {"a.gguf": 1}, [1], True):
        with pytest.raises(ConfigError, match="lora"):
            parse_value("lora", wrong, "x")


def test_where_each_value_came_from(line: CommandLine) -> None:
    def shown(**env: str) -> object:
        return json.loads(line.run("config", "show", "--json", env=env).out)["lora"]

    config = line.home / "aigc" / "config" / "config.toml"
    assert shown() == {"value": [], "origin": "default"}
    assert line.run("config", "set", "lora", 'a "b".gguf, c.gguf:0.5').code == 0
    assert read_settings_file(config)["lora"] == ('a "b".gguf', "c.gguf:0.5")
    assert shown() == {"value": ['a "b".gguf', "c.gguf:0.5"], "origin": str(config)}
    assert shown(AIGC_LORA="d.gguf") == {"value": ["d.gguf"], "origin": "AIGC_LORA"}
    assert line.run("config", "unset", "lora").code == 0
    assert shown() == {"value": [], "origin": "default"}


def test_the_option_is_repeatable_and_beats_the_setting(line: CommandLine) -> None:
    assert line.run("config", "set", "lora", "mine.gguf").code == 0
    for argv, wanted in (
        ((), ("mine.gguf",)),
        (("--lora", "a,b.gguf", "--lora", "c.gguf:0.5"), ("a,b.gguf", "c.gguf:0.5")),
        (("--lora", ""), ()),
    ):
        assert line.run("ask", "hello", "--no-stdin", *argv).code == 0
        assert line.opened[-1].lora == wanted


@pytest.mark.parametrize(
    "argv",
    [
        ["ask", "x"], ["gen", "x", "-o", "-"], ["complete", "x"], ["chat"], ["explain", "x"],
        ["new", "d", "x", "--dry-run"],
    ],
)  # fmt: skip
def test_commands_with_a_model_take_it(line: CommandLine, argv: list[str]) -> None:
    line.run(*argv, "--lora", "a.gguf:0.5", stdin=b"text")
    assert line.opened[-1].lora == ("a.gguf:0.5",)


def test_a_project_can_not_name_one(line: CommandLine) -> None:
    (line.cwd / ".aigc.toml").write_text('lora = ["theirs.gguf"]')
    outcome = line.run("ask", "hello", "--no-stdin")
    assert (outcome.code, "a project can't set lora" in outcome.err) == (2, True)


def test_every_request_gets_them_unless_it_names_its_own() -> None:
    inner = ScriptedEngine(["ok"])
    engine = adapted(adapted(inner, (Adapter("/a"),)), (Adapter("/b"),))
    list(engine.stream(Request(Text("x"))))
    list(engine.stream(Request(Text("x"), adapters=())))
    assert [request.adapters for request in inner.requests] == [(Adapter("/b"),), ()]
    assert isinstance(engine, AdaptedEngine)
    assert bare(engine) is adapted(engine, ()) is inner


def test_inspect_looks_at_the_adapted_model(line: CommandLine, tmp_path: Path) -> None:
    model, adapter = write_tiny_model(tmp_path / "tiny.gguf"), write_tiny_adapter(tmp_path / "sql.gguf")

    def top(*argv: str) -> list[object]:
        outcome = line.run("inspect", "next", "hello", "-m", str(model), "--top", "5", "--json", *argv)
        assert outcome.code == 0, outcome.err
        found: list[object] = json.loads(outcome.out)["candidates"]
        return found

    plain = top()
    assert top("--lora", f"{adapter}:0") == plain
    assert top("--lora", str(adapter)) != plain
    assert top("--lora", "sql.gguf") == top("--lora", str(adapter))
    for command in ("attention", "layers"):
        line_of = ("inspect", command, "hello world, hello", "-m", str(model), "--json")
        outcome = line.run(*line_of, "--lora", "sql.gguf")
        assert outcome.code == 0, outcome.err
        assert outcome.out != line.run(*line_of).out
    missing = line.run("inspect", "next", "hello", "-m", str(model), "--lora", "missing.gguf")
    assert (missing.code, missing.out) == (3, "")
    assert missing.err.splitlines()[0].endswith("missing.gguf can't be read: No such file or directory")
