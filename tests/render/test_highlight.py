"""Code coloured line by line looks as if it had been coloured as a whole."""

import pytest
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, String, Text

from aigc_cli.render.highlight import LexerState, Tokens, lex_line, start_state

CODE = {
    "python": (
        'class A:\n    """Doc\n    with "quotes".\n    """\n\n    def f(self):\n'
        "        x = '''a\n# no comment\n'''\n        return f\"{x!r} {1:>4}\"  # end\n"
    ),
    "javascript": (
        "/* a\n * if\n */\nconst s = `x\n${y + `in\nner`} z`;\n// c\nfunction f(a) { return a / 2; }\n"
    ),
    "typescript": (
        "/** doc\n * x */\ninterface A<T> { a: string; }\nconst f = (a: number): string => `b\nc`;\n"
    ),
    "go": 'var x = `raw\nif " string`\n/* c\n */\nfunc main() { fmt.Println(x) }\n',
    "rust": "/* a /* nested\n */ b */\nfn f<'a>(x: &'a str) -> char { 'x' }\nlet s = \"two\nlines\";\n",
    "c": '/* a\n if */\n#include <stdio.h>\nint main(void) {\n  printf("%d\\n", 1);\n  return 0;\n}\n',
    "java": '/* a\n class */\nString s = """\n  text "quoted"\n  """;\nint x = 1;\n',
    "css": "/* a\n b */\na:hover { color: red; }\n",
    "sql": "SELECT 'a\nb' FROM t -- c\n/* d\n e */ WHERE x = 1;\n",
    "lua": "--[[ a\n b ]]\nlocal s = [[ c\n d]]\nreturn s\n",
    "haskell": '{- a\n b -}\nmain = putStrLn "x"\n',
    "toml": 'a = """x\ny"""\n[b]\nc = 1 # d\n',
    "json": '{"a": [1, true,\n null], "b": "c"}\n',
    "powershell": "<# a\n b #>\nGet-Item $x\n",
}


def by_character(tokens: Tokens) -> list[tuple[str, str]]:
    return [(char, str(token)) for token, text in tokens for char in text if not char.isspace()]


def lex_lines(language: str, code: str) -> Tokens:
    state, tokens = start_state(language), []
    for line in code.splitlines():
        found, state = lex_line(language, line, state)
        assert "".join(text for _, text in found) == line
        tokens += found
    return tokens


@pytest.mark.parametrize("language", CODE)
def test_lines_are_lexed_like_the_whole(language: str) -> None:
    whole = [
        (token, text) for _, token, text in get_lexer_by_name(language).get_tokens_unprocessed(CODE[language])
    ]
    assert by_character(lex_lines(language, CODE[language])) == by_character(whole)


def test_a_comment_over_many_lines_is_a_comment_before_its_end_is_known() -> None:
    _, state = lex_line("javascript", "/* begins", start_state("javascript"))
    tokens, _ = lex_line("javascript", "let x = 'not code'", state)
    assert tokens == [(Comment.Multiline, "let x = 'not code'")]


def test_scripts_and_styles_inside_html_have_their_own_colours() -> None:
    page = "<script>\nlet x = 1; // c\n</script>\n<style>\na { color: red; }\n</style>\n<p>let</p>\n"
    tokens = lex_lines("html", page)
    assert (Comment.Single, "// c") in tokens
    assert (Keyword.Declaration, "let") in tokens
    assert (Text, "let") in tokens
    assert (Keyword, "color") in tokens


def test_php_needs_no_opening_tag() -> None:
    tokens = lex_lines("php", "function f() { return 'x'; }\n")
    assert (String.Single, "'x'") in tokens


@pytest.mark.parametrize("language", ["", "no-such-language", "text"])
def test_an_unknown_language_is_plain(language: str) -> None:
    tokens, _ = lex_line(language, "def f(): pass", start_state(language))
    assert [(str(token), text) for token, text in tokens] == [("Token.Text", "def f(): pass")]


COMMON = (
    "python bash yaml ruby html vue docker diff console kotlin swift perl r scala make ini xml graphql jsonc"
)


@pytest.mark.parametrize("language", COMMON.split())
def test_no_line_is_lost_or_raises_in_any_state(language: str) -> None:
    state = LexerState()
    lines = [
        "'",
        '"""',
        "/*",
        "<<EOF",
        "<script>",
        "{{ x",
        "`",
        "a: |",
        "=begin",
        "\t- x",
        "$(",
        "</",
        "\\",
        "中文 #",
    ]
    for line in lines * 3:
        tokens, state = lex_line(language, line, state)
        assert "".join(text for _, text in tokens) == line
