"""Headers of model files that were read before, so that a start need not walk over their vocabulary again.

A header is valid as long as its file is the same one: path, size, time of change, inode. What is remembered
is checked; anything odd is read anew.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aigc_cli.atomic import write_atomically
from aigc_cli.models.gguf import GgufHeader, read_header

_VERSION = 1  # of the form; another one is read anew


def known_header(path: Path, directory: Path) -> GgufHeader:
    """The header of a model file, from `directory` when it was read before.

    Raises:
        InvalidModelFile: see `read_header`.
    """
    try:
        stamp = _stamp(path)
    except OSError:
        return read_header(path)  # which says what is wrong
    name = hashlib.sha256(stamp[0].encode("utf-8", "surrogateescape")).hexdigest()[:32]
    place = directory / f"{name}.json"
    # whatever the file holds: KeyError and TypeError for another shape, RecursionError for a deep one
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        return _remembered(place, stamp)
    header = read_header(path)
    with suppress(OSError):  # a full disk or a read-only one: it is read again next time
        _remember(place, stamp, header)
    return header


def _stamp(path: Path) -> tuple[str, int, int, int]:
    file = path.resolve()
    found = file.stat()
    return str(file), found.st_size, found.st_mtime_ns, found.st_ino


def _remembered(place: Path, stamp: tuple[str, int, int, int]) -> GgufHeader:
    known = json.loads(place.read_bytes())
    if known["version"] != _VERSION or tuple(known["stamp"]) != stamp:
        raise ValueError("another file, or another form")
    facts = known["header"]
    return GgufHeader(**{field.name: _checked(facts[field.name], field.type) for field in fields(GgufHeader)})


def _checked(value: Any, kind: Any) -> Any:
    """A field's value as the header holds it.

    Raises:
        ValueError: it is not of this type.
    """
    if kind is int and _is_count(value):
        return value
    if kind == tuple[int, ...] and isinstance(value, list) and all(map(_is_count, value)):
        return tuple(value)
    if isinstance(value, str) and kind in (str, str | None):
        return value
    if value is None and kind == str | None:
        return None
    if isinstance(value, dict) and all(isinstance(each, str | int | float) for each in value.values()):
        return MappingProxyType(value)
    raise ValueError(f"no {kind}")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _remember(place: Path, stamp: tuple[str, int, int, int], header: GgufHeader) -> None:
    facts = {field.name: getattr(header, field.name) for field in fields(header)}
    text = json.dumps(
        {"version": _VERSION, "stamp": stamp, "header": facts | {"metadata": dict(header.metadata)}}
    )
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(place, text.encode())
