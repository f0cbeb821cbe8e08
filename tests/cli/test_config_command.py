import json
import tomllib
from pathlib import Path

import pytest

from aigc_cli.config import Directories
from tests.cli.command_line import CommandLine


@pytest.fixture
def config_file(isolated: Path) -> Path:
    return Directories.from_environment({"AIGC_HOME": str(isolated / "aigc")}).config_file


def test_show_names_value_and_origin_of_each(aigc: CommandLine, config_file: Path) -> None:
    config_file.parent.mkdir(parents=True)
    config_file.write_text("temperature = 0.5\n", encoding="utf-8")
    lines = aigc.run("config", "show", env={"AIGC_SEED": "7"}).out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["temperature"] == ["0.5", str(config_file)]
    assert rows["seed"] == ["7", "AIGC_SEED"]
    assert rows["model"] == ["unset", "default"]


def test_alone_it_shows(aigc: CommandLine) -> None:
    assert aigc.run("config").out == aigc.run("config", "show").out


def test_show_as_json(aigc: CommandLine) -> None:
    shown = json.loads(aigc.run("config", "show", "--json").out)
    assert shown["color"] == {"value": "auto", "origin": "default"}


def test_path(aigc: CommandLine, config_file: Path) -> None:
    assert aigc.run("config", "path").out == f"{config_file}\n"


def test_set_makes_the_file_and_a_question_uses_it(aigc: CommandLine, config_file: Path) -> None:
    assert aigc.run("config", "set", "top-k", "5").code == 0
    assert config_file.read_text(encoding="utf-8") == "top_k = 5\n"
    aigc.run("hi")
    assert aigc.engines[0].requests[0].sampling.top_k == 5


def test_set_keeps_comments_order_and_everything_else(aigc: CommandLine, config_file: Path) -> None:
    config_file.parent.mkdir(parents=True)
    config_file.write_text("# mine\nseed = 1  # lucky\n\n# why\ntop_k=3\nstats = true", encoding="utf-8")
    aigc.run("config", "set", "top_k", "4")
    aigc.run("config", "set", "model", 'a "b" \\ 模型')
    assert config_file.read_text(encoding="utf-8") == (
        '# mine\nseed = 1  # lucky\n\n# why\ntop_k = 4\nstats = true\nmodel = "a \\"b\\" \\\\ 模型"\n'
    )


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("temperature", "0.25", 0.25),
        ("temperature", "1e-3", 0.001),
        ("stats", "on", True),
        ("color", "never", "never"),
        ("system", "line 1\nline 2\t\x7f\x1b", "line 1\nline 2\t\x7f\x1b"),
        ("system", "", ""),
        ("seed", "0", 0),
    ],
)
def test_what_is_set_is_read_back(
    aigc: CommandLine, config_file: Path, key: str, text: str, value: object
) -> None:
    assert aigc.run("config", "set", key, text).code == 0
    assert tomllib.loads(config_file.read_text(encoding="utf-8")) == {key: value}


def test_a_negative_number_needs_no_trick(aigc: CommandLine, config_file: Path) -> None:
    assert aigc.run("config", "set", "gpu_layers", "--", "-1").code == 0
    assert config_file.read_text(encoding="utf-8") == "gpu_layers = -1\n"


def test_unset_takes_the_line_out(aigc: CommandLine, config_file: Path) -> None:
    config_file.parent.mkdir(parents=True)
    config_file.write_text("# a\nseed = 1\n# b\ntop_k = 2\n", encoding="utf-8")
    outcome = aigc.run("config", "unset", "seed")
    assert outcome.code == 0
    assert config_file.read_text(encoding="utf-8") == "# a\n# b\ntop_k = 2\n"
    assert "was not set" in aigc.run("config", "unset", "seed").err


@pytest.mark.parametrize("content", ['system = """\nseed = 1\n"""\n', "[broken\n", "unknown = 1\n"])
def test_a_file_that_it_can_not_change_safely_stays_as_it_is(
    aigc: CommandLine, config_file: Path, content: str
) -> None:
    config_file.parent.mkdir(parents=True)
    config_file.write_text(content, encoding="utf-8")
    outcome = aigc.run("config", "set", "seed", "2")
    assert outcome.code == 2
    assert config_file.read_text(encoding="utf-8") == content


def test_a_linked_settings_file_stays_a_link(aigc: CommandLine, config_file: Path, tmp_path: Path) -> None:
    config_file.parent.mkdir(parents=True)
    (tmp_path / "dotfiles.toml").write_text("", encoding="utf-8")
    config_file.symlink_to(tmp_path / "dotfiles.toml")
    aigc.run("config", "set", "seed", "2")
    assert config_file.is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text(encoding="utf-8") == "seed = 2\n"


def test_a_broken_settings_file_stops_a_question_with_its_place(aigc: CommandLine, config_file: Path) -> None:
    config_file.parent.mkdir(parents=True)
    config_file.write_text("temperature = 'hot'\n", encoding="utf-8")
    outcome = aigc.run("hi")
    assert outcome.code == 2
    assert f"{config_file}: temperature is 'hot'" in outcome.err
