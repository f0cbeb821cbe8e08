"""Emphasis, code and links inside a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.render.inline import decided_cuts, is_decided, parse, parse_open
from aigc_cli.render.spans import Mark, Span

SHORT = {
    Mark.BOLD: "b",
    Mark.ITALIC: "i",
    Mark.STRIKE: "s",
    Mark.CODE: "c",
    Mark.LINK: "l",
    Mark.ADDRESS: "a",
}


def brief(spans: list[Span]) -> str:
    """Spans as text: [b:bold] and plain text as it is."""
    parts = []
    for text, mark in spans:
        names = "".join(name for single, name in SHORT.items() if mark & single)
        parts.append(f"[{names}:{text}]" if names else text)
    return "".join(parts)


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("a **b** *c* ***d*** ~~e~~", "a [b:b] [i:c] [bi:d] [s:e]"),
        ("**粗体**。后面", "[b:粗体]。后面"),
        ("**粗体。**后面", "[b:粗体。]后面"),
        ("文**“引号”**文", "文[b:“引号”]文"),
        ("中文*斜体*中文", "中文[i:斜体]中文"),
        ("snake_case_name 2 * 3 * 4 a*", "snake_case_name 2 * 3 * 4 a*"),
        ("`a **b**` ``c ` d``", "[c:a **b**] [c:c ` d]"),
        ("[text](http://x.y 'title') z", "[l:text] ([a:http://x.y]) z"),
        ("[http://x.y](http://x.y) <http://z.w>", "[l:http://x.y] [l:http://z.w]"),
        ("![alt](img.png)", "[l:alt] ([a:img.png])"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        (r"\*a\* &lt;b&gt;", "*a* <b>"),
        ("**open [text](", "**open [text]("),
        ("[a](http://x/%E2%80%AE)", "[l:a] ([a:http://x/⟪U+202E⟫])"),
    ],
)
def test_spans(source: str, seen: str) -> None:
    assert brief(parse(source)) == seen


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("a **b", "a [b:b]"),
        ("a **b ", "a [b:b]"),
        ("a **b *c", "a [b:b ][bi:c]"),
        ("**b*", "[b:b]"),
        ("**b**", "[b:b]"),
        ("a `cod", "a [c:cod]"),
        ("a **", "a "),
        ("[te", "[te"),
    ],
)
def test_what_is_open_is_shown_as_if_it_were_closed(source: str, seen: str) -> None:
    assert brief(parse_open(source)).strip() == seen.strip()


@pytest.mark.parametrize(
    ("text", "decided"),
    [
        ("plain ", True),
        ("**bold** ", True),
        ("2 * 3 ", True),
        ("a[0] ", True),
        ("**bold ", False),
        ("`code ", False),
        ("[link ", False),
        ("[link](http://x ", False),
    ],
)
def test_only_what_is_open_is_undecided(text: str, *, decided: bool) -> None:
    assert is_decided(text) == decided


INLINE = st.lists(
    st.sampled_from(["**", "*", "_", "`", "[", "](x)", "a", "word ", " ", "中", "。", "\\", "~~"]),
    max_size=40,
)


@given(INLINE.map("".join), st.lists(st.integers(0, 80), max_size=5))
def test_parts_are_read_the_same_however_the_text_arrives(text: str, places: list[int]) -> None:
    def read(bounds: list[int]) -> str:
        rest, scanned, out, start = "", 0, "", 0
        for bound in [*bounds, len(text)]:
            rest += text[start:bound]
            start = max(start, bound)
            cuts, scanned = decided_cuts(rest, scanned)
            begin = 0
            for place in cuts:
                out += brief(parse(rest[begin:place]))
                begin = place
            rest, scanned = rest[begin:], scanned - begin
        return out + brief(parse(rest))

    assert read(sorted(places)) == read([])


def test_the_open_part_of_an_endless_emphasis_is_bounded() -> None:
    text = "**" + "word " * 500
    cuts, _ = decided_cuts(text, 0)
    assert len(text) - cuts[-1] < 500
