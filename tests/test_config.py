import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.config import (
    Directories,
    ResolvedSettings,
    Settings,
    Value,
    find_project_file,
    load_settings,
    parse_value,
    read_settings_file,
)
from aigc_cli.engine.base import Sampling
from aigc_cli.errors import ConfigError, UsageError

NAMES = [f.name for f in fields(Settings)]


def resolve(
    cwd: Path,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Value] | None = None,
    user: str = "",
    project: str = "",
) -> ResolvedSettings:
    directories = Directories.from_environment({"AIGC_HOME": str(cwd / "home")})
    directories.config.mkdir(parents=True)
    if user:
        directories.config_file.write_text(user, encoding="utf-8")
    if project:
        (cwd / ".aigc.toml").write_text(project, encoding="utf-8")
    return load_settings(env or {}, cwd, directories, flags or {})


# Precedence and origins


def test_without_any_origin_everything_is_default(tmp_path: Path) -> None:
    resolved = resolve(tmp_path)
    assert resolved.settings == Settings()
    assert set(resolved.origins.values()) == {"default"}


LAYERS = ["user", "project", "env", "flags"]


@pytest.mark.parametrize("highest", range(4))
def test_a_later_origin_beats_all_before_it(tmp_path: Path, highest: int) -> None:
    present = LAYERS[: highest + 1]
    resolved = resolve(
        tmp_path,
        user="seed = 0" if "user" in present else "",
        project="seed = 1" if "project" in present else "",
        env={"AIGC_SEED": "2"} if "env" in present else {},
        flags={"seed": 3} if "flags" in present else {},
    )
    origins = [
        str(tmp_path / "home" / "config" / "config.toml"),
        str(tmp_path / ".aigc.toml"),
        "AIGC_SEED",
        "--seed",
    ]
    assert resolved.settings.seed == highest
    assert resolved.origins["seed"] == origins[highest]


def test_origins_are_told_for_each_setting_by_itself(tmp_path: Path) -> None:
    resolved = resolve(
        tmp_path,
        user='temperature = 0.5\nmodel = "a"',
        env={"AIGC_TOP_K": "5"},
        flags={"model": "b", "min_p": None},
    )
    assert (resolved.settings.temperature, resolved.settings.top_k, resolved.settings.model) == (0.5, 5, "b")
    assert resolved.origins["model"] == "--model"
    assert resolved.origins["top_k"] == "AIGC_TOP_K"
    assert resolved.origins["min_p"] == "default"


def test_the_dashes_of_an_option_are_in_its_origin(tmp_path: Path) -> None:
    assert resolve(tmp_path, flags={"max_tokens": 5}).origins["max_tokens"] == "--max-tokens"


def test_an_empty_variable_is_as_if_unset(tmp_path: Path) -> None:
    assert resolve(tmp_path, env={"AIGC_SEED": ""}).settings.seed is None


def test_an_empty_system_prompt_is_not_the_same_as_none(tmp_path: Path) -> None:
    assert resolve(tmp_path, flags={"system": ""}).settings.system == ""


def test_every_setting_has_a_variable(tmp_path: Path) -> None:
    values = {"color": "never", "theme": "light", "stats": "yes", "history": "off", "loop_guard": "0"}
    values |= {"edit_mode": "vi", "overflow": "compact", "ubatch": "64", "kv_type": "q8_0"}
    env = {f"AIGC_{name.upper()}": values.get(name, "1000" if name == "context" else "1") for name in NAMES}
    origins = resolve(tmp_path, env=env).origins
    assert origins == {name: f"AIGC_{name.upper()}" for name in NAMES}


# Places


@pytest.mark.parametrize("line", ["kv_cache_gb = 0", "kv_cache_gb = 9999", "run_seconds = 3600"])
def test_a_project_can_t_set_what_is_the_persons_own(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match="a project can't set"):
        resolve(tmp_path, project=line)


def test_the_nearest_project_file_counts(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / ".aigc.toml").write_text("seed = 1", encoding="utf-8")
    assert find_project_file(deep) == tmp_path / ".aigc.toml"
    (tmp_path / "a" / ".aigc.toml").write_text("seed = 2", encoding="utf-8")
    assert find_project_file(deep) == tmp_path / "a" / ".aigc.toml"


def test_a_directory_of_that_name_is_no_project_file(tmp_path: Path) -> None:
    (tmp_path / ".aigc.toml").mkdir()
    assert find_project_file(tmp_path) != tmp_path / ".aigc.toml"


def test_everything_is_below_aigc_home_when_it_is_set(tmp_path: Path) -> None:
    directories = Directories.from_environment({"AIGC_HOME": str(tmp_path)})
    for path in (directories.config_file, directories.models, directories.cache, directories.state):
        assert path.is_relative_to(tmp_path)


def test_a_relative_aigc_home_does_not_move_with_the_directory(tmp_path: Path) -> None:
    assert Directories.from_environment({"AIGC_HOME": "here"}).data == tmp_path / "here" / "data"


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="XDG is for Linux and BSD")
def test_the_xdg_directories_are_used() -> None:
    directories = Directories.from_environment({})
    assert directories.config == Path(os.environ["XDG_CONFIG_HOME"]) / "aigc"
    assert directories.models == Path(os.environ["XDG_DATA_HOME"]) / "aigc" / "models"


# Project files


@pytest.mark.parametrize(
    "model", ["./evil.gguf", "../x", "/abs/m", "hf:a/b", "http://x/y", "C:\\m", "M.GGUF"]
)
def test_a_project_can_not_choose_the_file_that_is_parsed(tmp_path: Path, model: str) -> None:
    with pytest.raises(ConfigError, match="a project names a model, not a file or address"):
        resolve(tmp_path, project=f"model = {model!r}")


def test_not_even_by_a_file_named_like_a_model(tmp_path: Path) -> None:
    (tmp_path / "qwen").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match="a project names a model"):
        resolve(tmp_path, project='model = "qwen"')


def test_a_project_can_name_a_model(tmp_path: Path) -> None:
    assert resolve(tmp_path, project='model = "qwen2.5-coder:1.5b"'.replace(":", "-")).settings.model


# Bad values: one clear line each, with where it stands and what it takes


BAD = [
    ("seed", "abc"),
    ("seed", "-1"),
    ("seed", 1.5),
    ("seed", True),
    ("seed", "9" * 5000),
    ("temperature", "warm"),
    ("temperature", "nan"),
    ("temperature", float("inf")),
    ("temperature", 10**400),
    ("temperature", [1]),
    ("top_p", 1.01),
    ("min_p", -0.1),
    ("context", 0),
    ("threads", "0"),
    ("gpu_layers", -2),
    ("max_tokens", 0),
    ("repeat_penalty", 0),
    ("model", 5),
    ("model", {"a": 1}),
    ("stats", "maybe"),
    ("stats", 2),
    ("color", "purple"),
    ("color", ""),
    ("theme", True),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_told_with_its_place(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_value(name, value, "some place")
    assert raised.value.message.startswith(f"some place: {name} is ")
    assert raised.value.hint.startswith("it takes: ")
    assert raised.value.exit_code == 2


@given(
    st.sampled_from(NAMES),
    st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers()), st.none()),
)
def test_any_value_is_taken_or_refused(name: str, value: object) -> None:
    try:
        parsed = parse_value(name, value, "x")
    except ConfigError:
        return
    assert parse_value(name, parsed, "x") == parsed


@pytest.mark.parametrize(
    ("word", "value"), [("YES", True), ("on", True), ("1", True), ("no", False), ("Off", False)]
)
def test_switches_take_the_usual_words(word: str, *, value: bool) -> None:
    assert parse_value("stats", word, "x") is value


def test_a_mistyped_name_is_suggested() -> None:
    with pytest.raises(ConfigError, match="no setting is called 'temprature'") as raised:
        parse_value("temprature", 1, "x")
    assert raised.value.hint == "did you mean temperature?"


@pytest.mark.parametrize(
    "content", [b"seed = ", b"seed = 1\nseed = 2", b"\xff\xfe", b"[seed]\na = 1", b"unknown = 1", b"a = \0"]
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml: "):
        read_settings_file(path)


def test_a_directory_in_the_place_of_the_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        read_settings_file(tmp_path)


def test_flags_are_checked_like_everything_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--color: color is 'purple'"):
        resolve(tmp_path, flags={"color": "purple"})


@pytest.mark.parametrize("name", sorted({f.name for f in fields(Sampling)} & set(NAMES)))
def test_settings_and_sampling_refuse_the_same_values(name: str) -> None:
    low, high = next(f.metadata["limits"] for f in fields(Settings) if f.name == name)
    for value in (low, high):
        assert getattr(replace(Sampling(), **{name: value}), name) == parse_value(name, value, "x")
    for value in (low - 1, high + 1):
        with pytest.raises(UsageError):
            replace(Sampling(), **{name: value})
        with pytest.raises(ConfigError):
            parse_value(name, value, "x")
