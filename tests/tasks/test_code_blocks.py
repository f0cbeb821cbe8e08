import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigc_cli.chat.prompt import Attachment, build_user_message, fence_for, fenced
from aigc_cli.tasks.code_blocks import CodeBlock, extract_code_blocks

TEXT = st.text(st.one_of(st.sampled_from("`~ \n\tab:#\r"), st.characters(exclude_categories=["Cs"])))
TAGS = st.sampled_from(["", "python", "c++", "markdown", "md"])


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code, but `inline` and ``` not at a start", []),
        ("```python\nx = 1\n```", [CodeBlock("python", "x = 1\n")]),
        ("```Python title=a.py\nx\n```", [CodeBlock("python", "x\n")]),
        ("```{.ruby}\nx\n```", [CodeBlock("ruby", "x\n")]),
        ("~~~\nx\n~~~", [CodeBlock("", "x\n")]),
        ("~~~\n```\n~~~", [CodeBlock("", "```\n")]),
        ("````\n```\nx\n```\n````", [CodeBlock("", "```\nx\n```\n")]),
        ("```\nx\n`````", [CodeBlock("", "x\n")]),
        ("```\n\n```", [CodeBlock("", "\n")]),
        ("```\n```", [CodeBlock("", "")]),
        ("```go\nfunc f() {", [CodeBlock("go", "func f() {", closed=False)]),
        ("```go\nfunc f()\n", [CodeBlock("go", "func f()\n", closed=False)]),
        ("```", [CodeBlock("", "", closed=False)]),
        ("1. do\n\n   ```sh\n   ls\n     -l\n   ```\n", [CodeBlock("sh", "ls\n  -l\n")]),
        ("```py\ns = '''\n    ```\n'''\n```", [CodeBlock("py", "s = '''\n    ```\n'''\n")]),
        ("```a`b\nx\n```\ny", [CodeBlock("", "y", closed=False)]),  # inline code, then a fence
        ("```c\r\nint x;\r\n```\r\n", [CodeBlock("c", "int x;\r\n")]),
        ("```py\na\n```\nthen\n```py\nb\n```", [CodeBlock("py", "a\n"), CodeBlock("py", "b\n")]),
        ("```markdown\n# A\n```sh\nls\n```\nend\n```", [CodeBlock("markdown", "# A\n```sh\nls\n```\nend\n")]),
        ("```md\nx\n     ```\ny\n```\nz", [CodeBlock("md", "x\n     ```\ny\n")]),
    ],
)
def test_fenced_blocks_are_found(text: str, blocks: list[CodeBlock]) -> None:
    assert extract_code_blocks(text) == blocks


@given(TEXT, st.sampled_from(["", "python", "c++"]))
@example("```\n````\n", "")
@example("\r", "python")
def test_code_put_into_a_block_comes_out_again(code: str, language: str) -> None:
    expected = code if not code or code.endswith("\n") else code + "\n"
    assert extract_code_blocks(fenced(code, language)) == [CodeBlock(language, expected)]


@given(TEXT)
def test_no_line_of_the_code_can_close_its_fence(code: str) -> None:
    assert fence_for(code) not in code


@given(
    st.lists(st.builds(Attachment, TEXT.filter(str.strip), TEXT, st.sampled_from(["", "python"])), max_size=4)
)
def test_attachments_come_out_of_the_message_as_they_went_in(attachments: list[Attachment]) -> None:
    labelled = [
        Attachment(f"file {a.name.replace('`', '').replace('~', '')}", a.text, a.language)
        for a in attachments
    ]
    blocks = extract_code_blocks(build_user_message("what is this?", labelled))
    assert [block.code.removesuffix("\n") for block in blocks] == [
        a.text.removesuffix("\n") for a in attachments
    ]
    assert all(block.closed for block in blocks)


@given(TEXT)
def test_any_text_has_blocks_or_none(text: str) -> None:
    for block in extract_code_blocks(text):
        assert block.closed or text.endswith(block.code.rpartition("\n")[2])


@pytest.mark.parametrize("text", ["```" + " " * 200_000 + "x", "`" * 200_000 + "x`", "```\n" * 50_000])
def test_time_grows_with_the_text_only(text: str) -> None:
    started = time.process_time()
    extract_code_blocks(text)
    assert time.process_time() - started < 2
