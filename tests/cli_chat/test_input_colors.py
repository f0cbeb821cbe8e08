"""Fenced code is coloured while it is typed, at a cost that a key does not notice."""

import time

from prompt_toolkit.document import Document

from aigc_cli.cli.input_colors import FenceLexer
from aigc_cli.render.console import ColorDepth
from aigc_cli.render.palette import Palette


def styles(
    text: str, depth: ColorDepth = ColorDepth.ANSI16, theme: str = "auto"
) -> list[list[tuple[str, str]]]:
    line = FenceLexer(lambda: Palette(depth, theme)).lex_document(Document(text))
    return [[(piece[0], piece[1]) for piece in line(n)] for n in range(text.count("\n") + 1)]


def test_only_fenced_code_is_coloured() -> None:
    lines = styles("def is a word\n```python\ndef f(): pass\n```\ndef again")
    assert lines[0] == [("", "def is a word")]
    assert ("ansimagenta", "def") in [(style.strip(), text) for style, text in lines[2]]
    assert lines[4] == [("", "def again")]


def test_a_string_over_many_lines_stays_one_and_the_text_stays_as_typed() -> None:
    text = '```py\nx = """one\ndef two\n"""\ndef f(): ...\n'
    lines = styles(text)
    assert {style for style, _ in lines[2]} == {style for style, part in lines[1] if "one" in part}
    assert "\n".join("".join(part for _, part in line) for line in lines) == text


def test_no_colours_where_they_are_off() -> None:
    text = "```python\ndef f(): pass\n```"
    for depth, theme in ((ColorDepth.NONE, "auto"), (ColorDepth.ANSI256, "none")):
        assert all(style == "" for line in styles(text, depth, theme) for style, _ in line)


def test_theme_is_that_of_the_replies() -> None:
    text = "```python\ndef f(): pass\n```"
    dark, light = (styles(text, ColorDepth.TRUECOLOR, theme) for theme in ("dark", "light"))
    assert dark != light
    assert any("#" in style for style, _ in dark[1])


def test_a_key_in_a_long_paste_takes_no_time() -> None:
    lexer = FenceLexer(lambda: Palette(ColorDepth.ANSI256, "dark"))
    code = "```python\n" + "".join(f"def f{i}(x): return 'text' + str(x) * {i}\n" for i in range(1_000))
    lexer.lex_document(Document(code))
    started = time.process_time()
    for n in range(10):
        lexer.lex_document(Document(code + "x" * n))(1_000)
    assert (time.process_time() - started) / 10 < 0.03
