"""Each page of the documentation is there in English and in Chinese, and both say the same."""

from pathlib import Path

import pytest

from docs import twins

PAGE = """# Title

[中文](zh/page.md)

Text with `--option` and 12 tokens; [more](other.md#part).

## Part

```sh
aigc gen "a tool" -o x.py   # a comment
```

```python
x = 1
```

- one
- two

| a | b |
| --- | --- |
| `c` | 0.5 s |
"""
TWIN = """# 标题

[English](../page.md)

文字里有 `--option` 和 12 个 token；[更多](other.md#部分)。

## 部分

```sh
aigc gen "一个工具" -o x.py   # 注释
```

```python
x = 1
```

- 一
- 二

| 甲 | 乙 |
| --- | --- |
| `c` | 0.5 s |
"""


def test_every_page_has_its_twin() -> None:
    assert twins.lone_pages() == []


def test_a_page_without_its_twin_would_be_seen(tmp_path: Path) -> None:
    for name in ("README.md", "README.zh-CN.md", "docs/a.md", "docs/zh/b.md", "docs/commands.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# A\n", encoding="utf-8")
    assert twins.lone_pages(tmp_path) == ["docs/zh/a.md", "docs/b.md"]


@pytest.mark.parametrize("page", twins.pages())
def test_a_page_links_to_its_twin_at_the_top(page: str) -> None:
    top = "\n".join((twins.ROOT / page).read_text("utf-8").splitlines()[:6])
    links = [(twins.ROOT / page).parent / target for target in twins.LINK.findall(top)]
    assert (twins.ROOT / twins.twin_of(page)).resolve() in [link.resolve() for link in links]


def test_translated_words_are_no_difference() -> None:
    assert list(twins.differences("docs/page.md", PAGE, TWIN)) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("`--option`", "`--other`", "code missing in Chinese: '--option'"),
        ("`--option`", "`--option` `top_k`", "code only in Chinese: 'top_k'"),
        ("12 个", "13 个", "figures missing in Chinese: '12'"),
        ("0.5 s", "0.4 s", "figures missing in Chinese: '0.5'"),
        ("(other.md#部分)", "(elsewhere.md)", "link missing in Chinese: 'docs/other.md'"),
        ("-o x.py", "-o y.py", """block 1: "aigc gen '' -o x.py" and "aigc gen '' -o y.py\""""),
        ("x = 1", "x = 2", "block 2: 'x = 1' and 'x = 2'"),
        ("- 二\n", "", "2 and 1 list items"),
        ("## 部分\n", "## 部分\n\n又一段。\n", "0 and 1 paragraphs"),
        ("| `c` | 0.5 s |\n", "| `c` | 0.5 s |\n| d | |\n", "3 and 4 table rows"),
        ("## 部分", "部分", "headings"),
    ],
)
def test_a_difference_is_told(old: str, new: str, what: str) -> None:
    assert old in TWIN
    found = list(twins.differences("docs/page.md", PAGE, TWIN.replace(old, new)))
    assert any(what in line for line in found), found


def test_code_that_a_line_break_parts_is_the_same_code() -> None:
    assert list(twins.differences("docs/page.md", "# T\n\n`a\nb` and `c`\n", "# 题\n\n`a b` 和 `c`\n")) == []


def test_names_of_a_tree_are_compared_and_words_beside_them_are_not() -> None:
    block = "# T\n\n```text\ndocs/     the pages\n  a.md    words\n```\n"
    twin = block.replace("the pages", "页面").replace("words", "文字")
    assert list(twins.differences("README.md", block, twin)) == []
    assert list(twins.differences("README.md", block, twin.replace("a.md", "b.md")))
