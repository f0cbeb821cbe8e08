"""Entries: blocks, plain lines, bytes that are no text."""

import io

import pytest

from aigc_cli.cli.prompt import Leave, LineReader, entry_text, is_open_block
from aigc_cli.errors import FileError

DOCSTRING = '"""Counts words."""\nimport sys\n'


def lines_of(content: bytes, screen: io.StringIO | None = None) -> LineReader:
    return LineReader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"), screen)


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("hello", False),
        ('"""', True),
        ('"""\nhello', True),
        ('"""\nhello\n"""', False),
        ('"""hello', True),
        ('"""hello"""', False),
        (f'"""\n{DOCSTRING}', True),
        (f'"""\n{DOCSTRING}"""', False),
        (DOCSTRING, False),
        ('see """this', False),
    ],
)
def test_block_is_open_until_it_is_closed(text: str, *, is_open: bool) -> None:
    assert is_open_block(text) is is_open


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("hello\n", "hello"),
        ("    indented code\n", "    indented code"),
        ('"""hello"""', "hello"),
        ('"""\n  first\nsecond\n"""\n', "  first\nsecond"),
        (f'"""\n{DOCSTRING}"""', DOCSTRING.rstrip()),
        (DOCSTRING, DOCSTRING.rstrip()),
        ('"""', '"""'),
        ('"""Doc."""\nx = """y"""', '"""Doc."""\nx = """y"""'),
        ("caf\udce9", "caf\ufffd"),
        ("   \n", ""),
    ],
)
def test_entry_is_what_was_meant(raw: str, text: str) -> None:
    assert entry_text(raw) == text


def test_lines_of_a_pipe_are_entries_and_a_block_is_one() -> None:
    reader = lines_of(b'hi\n"""\na\nb\n"""\n/exit\n')
    assert [reader.read(), reader.read(), reader.read()] == ["hi", "a\nb", "/exit"]
    with pytest.raises(Leave):
        reader.read()
    assert not reader.interactive


def test_block_that_nobody_closes_ends_with_the_input() -> None:
    assert lines_of(b'"""\na\nb').read() == '"""\na\nb'


def test_pipe_that_holds_no_text_is_told() -> None:
    with pytest.raises(FileError, match="UTF-8"):
        lines_of(b"caf\xe9\n").read()


def test_plain_terminal_shows_a_prompt_and_the_draft() -> None:
    screen = io.StringIO()
    assert lines_of(b"again\n", screen).read("what was written") == "again"
    assert screen.getvalue() == "what was written\n> "
