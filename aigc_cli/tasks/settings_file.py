"""Changes one setting in a settings file and leaves the rest, comments too, as the person wrote it."""

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path

from aigc_cli.config import Settings, Value, parse_value, read_settings_file
from aigc_cli.errors import ConfigError, FileError
from aigc_cli.tasks.workspace import read_text, write_atomic


def set_in_file(path: Path, key: str, text: str) -> None:
    """Set one setting from what a person typed; the file and its directory are made when missing.

    Raises:
        ConfigError: no such setting, a value that does not fit it, or a file too intricate to change.
        FileError: the file can't be written.
    """
    name = key.replace("-", "_")
    value = parse_value(name, text, "aigc config set")
    _change(path, name, f"{name} = {_toml(value)}", read_settings_file(path) | {name: value})


def unset_in_file(path: Path, key: str) -> bool:
    """Take one setting out; False when it was not in.

    Raises:
        ConfigError: no such setting, or a file that can't be changed line by line.
        FileError: the file can't be written.
    """
    name = key.replace("-", "_")
    wanted = read_settings_file(path)
    if name not in wanted:
        if name not in {f.name for f in fields(Settings)}:
            raise ConfigError(f"no setting is called {name!r}", "aigc config show lists the settings")
        return False
    del wanted[name]
    _change(path, name, "", wanted)
    return True


def _change(path: Path, name: str, line: str, wanted: dict[str, Value]) -> None:
    target = path.resolve()  # people keep their settings in a repository, and a link to them here
    old = read_text(target, str(path)) if target.exists() else ""
    pattern = re.compile(rf"""^[ \t]*(["']?){name}\1[ \t]*=.*\n?""", re.MULTILINE)
    new_line = f"{line}\n" if line else ""
    if pattern.search(old):
        new = pattern.sub(lambda _: new_line, old, count=1)
    else:
        new = old + ("\n" if old and not old.endswith("\n") else "") + new_line
    if _values(new) != wanted:  # a value over several lines, say: this is no TOML editor
        raise ConfigError(f"{path}: {name} can't be changed here", "edit the file by hand")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{str(target.parent)!r} can't be made: {error.strerror}") from error
    write_atomic(target, new, str(path))


def _values(text: str) -> dict[str, Value] | None:
    try:
        return {name: parse_value(name, value, "") for name, value in tomllib.loads(text).items()}
    except (tomllib.TOMLDecodeError, ConfigError):
        return None


def _toml(value: Value) -> str:
    if isinstance(value, str):  # a TOML basic string is a JSON string, but for the DEL character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)
