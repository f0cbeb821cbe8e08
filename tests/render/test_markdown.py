"""Blocks of a stream: what is closed, what is open, whatever the chunks."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_cli.render.line_start import Item, cells
from aigc_cli.render.markdown import (
    Close,
    Code,
    Heading,
    MarkdownSplitter,
    Open,
    Paragraph,
    Piece,
    Table,
    Text,
)
from tests.render.test_terminal import MARKDOWN


def merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbouring texts of prose as one: where prose is cut does not matter, where code is cut does."""
    out: list[Piece] = []
    prose = False
    for piece in pieces:
        if isinstance(piece, Open):
            prose = isinstance(piece.leaf, Paragraph | Heading)
        if prose and isinstance(piece, Text) and out and isinstance(out[-1], Text):
            out[-1] = Text(out[-1].text + piece.text)
        else:
            out.append(piece)
    return out


def split(*chunks: str) -> list[Piece]:
    splitter = MarkdownSplitter()
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)]
    return merged(pieces + splitter.finish())


def leaves(text: str) -> list[object]:
    return [piece.leaf for piece in split(text) if isinstance(piece, Open)]


@settings(max_examples=300, deadline=None)
@given(MARKDOWN, st.lists(st.integers(0, 150), max_size=5))
def test_any_chunking_gives_the_same_blocks(text: str, places: list[int]) -> None:
    bounds = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    chunks = [text[start:end] for start, end in pairwise(bounds)]
    assert split(*chunks) == split(text) == split(*text)


@settings(max_examples=200, deadline=None)
@given(MARKDOWN)
def test_the_tail_is_small(text: str) -> None:
    splitter = MarkdownSplitter()
    for char in text * 10:
        splitter.feed(char)
        assert sum(len(piece.text) for piece in splitter.tail() if isinstance(piece, Text)) <= 2000


def test_a_longer_fence_holds_shorter_ones() -> None:
    assert split("````\n```\nx\n```\n````\n")[1:-1] == [Text("```"), Text("x"), Text("```")]


def test_a_fence_inside_an_example_of_markdown_does_not_end_it() -> None:
    pieces = split("```markdown\n```py\nx\n```\n```\nafter")
    assert [piece.text for piece in pieces if isinstance(piece, Text)] == ["```py", "x", "```", "after"]


def test_a_fence_that_never_closes_ends_with_the_text() -> None:
    assert split("```py\nx\ny") == [Open(Code("py"), (), after_blank=False), Text("x"), Text("y"), Close()]


def test_code_in_a_list_loses_the_indent_of_the_list() -> None:
    pieces = split("1. a\n\n   ```py\n   if x:\n       y\n   ```\n2. b")
    assert [piece.text for piece in pieces if isinstance(piece, Text)] == ["a", "if x:", "    y", "b"]


def test_a_fence_in_a_list_survives_code_at_the_margin() -> None:
    pieces = split("- a\n  ```\nx = 1\n  ```\n- b")
    assert [piece.text for piece in pieces if isinstance(piece, Text)] == ["a", "x = 1", "b"]


def test_a_table_needs_a_delimiter_row_of_its_width() -> None:
    assert leaves("|a|b|\n|:-|-:|\n|1|2|") == [Table(("left", "right"))]
    assert leaves("|a|b|\n|--|\n|1|2|") == [Paragraph()]


def test_text_below_a_table_without_a_pipe_is_a_paragraph() -> None:
    assert leaves("|a|\n|-|\n|1|\ntext") == [Table(("left",)), Paragraph()]


def test_underlined_headings() -> None:
    assert leaves("Title\n=====\n\nSub\n---\ntext\n***\n")[:2] == [Heading(1), Heading(2)]


def test_numbers_and_task_marks_are_kept() -> None:
    items = [
        piece.containers[-1].marker
        for piece in split("7. a\n8) b\n- [ ] c\n- [x] d\n* e\n  * f\n")
        if isinstance(piece, Open) and isinstance(piece.containers[-1], Item)
    ]
    assert items == ["7.", "8)", "☐", "☑", "•", "◦"]


def test_the_end_of_a_paragraph_is_open_from_its_open_emphasis_on() -> None:
    splitter = MarkdownSplitter()
    closed = splitter.feed("word " * 30 + "and **bold te")
    assert [piece.text for piece in splitter.tail() if isinstance(piece, Text)] == ["**bold te"]
    assert closed[-1] == Text("word " * 30 + "and ")


def test_released_text_does_not_come_again() -> None:
    splitter = MarkdownSplitter()
    assert splitter.feed("shown") == []
    assert splitter.release() == [Open(Paragraph(), (), after_blank=False), Text("shown")]
    assert splitter.tail() == []
    pieces = splitter.feed(" more") + splitter.finish()
    assert "".join(piece.text for piece in pieces if isinstance(piece, Text)) == " more"


def test_cells() -> None:
    assert cells(r"| a \| b | `c` ||") == ["a | b", "`c`", ""]
    assert cells("a | b") == ["a", "b"]
