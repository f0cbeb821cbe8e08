"""Headers that are remembered: equal to what the file says, and never of another file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.errors import InvalidModelFile
from aigc_cli.models.gguf import GgufHeader, read_header
from aigc_cli.models.known_headers import known_header
from tests.models.gguf_files import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "headers"


def spoil(path: Path) -> None:
    """Make the file unreadable as GGUF, and let it look unchanged."""
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    with path.open("r+b") as file:
        file.write(b"not gguf")
    os.utime(path, ns=times)


def remembered(headers: Path) -> Path:
    (file,) = headers.glob("*.json")
    return file


def test_a_header_that_was_read_is_not_read_again_and_is_the_same(model: Path, headers: Path) -> None:
    first = known_header(model, headers)
    assert first == read_header(model)
    spoil(model)
    again = known_header(model, headers)
    assert again == first
    assert isinstance(again.layer_bytes, tuple)
    with pytest.raises(TypeError):
        again.metadata["x"] = 1  # type: ignore[index]  # it is as frozen as the first one


@pytest.mark.parametrize("change", ["size", "time", "another file"])
def test_a_file_that_changed_is_read_again(model: Path, headers: Path, tmp_path: Path, change: str) -> None:
    known_header(model, headers)
    spoil(model)
    if change == "size":
        times = (model.stat().st_atime_ns, model.stat().st_mtime_ns)
        with model.open("ab") as file:
            file.write(b"x")
        os.utime(model, ns=times)
    elif change == "time":
        os.utime(model, ns=(1, 1))
    else:
        other = tmp_path / "other"
        other.write_bytes(model.read_bytes())
        os.utime(other, ns=(model.stat().st_atime_ns, model.stat().st_mtime_ns))
        other.replace(model)
    with pytest.raises(InvalidModelFile, match="not a GGUF file"):
        known_header(model, headers)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _text: "",
        lambda _text: "[" * 100_000,
        lambda text: text[: len(text) // 2],
        lambda text: json.dumps(json.loads(text) | {"version": 0}),
        lambda _text: "[1, 2]",
        *(
            lambda text, name=name, value=value: _with(text, name, value)
            for name, value in [
                ("n_layers", "2"), ("n_layers", -1), ("n_layers", True), ("layer_bytes", [1.5]),
                ("layer_bytes", 3), ("metadata", [1]), ("metadata", {"a": [1]}), ("architecture", 5),
                ("chat_template", 1),
            ]
        ),
    ],
)  # fmt: skip
def test_what_is_damaged_is_read_anew(model: Path, headers: Path, damage: Any) -> None:
    whole = known_header(model, headers)
    file = remembered(headers)
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert known_header(model, headers) == whole
    assert json.loads(file.read_bytes())["header"]["n_layers"] == whole.n_layers


def _with(text: str, name: str, value: object) -> str:
    known = json.loads(text)
    known["header"][name] = value
    return json.dumps(known)


def test_where_nothing_can_be_kept_the_header_is_read(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert isinstance(known_header(model, tmp_path / "file" / "headers"), GgufHeader)


def test_a_file_that_is_not_there_is_told(headers: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFile, match="No such file"):
        known_header(tmp_path / "none.gguf", headers)
    assert not headers.exists()
