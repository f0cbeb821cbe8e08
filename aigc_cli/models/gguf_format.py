"""The GGUF container, read defensively: raw keys and tensor descriptions, nothing about models.

Every length in the file is a claim, checked against the bytes that are left before anything is read or
reserved for it. Format: the GGUF specification, versions 2 and 3, in the ggml repository (docs/gguf.md).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from aigc_cli.errors import InvalidModelFile

Scalar = int | float | bool | str
Value = Scalar | tuple[int | float | bool, ...]

# Real files stay far below each of these; a file above one is hostile or damaged.
MAX_KEYS = 10_000  # real models hold 20-60
MAX_TENSORS = 100_000  # the largest mixtures of experts hold about 2,000
MAX_KEY_BYTES = 65_535  # the specification's limit
MAX_TENSOR_NAME_BYTES = 256  # ggml keeps 64
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
MAX_STRING_BYTES = 1 << 20  # of a string that is kept; the longest chat templates take 20 KB
MAX_TEXT_BYTES = 32 << 20  # of all keys, names and strings together
MAX_ARRAY_STRINGS = 1 << 22  # in the whole header; the largest vocabularies hold 0.26 M tokens, 0.6 M merges
MAX_KEPT_ARRAY = 1_024  # numbers of an array that is kept: a value for each layer
MAX_ALIGNMENT = 1 << 20
_WINDOW_BYTES = 1 << 20

FLOAT32 = 6
_STRING, _ARRAY = 8, 9
# Value type id -> struct code and size in bytes.
_NUMBERS: Mapping[int, tuple[str, int]] = {
    0: ("B", 1),
    1: ("b", 1),
    2: ("H", 2),
    3: ("h", 2),
    4: ("I", 4),
    5: ("i", 4),
    6: ("f", 4),
    7: ("?", 1),
    10: ("Q", 8),
    11: ("q", 8),
    12: ("d", 8),
}

# ggml tensor type id -> name, elements in a block, bytes of a block (ggml-common.h).
TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's description.

    Attributes:
        type_name: of ggml, such as "Q4_K"; "type 99" for one that this reader does not know.
        n_bytes: what it takes in the file.
        offset: from the start of the tensor data, in bytes.
        shape: the length of a row first.
    """

    name: str
    type_name: str
    n_elements: int
    n_bytes: int
    offset: int
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """What a GGUF header says, without the arrays of tokens.

    Attributes:
        values: scalars, strings and short arrays of numbers by key.
        array_lengths: how many elements each array holds, kept or not.
        data_start: where in the file the tensor data begins, in bytes.
        types: the id of the value type of each key.
    """

    version: int
    values: Mapping[str, Value]
    array_lengths: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    data_start: int
    types: Mapping[str, int]


class _Cursor:
    """Reads forward through a window of the file; a position past the end is an error before any read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size = file, size
        self._window, self._start, self._at = b"", 0, 0
        self.strings_left = MAX_ARRAY_STRINGS
        self.text_left = MAX_TEXT_BYTES

    @property
    def position(self) -> int:
        return self._start + self._at

    @property
    def left(self) -> int:
        return self.size - self.position

    def take(self, n: int) -> bytes:
        if n > len(self._window) - self._at:
            self._refill(n)
        self._at += n
        return self._window[self._at - n : self._at]

    def _refill(self, n: int) -> None:
        if n > self.left:
            refuse(f"the file is truncated: its header goes on past the end, at {self.size:,} bytes")
        self._start, self._at = self.position, 0
        self._file.seek(self._start)
        self._window = self._file.read(max(n, min(_WINDOW_BYTES, self.size - self._start)))
        if len(self._window) < n:
            refuse("the file became shorter while it was read")

    def skip(self, n: int) -> None:
        if n > self.left:
            refuse(f"the file is truncated: its header goes on past the end, at {self.size:,} bytes")
        if n <= len(self._window) - self._at:
            self._at += n
        else:
            self._start, self._window, self._at = self.position + n, b"", 0

    def number(self, code: str, n_bytes: int) -> int | float | bool:
        value: int | float | bool = struct.unpack("<" + code, self.take(n_bytes))[0]
        return value

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def text(self, what: str, max_bytes: int) -> str:
        n = self.u64()
        if n > max_bytes:
            refuse(f"{what} claims a length of {n:,} bytes; the limit is {max_bytes:,}")
        self.text_left -= n
        if self.text_left < 0:
            refuse(f"the header's texts take more than {MAX_TEXT_BYTES:,} bytes")
        try:
            return self.take(n).decode("utf-8")
        except UnicodeDecodeError:
            refuse(f"{what} is not valid UTF-8")

    def skip_strings(self, n: int) -> None:
        """Step over an array's strings; the hot loop of a real header (450,000 of them)."""
        self.strings_left -= n
        if self.strings_left < 0:
            refuse(f"an array claims {n:,} strings; no vocabulary has so many")
        unpack = struct.Struct("<Q").unpack_from
        while n:
            window, at, last = self._window, self._at, len(self._window) - 8
            while n and at <= last:
                at += 8 + unpack(window, at)[0]
                n -= 1
            past = at - len(window)
            if past > 0:  # the last string ends beyond the window
                self._at = len(window)
                self.skip(past)
            else:
                self._at = at
            if n and len(self._window) - self._at < 8:  # noqa: PLR2004  # a length takes 8 bytes
                self._refill(8)


def refuse(problem: str) -> NoReturn:
    """Say what is wrong with the file.

    Raises:
        InvalidModelFile: always.
    """
    raise InvalidModelFile(problem)


def read_container(file: BinaryIO, size: int) -> Container:
    """Read the header of an open GGUF file of this size in bytes.

    Raises:
        InvalidModelFile: it is no GGUF file, or truncated, damaged or hostile.
    """
    cursor = _Cursor(file, size)
    version = _read_version(cursor)
    n_tensors, n_keys = cursor.u64(), cursor.u64()
    if n_keys > MAX_KEYS or n_tensors > MAX_TENSORS:
        refuse(f"the header claims {n_keys:,} keys and {n_tensors:,} tensors; no model has so many")
    values: dict[str, Value] = {}
    array_lengths: dict[str, int] = {}
    types: dict[str, int] = {}
    for _ in range(n_keys):
        key = cursor.text("a key", MAX_KEY_BYTES)
        if key in types:
            refuse(f"the header holds the key {key[:60]!r} twice")
        types[key] = _read_value(cursor, key, values, array_lengths)
    claims = [_read_tensor_claim(cursor) for _ in range(n_tensors)]
    start = _data_start(values, cursor.position)
    return Container(version, values, array_lengths, _place_tensors(claims, start, size), start, types)


def _read_version(cursor: _Cursor) -> int:
    smallest = 24  # magic, version and the two counts
    if cursor.size < smallest:
        refuse(f"not a GGUF file: {cursor.size} bytes are too few")
    magic = cursor.take(4)
    if magic != b"GGUF":
        refuse(f"not a GGUF file: it starts with {magic!r}")
    version = cursor.u32()
    if version & 0xFFFF == 0:  # a small number with its bytes swapped
        refuse("a big-endian GGUF file; this reader takes little-endian ones")
    if version not in (2, 3):
        refuse(f"GGUF version {version}; versions 2 and 3 are supported")
    return version


def _read_value(cursor: _Cursor, key: str, values: dict[str, Value], array_lengths: dict[str, int]) -> int:
    """Give its type."""
    kind = cursor.u32()
    if kind in _NUMBERS:
        values[key] = cursor.number(*_NUMBERS[kind])
    elif kind == _STRING:
        values[key] = cursor.text(f"the value of {key[:60]!r}", MAX_STRING_BYTES)
    elif kind == _ARRAY:
        element, n = cursor.u32(), cursor.u64()
        array_lengths[key] = n
        _read_array(cursor, key, element, n, values)
    else:
        refuse(f"the value of {key[:60]!r} has the unknown type {kind}")
    return kind


def _read_array(cursor: _Cursor, key: str, element: int, n: int, values: dict[str, Value]) -> None:
    if element == _STRING:
        cursor.skip_strings(n)
        return
    if element not in _NUMBERS:
        kind = "nested arrays" if element == _ARRAY else f"elements of the unknown type {element}"
        refuse(f"the array {key[:60]!r} holds {kind}")
    code, n_bytes = _NUMBERS[element]
    if n > MAX_KEPT_ARRAY:
        cursor.skip(n * n_bytes)
        return
    values[key] = struct.unpack(f"<{n}{code}", cursor.take(n * n_bytes))


@dataclass(frozen=True, slots=True)
class _TensorClaim:
    name: str
    type_id: int
    dimensions: tuple[int, ...]
    offset: int


def _read_tensor_claim(cursor: _Cursor) -> _TensorClaim:
    name = cursor.text("a tensor's name", MAX_TENSOR_NAME_BYTES)
    n_dimensions = cursor.u32()
    if n_dimensions > MAX_DIMENSIONS:
        refuse(f"the tensor {name!r} claims {n_dimensions:,} dimensions")
    dimensions = tuple(cursor.u64() for _ in range(n_dimensions))
    return _TensorClaim(name, cursor.u32(), dimensions, cursor.u64())


def _data_start(values: Mapping[str, Value], header_end: int) -> int:
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        refuse(f"the alignment is {str(alignment)[:20]}, not a power of two up to {MAX_ALIGNMENT:,}")
    return -(-header_end // alignment) * alignment


def _place_tensors(claims: list[_TensorClaim], start: int, size: int) -> tuple[Tensor, ...]:
    """Check that each tensor lies inside the file and over no other one."""
    ordered = sorted(claims, key=lambda claim: claim.offset)
    names: set[str] = set()
    tensors: list[Tensor] = []
    position = 0
    for n, claim in enumerate(ordered, 1):
        tensor = _measure(claim, ordered[n].offset if n < len(ordered) else size - start)
        if tensor.name in names:
            refuse(f"the header holds the tensor {tensor.name!r} twice")
        if tensor.offset < position:
            refuse(f"the tensor {tensor.name!r} lies over another one")
        names.add(tensor.name)
        tensors.append(tensor)
        position = tensor.offset + tensor.n_bytes
    if tensors and start + position > size:
        refuse(f"the file is truncated: {size:,} bytes of {start + position:,}")
    return tuple(tensors)


def _measure(claim: _TensorClaim, next_offset: int) -> Tensor:
    n_elements = 1
    for length in claim.dimensions:
        n_elements *= length
    if not 0 < n_elements < 1 << 63:
        refuse(f"the tensor {claim.name!r} claims the shape {claim.dimensions}")
    if claim.type_id not in TENSOR_TYPES:
        # A type that llama.cpp got after this table was made: it takes the room up to the next tensor.
        room = max(next_offset - claim.offset, 1)
        return Tensor(claim.name, f"type {claim.type_id}", n_elements, room, claim.offset, claim.dimensions)
    type_name, block, block_bytes = TENSOR_TYPES[claim.type_id]
    row = claim.dimensions[0] if claim.dimensions else 1
    if row % block:
        refuse(f"the tensor {claim.name!r} has rows of {row:,} elements, {type_name} needs blocks of {block}")
    n_bytes = n_elements // block * block_bytes
    return Tensor(claim.name, type_name, n_elements, n_bytes, claim.offset, claim.dimensions)
