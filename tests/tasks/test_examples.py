import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.tasks.examples import MOST_EXAMPLES, Kind, find_examples


@pytest.mark.parametrize(
    ("prompt", "source", "expected"),
    [
        ("write f. f(2) == 4", "f(2)", "4"),
        ("f(2) returns 4.", "f(2)", "4"),
        ("`f(2)` returns `4`", "f(2)", "4"),
        ("f(2) should return 4", "f(2)", "4"),
        ("f(2) must be -4.5", "f(2)", "-4.5"),
        ("f(2) -> 4", "f(2)", "4"),
        ("f(2) => 4", "f(2)", "4"),
        ("f(2)  # 4", "f(2)", "4"),
        ("f(2)  # => 4", "f(2)", "4"),
        ("f(2) // 4", "f(2)", "4"),
        ("f(2) = 4", "f(2)", "4"),
        ("f('a)', [1, (2)]) gives {'b': [1]}, or so", "f('a)', [1, (2)])", "{'b': [1]}"),
        ("is_ok('a') should be true", "is_ok('a')", "True"),
        ("f() is None", "f()", "None"),
        ("函数add，add(1, 2) 返回 3。", "add(1, 2)", "3"),
        ("add(1,2)应该返回3", "add(1,2)", "3"),
        ("f(2)的结果是4", "f(2)", "4"),
        ("f('你')==\"好\"", "f('你')", '"好"'),
        ("math.sqrt(4) is 2.0", "math.sqrt(4)", "2.0"),
    ],
)
def test_a_call_with_its_value(prompt: str, source: str, expected: str) -> None:
    assert [(e.kind, e.source, e.expected) for e in find_examples(prompt)] == [(Kind.VALUE, source, expected)]


@pytest.mark.parametrize(
    "prompt",
    [
        "f(0) raises ValueError",
        "f(0) should raise a ValueError",
        "f(0)抛出ValueError",
        "f(0) 应抛出 ValueError",
    ],
)
def test_a_call_that_raises(prompt: str) -> None:
    assert [(e.kind, e.source, e.expected) for e in find_examples(prompt)] == [
        (Kind.RAISES, "f(0)", "ValueError")
    ]


def test_asserts() -> None:
    found = find_examples("Such as\n```python\nassert f(1) == 2\nassert set(f(2)) == {3}\n```\n- assert g(1)")
    assert [e.source for e in found] == ["assert f(1) == 2", "assert set(f(2)) == {3}", "assert g(1)"]
    assert {e.kind for e in found} == {Kind.STATEMENT}


def test_doctests() -> None:
    found = find_examples(
        "like\n    >>> f(2)\n    4\n    >>> x = 1\n    >>> for i in f(3):\n    ...     print(i)\n    1\n"
        "    2\n\n"
        "    >>> f(0)\n    Traceback (most recent call last):\n      ...\n    ValueError: no\n\nmore"
    )
    assert [(e.kind, e.source, e.expected) for e in found] == [
        (Kind.PRINTED, "f(2)", "4"),
        (Kind.STATEMENT, "x = 1", ""),
        (Kind.PRINTED, "for i in f(3):\n    print(i)", "1\n2"),
        (Kind.RAISES, "f(0)", "ValueError"),
    ]


@pytest.mark.parametrize(
    ("prompt", "pairs"),
    [
        ("adds. Input: 3 4\nOutput: 7", [("3 4\n", "7")]),
        ("Sample Input:\n2\n1 2\nSample Output:\n3\n\nNotes", [("2\n1 2\n", "3")]),
        ("输入 3 4，输出 7。", [("3 4\n", "7")]),
        ("输入：\n1 2\n输出：\n3\n\n输入：\n5 5\n输出：\n10\n", [("1 2\n", "3"), ("5 5\n", "10")]),
        ("Input 1: `a b`\nOutput 1: `b a`", [("a b\n", "b a")]),
    ],
)
def test_input_and_output(prompt: str, pairs: list[tuple[str, str]]) -> None:
    found = find_examples(prompt)
    assert [(e.source, e.expected) for e in found] == pairs
    assert {e.kind for e in found} == {Kind.PROGRAM}


@pytest.mark.parametrize(
    "prompt",
    [
        "a program that counts (words) in files(s) is great",
        "call print(x) is bad",
        "f(n) returns the n-th number",
        "f(1) == f(2)",
        "a library for input and output streams",
        "",
        "f(" * 5000,
        "'" * 5000,
        "assert that it works",
    ],
)
def test_words_that_are_no_example(prompt: str) -> None:
    assert find_examples(prompt) == []


def test_there_is_an_end_to_examples() -> None:
    assert len(find_examples("\n".join(f"f({n}) == {n}" for n in range(1000)))) == MOST_EXAMPLES


@given(st.text(alphabet=st.sampled_from("f(2) ='\"[]{}>.\n返回输入出:assert12\\`#")))
def test_no_text_is_too_odd(text: str) -> None:
    assert all(str(example) for example in find_examples(text))
