import pytest

from aigc_cli.tasks.generate import FileTask, code_of_reply, thought_out
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


@pytest.mark.parametrize(
    ("prompt", "name", "opening"),
    [
        ("count words", "wc.py", "# How it works, on the example:"),
        ("统计单词", "wc.go", "// 先用例子说明怎么做："),
    ],
)
def test_a_thought_out_reply_opens_with_a_comment_in_the_persons_language(
    prompt: str, name: str, opening: str
) -> None:
    task = thought_out(FileTask(prompt, (), name, language_of(name)))
    assert task is not None
    assert task.reply_prefix.endswith(f"\n{opening}")


def test_the_thoughts_are_no_part_of_the_file_and_comments_after_a_blank_line_are() -> None:
    task = thought_out(FileTask("f", (), "f.py", language_of("f.py")))
    assert task is not None
    reply = " 2 gives 4\n# so it doubles\n\n# Licence: none\ndef f(x):\n    # twice\n    return 2 * x\n```\n"
    assert code_of_reply(task, reply) == "# Licence: none\ndef f(x):\n    # twice\n    return 2 * x\n"
    assert code_of_reply(task, " only thoughts\n# and more") == ""
    assert code_of_reply(task, " first\ndef f(): ...\n") == "def f(): ...\n"


@pytest.mark.parametrize("name", ["page.css", "page.html"])
def test_a_language_without_line_comments_has_no_place_for_thoughts(name: str) -> None:
    assert thought_out(FileTask("f", (), name, language_of(name))) is None
