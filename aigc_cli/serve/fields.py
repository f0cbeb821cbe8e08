"""JSON from strangers: bytes to an object, and its fields with the types that they must have."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeGuard, TypeVar

from aigc_cli.serve.refusals import BadField

DEEPEST = 100  # levels of nesting; a JSON schema of a large program has some twenty
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")
_INT64 = 2**63

T = TypeVar("T")


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a request's body.

    Raises:
        BadField: it is no JSON object, or holds what no JSON text may hold (NaN, half a surrogate pair).
    """
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
        _check(value, DEEPEST)
    except BadField:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise BadField("", f"the body is no JSON: {_short(str(error))}") from None
    if not isinstance(value, dict):
        raise BadField("", "the body is no JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BadField("", f"the body is no JSON: it holds {name}")


def _too_deep() -> BadField:
    return BadField("", f"the body is nested more than {DEEPEST} levels deep")


def _check(value: Any, levels_left: int) -> None:
    if levels_left < 0:
        raise _too_deep()
    match value:
        case str():
            if _HALF_A_PAIR.search(value):
                raise BadField("", "a text holds half a surrogate pair, which is no character")
        case dict():
            for key, inner in value.items():
                _check(key, levels_left)
                _check(inner, levels_left - 1)
        case list():
            for inner in value:
                _check(inner, levels_left - 1)


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:120] + "…"  # noqa: PLR2004  # a line for a person


class Fields:
    """The fields of one JSON object. A field that is null counts as absent, as OpenAI's clients send it."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        """`path` is where the object stands in the request, e.g. `messages[3].`."""
        self._values = values
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        """The value as it is, None when absent."""
        return self._values.get(name)

    def path(self, name: str) -> str:
        """The field's full name, for messages."""
        return self._path + name

    def refuse(self, name: str, wanted: str) -> NoReturn:
        """Say what a field must hold instead.

        Raises:
            BadField: always.
        """
        where = self.path(name)
        if name in self:
            raise BadField(where, f"{where} must be {wanted}")
        raise BadField(where, f"{where} is missing")

    def text(self, name: str) -> str | None:
        """A string."""
        return self._typed(name, "a string", _is_text)

    def flag(self, name: str) -> bool | None:
        """True or false."""
        return self._typed(name, "true or false", _is_flag)

    def array(self, name: str) -> list[Any] | None:
        """An array of anything."""
        return self._typed(name, "an array", _is_array)

    def mapping(self, name: str) -> dict[str, Any] | None:
        """An object of anything."""
        return self._typed(name, "an object", _is_object)

    def nested(self, name: str) -> "Fields":
        """The fields of an object inside; none when it is absent."""
        return Fields(self.mapping(name) or {}, f"{self.path(name)}.")

    def objects(self, name: str) -> "list[Fields]":
        """The fields of each object of an array; none when it is absent."""
        found = []
        for index, value in enumerate(self.array(name) or ()):
            where = f"{self.path(name)}[{index}]"
            if not isinstance(value, dict):
                raise BadField(where, f"{where} must be an object")
            found.append(Fields(value, f"{where}."))
        return found

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Strings in an array, or one string alone."""
        if isinstance(self.raw(name), str):
            return (self._values[name],)
        return self._strings(name, "a string or an array of strings")

    def _strings(self, name: str, wanted: str) -> tuple[str, ...] | None:
        found = self._typed(name, wanted, _is_texts)
        return None if found is None else tuple(found)

    def number(self, name: str) -> float | None:
        """A finite number."""
        return self._typed(name, "a finite number", _is_finite)

    def whole(self, name: str) -> int | None:
        """A whole number of 64 bits; 40.0 is one too."""
        value = self.number(name)
        if value is None:
            return None
        if value != int(value):
            self.refuse(name, "a whole number")
        if not -_INT64 <= value < _INT64:
            self.refuse(name, "a whole number of 64 bits")
        return int(value)

    def _typed(self, name: str, wanted: str, fits: Callable[[Any], TypeGuard[T]]) -> T | None:
        if name not in self:
            return None
        value = self._values[name]
        return value if fits(value) else self.refuse(name, wanted)


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


def _is_flag(value: Any) -> TypeGuard[bool]:
    return isinstance(value, bool)


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(inner, str) for inner in value)


def _is_finite(value: Any) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_INT64 <= value < _INT64 if isinstance(value, int) else math.isfinite(value)


def required(fields: Fields, name: str, value: T | None) -> T:
    """The value of a field that must be there.

    Raises:
        BadField: it is absent.
    """
    return fields.refuse(name, "given") if value is None else value
