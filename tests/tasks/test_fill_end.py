import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.tasks.fill_end import end_of, versions
from aigc_cli.tasks.gap import Gap

CASES = {
    "the rest of a line ends with it": ("x = f(", ")\n", "a, b\nmore", "a, b"),
    "a body ends where the next definition begins": (
        "def f(a):",
        "\n",
        "\n    return a\n\n\ndef g():\n    pass\n",
        "\n    return a\n\n",
    ),
    "a line inside of a block ends with the block": (
        "def f():\n    ",
        "\n",
        "a = 1\n    return a\nprint(f())",
        "a = 1\n    return a",
    ),
    "an empty line takes its indentation from the first line": (
        "def f():\n    a = 1\n",
        "\n",
        "    return a\n\ndef g(): pass",
        "    return a\n",
    ),
    "a bracket that closes the block belongs to it": (
        "function f(a) {",
        "\n",
        "\n  return a;\n}\n\nfunction g() {}\n",
        "\n  return a;\n}",
    ),
    "and one that opens another goes on": (
        "if (a) {",
        "\n",
        "\n  b();\n} else {\n  c();\n}\nd();\n",
        "\n  b();\n} else {\n  c();\n}",
    ),
    "but not the bracket that is there already": ("void f() {", "\n}\n", "\n  g();\n}\n", "\n  g();"),
    "what follows is not said again": (
        "a = 1\n",
        "\n\nb = 2\n",
        "c = 3\nb = 2\nd = 4",
        "c = 3",
    ),
    "lines above a line end where it begins": ("a = 1\n", "b = 2\n", "c = 3\nb = 2\nd = 4", "c = 3"),
    "nothing is cut that fits": ("def f():\n    ", "\n", "a = 1\n\n    b = 2", "a = 1\n\n    b = 2"),
    "a tab is eight columns": ("if a:\n\t", "\n", "b\n\tc\n    d", "b\n\tc"),
}


@pytest.mark.parametrize(("prefix", "suffix", "reply", "kept"), CASES.values(), ids=CASES)
def test_where_a_fill_ends(prefix: str, suffix: str, reply: str, kept: str) -> None:
    assert end_of(Gap("a", None, prefix, suffix)).cut(reply)[0] == kept


@pytest.mark.parametrize(("prefix", "suffix", "reply", "kept"), CASES.values(), ids=CASES)
def test_the_end_is_seen_while_the_reply_comes(prefix: str, suffix: str, reply: str, kept: str) -> None:
    """What is held for the end is the end: more text never makes it longer."""
    end = end_of(Gap("a", None, prefix, suffix))
    for n in range(len(reply) + 1):
        text, is_end = end.cut(reply[:n], is_whole=False)
        if is_end:
            assert text == kept
            return
    assert kept == reply or reply.endswith(("\n", "4", "}\n"))


@given(
    st.text(alphabet="ab{}(): \t\n", max_size=60),
    st.text(alphabet="ab{}() \n", max_size=20),
    st.text(alphabet="ab{}(): \t\n", max_size=60),
)
def test_a_fill_is_the_beginning_of_the_reply(prefix: str, suffix: str, reply: str) -> None:
    kept, _ = end_of(Gap("a", None, prefix, suffix)).cut(reply)
    assert reply.startswith(kept)
    kept, is_end = end_of(Gap("a", None, prefix, suffix), 2).cut(reply)
    assert reply.startswith(kept)
    assert kept.count("\n") < 2
    assert is_end or kept == reply


def test_a_number_of_lines_ends_it() -> None:
    assert end_of(Gap("a", None, "x = [", "\n"), 2).cut("\n 1,\n 2,\n")[0] == "\n 1,"
    assert end_of(Gap("a", None, "x = ", "\n"), 1).stops() == ("\n",)


@pytest.mark.parametrize(
    ("prefix", "suffix", "reply", "expected"),
    [
        ("f(", ")\n", "a)", ("a)", "a")),  # the parser decides
        ("f(", ") + 1\n", "a) + 1", ("a", "a) + 1")),
        ("f(", ")", "a", ("a",)),
        ("f(", ")", ")", (")",)),
        ("x = ", "total()", "total()", ()),
        ("f(", ")", " \t", ()),
        ("if a:", "\nc", "\n    b\n\n", ("\n    b",)),
        ("a\n", "", "b\n\n", ("b\n",)),  # at the end of the file the last line ends too
        ("a\n  ", "c\n", "b", ("b\n  ",)),
    ],
)
def test_what_may_go_into_the_gap(prefix: str, suffix: str, reply: str, expected: tuple[str, ...]) -> None:
    assert versions(Gap("a", None, prefix, suffix), reply) == expected
