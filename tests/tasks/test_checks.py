import pytest

from aigc_cli.tasks.checks import syntax_error


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("x = 1\n", "python"),
        ('s = "\\d"\n', "python"),  # a warning is no error
        ("async def f():\n    await g()\n", "python"),
        ("[1, 2]", "json"),
        ("a = 1\n", "toml"),
        ("anything {{{", "rust"),
        ("anything", ""),
    ],
)
def test_code_that_parses_or_has_no_parser_here_passes(code: str, tag: str) -> None:
    assert syntax_error(code, tag) == ""


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("return 1\n", "python"),
        ("def f(:\n", "python"),
        ("x = 1\0\n", "python"),
        ("(" * 1000, "python"),
        ("-" * 100_000 + "1", "python"),
        ("{'a': 1}", "json"),
        ("[" * 100_000, "json"),
        ("", "json"),
        ("a = \n", "toml"),
        ("a = " + "[" * 10_000, "toml"),
    ],
)
def test_code_that_does_not_parse_is_told(code: str, tag: str) -> None:
    assert syntax_error(code, tag)
