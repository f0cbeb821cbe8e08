"""Any split of the bytes gives the same text, and a stop string never shows."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.engine.detokenize import Detokenizer

TEXTS = st.text(alphabet="ab\n`é词😀", max_size=40)


def run(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[str, bool]:
    detokenizer = Detokenizer(stop)
    text = "".join(detokenizer.push(piece) for piece in pieces) + detokenizer.finish()
    return text, detokenizer.stopped


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(TEXTS, st.lists(st.integers(min_value=0), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_text(text: str, places: list[int]) -> None:
    assert run(cut(text.encode(), places)) == (text, False)


@given(st.binary(max_size=40), st.lists(st.integers(min_value=0), max_size=8))
def test_bytes_that_are_no_utf8_become_replacement_characters(data: bytes, places: list[int]) -> None:
    assert run(cut(data, places))[0] == data.decode("utf-8", "replace")


@given(
    TEXTS, st.lists(st.text(alphabet="ab\n`词", min_size=1, max_size=3), max_size=3), st.lists(st.integers(0))
)
def test_a_stop_string_ends_the_text_and_is_never_shown(
    text: str, stop: list[str], places: list[int]
) -> None:
    shown, stopped = run(cut(text.encode(), places), tuple(stop))
    assert text.startswith(shown)
    assert not any(s in shown for s in stop)
    assert stopped == any(s in text for s in stop)
    assert stopped or shown == text


def test_text_is_released_as_soon_as_it_can_no_longer_become_a_stop_string() -> None:
    detokenizer = Detokenizer(("\n```",))
    assert detokenizer.push(b"x = 1") == "x = 1"
    assert detokenizer.push(b"\n``") == ""
    assert detokenizer.push(b"y") == "\n``y"


def test_a_character_split_over_tokens_shows_when_it_is_whole() -> None:
    detokenizer = Detokenizer()
    first, last = "词".encode()[:2], "词".encode()[2:]
    assert detokenizer.push(first) == ""
    assert detokenizer.push(last) == "词"
