import pytest

from aigc_cli.tasks.generate import FileTask, code_of_reply
from aigc_cli.tasks.languages import language_of


def code(reply: str, name: str = "a.py") -> str:
    return code_of_reply(FileTask("", (), name, language_of(name)), reply)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("x = 1", "x = 1\n"),
        ("\n\nx = 1\n\n\n", "x = 1\n"),
        ("    x = 1\n", "    x = 1\n"),
        ("x = 1\n```", "x = 1\n"),
        ("x = 1\n```\n\nThis sets x.\n\n```python\ny\n```", "x = 1\n"),
        ("```python\nx = 1\n", "x = 1\n"),
        ("\n```py\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("Here is the code:\n\n```python\nx = 1\n```", "x = 1\n"),
        ('"""Use:\n\n```sh\nls\n```\n"""\nx = 1\n```\nbye', '"""Use:\n\n```sh\nls\n```\n"""\nx = 1\n'),
        ("", ""),
        ("\n \n", ""),
        ("```", ""),
        ("```python\n```", ""),
    ],
)
def test_only_the_code_of_a_reply_is_kept(reply: str, expected: str) -> None:
    assert code(reply) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("# T\n\n```sh\nls\n```\n", "# T\n\n```sh\nls\n```\n"),
        ("# T\n````\nThat is it.", "# T\n"),
        ("# T\n\n```sh\nls\n```\n\nend\n```", "# T\n\n```sh\nls\n```\n\nend\n"),
        ("```markdown\n# T\n\n```sh\nls\n```\nend\n```", "# T\n\n```sh\nls\n```\nend\n"),
        ("```sh\nls\n```\n", "```sh\nls\n```\n"),
    ],
)
def test_markdown_keeps_the_blocks_inside(reply: str, expected: str) -> None:
    assert code(reply, "README.md") == expected
