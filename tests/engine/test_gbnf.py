"""The grammars that are accepted are those that llama.cpp takes, silently."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aigc_cli.engine import gbnf
from aigc_cli.engine.base import Sampling
from aigc_cli.engine.gbnf import check_gbnf
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.engine.sampler import ConstrainedSampler
from aigc_cli.errors import UsageError
from tests.tiny_model import write_tiny_model

PIECES = (
    *(
        "root ::= ",
        "a ::= ",
        "b-2 ::= ",
        "\n",
        "\r\n",
        " ",
        "\t",
        "# no\n",
        "|",
        "(",
        ")",
        "a",
        "b-2",
        "root",
    ),
    *(
        '"x"',
        '""',
        '"',
        "[a-z]",
        "[^x]",
        "[]",
        "[",
        "]",
        "[a-]",
        "[-]",
        "[a-\\x41]",
        ".",
        "*",
        "+",
        "?",
        "{2}",
    ),
    *("{0}", "{1,}", "{0,2}", "{,2}", "{2000}", "{0,1000}", "{2001}", "{1,2001}", "{ 1 , 2 }", "{", "}", ","),
    *("\\n", '"\\x41"', '"\\u4e2d"', '"\\U0001f642"', '"\\x4"', '"\\q"', '"\\"', "中", '"中🙂"', "_", "\0"),
    *("<|im_end|>", "!<|im_end|>", "<none>", "<[5]>", "<[4294967296]>", "<[99999999999999999999]>", "<", "!"),
)
GRAMMARS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=14).map(lambda pieces: "root ::= " + "".join(pieces)),
    st.lists(st.sampled_from(PIECES), max_size=14).map(
        lambda pieces: 'a ::= "1"\nroot ::= ' + "".join(pieces)
    ),
)
# what llama.cpp takes and should not: undefined rules that nothing needs, what a NUL cuts off; no text, too
STRICTER = ("not defined", "no text has", "at most is less")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(write_tiny_model(tmp_path_factory.mktemp("m") / "tiny.gguf"), cancelled=lambda: False)
    yield model
    model.close()


def refusal(model: Model, text: str) -> str:
    """Why a grammar is refused; empty when it is accepted."""
    try:
        check_gbnf(text, model.is_token)
    except UsageError as error:
        return str(error)
    return ""


def native_takes(model: Model, text: str) -> bool:
    sampler = lib.llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
    if sampler:
        lib.llama_sampler_free(sampler)
    return bool(sampler)


@settings(max_examples=1500, deadline=None)
@given(GRAMMARS)
@example('root ::= "a" {0}')
@example('root ::= ("a" | "b"{2,3}){400}')
@example('root ::= ("a"{0,20} "b"){0,100}')
@example("root ::= a\na ::= b-2 root |\nb-2 ::= | a")
@example("root ::= (root)")
@example('root ::= a{0} root\na ::= "1"')
@example('root ::= "a"\n  | "b"')
@example('root ::= ("a"\n  | "b")')
@example('root ::= "a"{5,1}\n')
def test_what_is_accepted_is_what_llama_cpp_takes(model: Model, text: str) -> None:
    why = refusal(model, text)
    if text and not any(stricter in why for stricter in STRICTER):
        assert native_takes(model, text) == (not why), why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000, "parentheses"),
        ("root ::= r0\n" + "".join(f"r{n} ::= r{n + 1}\n" for n in range(50_000)), "5,000 rules"),
        ('root ::= "a"{5,2}', "at most is less"),
        ('root ::= "' + "a" * 1000 + '"{2000}', "300,000"),
        (
            "root ::= r0\n" + "".join(f"r{n} ::= r{n + 1} | r{n + 1}\n" for n in range(60)) + "r60 ::= .",
            "ways",
        ),
        ("root ::= a\na ::= root", "left recursion"),
        ('root ::= "' + "a" * gbnf.MOST_CHARACTERS, "longer"),
        ('root ::= "a"\0', "line 1, column 13: a character that no text has"),
        ('root ::= "\ud800"', "a character that no text has"),
        ('root ::= "a"\n\nx : "b"', "line 3, column 3: `::=` is expected"),
        ("", "no rule `root`"),
    ],
)
def test_what_would_end_or_hang_llama_cpp_is_refused(model: Model, text: str, why: str) -> None:
    assert why in refusal(model, text)


@pytest.mark.parametrize(
    "text", [f"root ::= {'(' * 200}{'.' * 9}{')' * 200}", "root ::= " + "a{1000} " * 3 + "\na ::= ."]
)
def test_large_grammars_within_the_limits_are_taken(model: Model, text: str) -> None:
    assert not refusal(model, text)
    assert native_takes(model, text)


def test_a_refused_grammar_reaches_no_terminal_and_no_log(
    model: Model, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="grammar does not parse") as caught:
        ConstrainedSampler(model, Sampling(), 'root ::= "a" \x1b]0;owned\x07')
    assert capfd.readouterr() == ("", "")
    assert "owned" not in f"{caught.value} {caught.value.hint}"
