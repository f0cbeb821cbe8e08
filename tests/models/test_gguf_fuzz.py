"""Whatever the bytes, the reader answers or raises InvalidModelFile, soon and in little memory."""

import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_cli.errors import InvalidModelFile
from aigc_cli.models.gguf import GgufHeader, read_header
from tests.models.gguf_files import array_key, container, string_key, tensor, text, u32_key, write_model

LYING = (0, 1, 7, 8, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def answer(path: Path, content: bytes) -> GgufHeader | None:
    path.write_bytes(content)
    try:
        header = read_header(path)
    except InvalidModelFile as error:
        assert error.message  # noqa: PT017  # both outcomes are right: this is not pytest.raises
        return None
    header.memory(4096)
    return header


def mutate(whole: bytes, rng: random.Random) -> bytes:
    """One to four random flips, lies, cuts, splices or repeats; most of them in the header."""
    content = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(max(1, min(len(content), 2_600)))
        match rng.randrange(6):
            case 0:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                content[at : at + 8] = struct.pack("<Q", rng.choice(LYING))
            case 2:
                content[at : at + 4] = struct.pack("<I", rng.choice(LYING) & 0xFFFFFFFF)
            case 3:
                del content[rng.randrange(len(content) + 1) :]
            case 4:
                start = rng.randrange(len(whole))
                content[at:at] = whole[start : start + rng.randrange(200)]
            case _:
                del content[at : at + rng.randrange(1, 64)]
    return bytes(content)


def test_ten_thousand_mutated_headers_give_an_answer_or_one_error(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "tiny.gguf").read_bytes()
    rng = random.Random(20240917)
    path = tmp_path / "mutated.gguf"
    answers = [answer(path, mutate(whole, rng)) for _ in range(10_000)]
    n_refused = answers.count(None)
    # Harmless mutations (a weight, a letter of a name) must still parse, the others must be seen.
    assert 3_000 < n_refused < 9_900


MANY = 1 << 21
HOSTILE: dict[str, Callable[[], bytes]] = {
    "strings": lambda: container([array_key("k", 8, MANY, bytes(8 * MANY))], n_keys=2),
    "strings past the limit": lambda: container([array_key("k", 8, MANY * 4, bytes(8 * MANY * 4))]),
    "numbers": lambda: container([array_key("k", 4, MANY * 8, bytes(4 * MANY * 8))]),
    "texts": lambda: container([string_key(f"k{n}", bytes(1 << 20)) for n in range(96)]),
    "tensors": lambda: container(tensors=[tensor(f"t{n}", [1 << 30], 0, n) for n in range(90_000)]),
    "keys": lambda: container([u32_key(f"k{n}", n) for n in range(9_000)]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_large_hostile_file_takes_little_time_and_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(HOSTILE[kind]())
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(InvalidModelFile):
            read_header(path)
        seconds = time.process_time() - started
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < 10  # a real header takes 0.05 without tracing
    assert peak < 72 << 20


header_parts = st.one_of(
    st.binary(max_size=40),
    st.builds(text, st.text(max_size=12)),
    st.builds(u32_key, st.text(max_size=12), st.integers(0, 2**32 - 1)),
    st.builds(
        array_key, st.text(max_size=8), st.integers(0, 14), st.sampled_from(LYING), st.binary(max_size=40)
    ),
    st.builds(
        tensor,
        st.text(max_size=8),
        st.lists(st.sampled_from(LYING), max_size=5),
        st.integers(0, 50),
        st.sampled_from(LYING),
    ),
)


@settings(max_examples=400, deadline=None)
@given(
    parts=st.lists(header_parts, max_size=8),
    n_keys=st.sampled_from((0, 1, 2, 5, *LYING)),
    n_tensors=st.sampled_from((0, 1, 2, *LYING)),
    version=st.integers(0, 5),
)
def test_any_parts_with_any_counts_give_an_answer_or_one_error(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[bytes],
    n_keys: int,
    n_tensors: int,
    version: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "parts.gguf"
    content = container(parts, n_keys=n_keys, n_tensors=n_tensors, version=version)
    assert answer(path, content) is None or content.startswith(b"GGUF")


@settings(max_examples=300, deadline=None)
@given(tail=st.binary(max_size=300))
def test_any_bytes_after_the_magic_give_an_answer_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.gguf"
    assert answer(path, b"GGUF\x03\0\0\0" + tail) is None
