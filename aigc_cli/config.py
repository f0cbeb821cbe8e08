"""Settings: their names, defaults and origins, and the directories that files live in.

Precedence: command-line flag > `AIGC_*` variable > project `.aigc.toml` > user `config.toml` >
OPENAI_BASE_URL (for `base_url` only) > default.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from aigc_cli.errors import ConfigError

PROJECT_FILE = ".aigc.toml"
SERVER_VARIABLE = "OPENAI_BASE_URL"
Value = str | int | float | bool | tuple[str, ...] | None


# Limits: values that llama.cpp would crash on or misread are refused where they are written down.
Limits = tuple[float, float]
_SHARE: Limits = (0, 1)
_PENALTY: Limits = (0, 10)


def _setting(
    default: Value,
    text: str,
    *,
    choices: tuple[str, ...] = (),
    limits: Limits | None = None,
    project: bool = True,
) -> Any:
    metadata = {"help": text, "choices": choices, "limits": limits, "project": project}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting; the metadata of its fields feeds `aigc config show` and docs/configuration.md."""

    model: str | None = _setting(
        None, "name of a model, or path of a GGUF file; unset: chosen for the machine"
    )
    context: int | None = _setting(
        None, "context window in tokens; unset: what model and memory allow", limits=(256, 2**24)
    )
    threads: int | None = _setting(None, "CPU threads; unset: the physical cores", limits=(1, 1024))
    gpu_layers: int | None = _setting(
        None, "layers on the GPU, -1 all; unset: as many as fit", limits=(-1, 9999)
    )
    lora: tuple[str, ...] = _setting(
        (), "LoRA adapters over the model: GGUF files, each as FILE or FILE:SCALE", project=False
    )
    repack: bool | None = _setting(
        None,
        "rearrange weights for this CPU: loads and reads slower, writes faster; unset: as tuned, else off",
    )
    flash_attention: bool | None = _setting(
        None, "flash attention, where model and device can; unset: as tuned, else on"
    )
    ubatch: int | None = _setting(
        None, "prompt tokens evaluated at once; unset: as tuned, else 512", limits=(32, 512)
    )
    kv_type: str | None = _setting(
        None,
        "numbers in the KV cache, 16 or 8 bits; unset: as tuned, else f16",
        choices=("f16", "q8_0"),
    )
    draft_model: str | None = _setting(
        None,
        "small model that guesses what the model writes next, name or path; off: none; unset: the smallest "
        "of its family that is on disk, for models from 7B on",
        project=False,
    )
    temperature: float | None = _setting(
        None, "0 is greedy; unset: what the model's publisher recommends", limits=_PENALTY
    )
    top_k: int | None = _setting(None, "keep the k most probable tokens, 0 off", limits=(0, 2**31 - 1))
    top_p: float | None = _setting(None, "keep this probability mass, 1 off", limits=_SHARE)
    min_p: float | None = _setting(
        None, "drop tokens below this share of the best one's probability, 0 off", limits=_SHARE
    )
    repeat_penalty: float | None = _setting(None, "penalty on recent tokens, 1 off", limits=(0.01, 10))
    dry_multiplier: float | None = _setting(None, "penalty on repeated sequences, 0 off", limits=_PENALTY)
    seed: int | None = _setting(
        None, "the same seed gives the same reply on the same machine", limits=(0, 2**32 - 2)
    )
    max_tokens: int | None = _setting(
        None, "longest reply in tokens; unset: what the window leaves", limits=(1, 2**31 - 1)
    )
    base_url: str | None = _setting(
        None,
        "address of an OpenAI-compatible server that runs the model, such as http://localhost:8080/v1; "
        "unset or empty: this machine does",
        project=False,
    )
    api_key_command: str | None = _setting(
        None,
        "command that prints the server's API key; unset: the key is in OPENAI_API_KEY",
        project=False,
    )
    connect_timeout: float = _setting(
        10.0, "longest wait for a connection to the server, in seconds", limits=(0.1, 3600)
    )
    first_token_timeout: float = _setting(
        600.0, "longest wait for the first token of the server's reply, in seconds", limits=(0.1, 86_400)
    )
    idle_timeout: float = _setting(
        120.0, "longest silence in the middle of the server's reply, in seconds", limits=(0.1, 86_400)
    )
    system: str | None = _setting(None, "system prompt; unset: the built-in one, empty: none")
    color: str = _setting("auto", "colour on stdout", choices=("auto", "always", "never"))
    theme: str = _setting("auto", "colours of code", choices=("auto", "dark", "light", "ansi", "none"))
    stats: bool | None = _setting(
        None, "a line of statistics after each reply; unset: in a chat at a terminal"
    )
    edit_mode: str = _setting("emacs", "keys of the chat's line editor", choices=("emacs", "vi"))
    overflow: str = _setting(
        "drop",
        "what a chat does with old turns when its window is full: drop them, or have the model sum them up",
        choices=("drop", "compact"),
    )
    run_seconds: int = _setting(30, "longest run of /run, in seconds", limits=(1, 86_400), project=False)
    history: bool = _setting(True, "keep conversations, and what is typed in the chat, for the next time")
    kv_cache_gb: float = _setting(
        2.0,
        "disk space for what the model has read, so that it need not be read again, in GB; 0 keeps none",
        limits=(0, 10_000),
        project=False,
    )
    loop_guard: bool = _setting(True, "stop a reply that repeats itself")
    resident: bool = _setting(
        sys.platform != "win32", "run the model in a background process that later commands find loaded"
    )
    keep_alive: int = _setting(
        300,
        "seconds that the background process stays without work: 0 leaves at once, -1 stays",
        limits=(-1, 30 * 86_400),
    )


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """The settings in force, and where each value came from."""

    settings: Settings
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Directories:
    """Where files live; everything is below one directory when `AIGC_HOME` is set."""

    config: Path
    data: Path
    cache: Path
    state: Path

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Directories":
        """The XDG directories (or the platform's own), or those below `AIGC_HOME`."""
        if home := env.get("AIGC_HOME"):
            root = Path(home).expanduser().absolute()
            return cls(root / "config", root / "data", root / "cache", root / "state")
        from platformdirs import PlatformDirs  # 10 ms; not needed under AIGC_HOME

        platform = PlatformDirs("aigc", appauthor=False)
        return cls(
            platform.user_config_path,
            platform.user_data_path,
            platform.user_cache_path,
            platform.user_state_path,
        )

    @property
    def models(self) -> Path:
        """Model files and their index."""
        return self.data / "models"

    @property
    def kv(self) -> Path:
        """Saved KV prefixes."""
        return self.cache / "kv"

    @property
    def headers(self) -> Path:
        """What the headers of model files said."""
        return self.cache / "headers"

    @property
    def tuning(self) -> Path:
        """What was measured of models on this machine, and the usual shape of requests."""
        return self.state / "tuning"

    @property
    def config_file(self) -> Path:
        """The user's settings."""
        return self.config / "config.toml"


def parse_value(name: str, value: object, origin: str) -> Value:
    """Check one setting's value, from TOML or from text, against its type and choices.

    Raises:
        ConfigError: no such setting, or the value does not fit it.
    """
    known = {f.name: f for f in fields(Settings)}
    if name not in known:
        raise ConfigError(f"{origin}: no setting is called {name!r}", _suggestion(name, known))
    hint = get_type_hints(Settings)[name]
    kinds = list(get_args(hint) or (type(known[name].default),))
    try:
        parsed = _texts(value) if hint == tuple[str, ...] else _convert(value, kinds)
    except (TypeError, ValueError, OverflowError):
        if hint == tuple[str, ...]:
            wanted = "texts in an array, or one with commas between them"
        else:
            wanted = " or ".join("unset" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ConfigError(f"{origin}: {name} is {value!r}", f"it takes: {wanted}") from None
    choices: tuple[str, ...] = known[name].metadata["choices"]
    if choices and parsed not in choices:
        raise ConfigError(f"{origin}: {name} is {value!r}", f"it takes: {', '.join(choices)}")
    if name == "base_url" and "@" in str(parsed or ""):  # told without the value: it would hold a password
        raise ConfigError(
            f"{origin}: base_url holds a user name or password",
            "OPENAI_API_KEY or api_key_command gives the key",
        )
    limits: Limits | None = known[name].metadata["limits"]
    # written so that NaN fails it too
    if limits and isinstance(parsed, int | float) and not limits[0] <= parsed <= limits[1]:
        raise ConfigError(f"{origin}: {name} is {value!r}", f"it takes: {limits[0]} to {limits[1]}")
    return parsed


def _suggestion(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    return f"did you mean {nearest[0]}?" if nearest else "aigc config show lists the settings"


def _convert(value: object, kinds: list[type]) -> Value:
    if bool in kinds:
        if isinstance(value, bool):
            return value
        words = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        return words[value.lower()] if isinstance(value, str) and value.lower() in words else _refuse()
    if isinstance(value, bool):
        return _refuse()
    if str in kinds:
        return value if isinstance(value, str) else _refuse()
    if int in kinds:
        return int(value) if isinstance(value, int | str) else _refuse()
    return float(value) if isinstance(value, int | float | str) else _refuse()


def _texts(value: object) -> tuple[str, ...]:
    """Several texts: an array's, or what commas part; empty ones say that there is none."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        return _refuse()
    return tuple(part.strip() for part in parts if part.strip())


def _refuse() -> NoReturn:
    raise ValueError


def read_settings_file(path: Path) -> dict[str, Value]:
    """Read one TOML file of settings; a missing file holds none.

    Raises:
        ConfigError: it can't be read, is no TOML, or holds an unknown name or a bad value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    import tomllib  # 3 ms; most people have no such file

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, error) from error
    return {name: parse_value(name, value, str(path)) for name, value in table.items()}


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path}: {error}", "mend the file or move it away")


def find_project_file(cwd: Path) -> Path | None:
    """The nearest `.aigc.toml` in this directory or above it."""
    for folder in (cwd, *cwd.parents):
        candidate = folder / PROJECT_FILE
        try:
            if candidate.is_file():
                return candidate
        except OSError:  # a directory above that this person can't look into
            continue
    return None


def load_settings(
    env: Mapping[str, str], cwd: Path, directories: Directories, flags: Mapping[str, Value]
) -> ResolvedSettings:
    """Merge all origins by precedence; a flag that is None was not given."""
    layers: list[tuple[str, dict[str, Value]]] = []
    if url := env.get(SERVER_VARIABLE):  # other programs' variable: what was written for aigc comes before it
        layers.append((SERVER_VARIABLE, {"base_url": parse_value("base_url", url, SERVER_VARIABLE)}))
    layers.append((str(directories.config_file), read_settings_file(directories.config_file)))
    if project := find_project_file(cwd):
        layers.append((str(project), _project_settings(project, cwd)))
    names = [f.name for f in fields(Settings)]
    variables = {name: f"AIGC_{name.upper()}" for name in names}
    layers += [
        (variable, {name: parse_value(name, env[variable], variable)})
        for name, variable in variables.items()
        if env.get(variable)
    ]
    options = {name: f"--{name.replace('_', '-')}" for name in flags}
    layers += [
        (options[name], {name: parse_value(name, value, options[name])})
        for name, value in flags.items()
        if value is not None
    ]
    settings, origins = Settings(), dict.fromkeys(names, "default")
    for origin, values in layers:
        settings = replace(settings, **values)  # type: ignore[arg-type]  # parse_value checked each type
        origins.update(dict.fromkeys(values, origin))
    return ResolvedSettings(settings, origins)


def _is_file_or_address(model: str) -> bool:
    return any(mark in model for mark in "/\\:~") or model.lower().endswith(".gguf")


def project_may_set(name: str, value: Value, cwd: Path) -> bool:
    """Whether a file in a directory that someone else may have written can choose this.

    It does not run commands and does not name servers. It names a model; it does not choose which file
    llama.cpp parses.
    """
    if name == "model":
        return not (isinstance(value, str) and (_is_file_or_address(value) or (cwd / value).is_file()))
    return all(f.metadata["project"] for f in fields(Settings) if f.name == name)


def _project_settings(path: Path, cwd: Path) -> dict[str, Value]:
    values = read_settings_file(path)
    for name, value in values.items():
        if project_may_set(name, value, cwd):
            continue
        if name == "model":
            raise ConfigError(
                f"{path}: a project names a model, not a file or address: {value!r}", "aigc models list"
            )
        raise ConfigError(f"{path}: a project can't set {name}", "move it to your own config.toml")
    return values
