"""Examples in a person's words: text -> what the code must do. Pure.

Known are doctests, `assert` lines, calls with their value (`f(2) == 4`, `f(2) -> 4`, "f(2) returns 4",
`f(2)  # 4`, "f(2) 返回 4"), calls that raise ("f(0) raises ValueError"), and pairs of input and output.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from doctest import DocTestParser
from enum import StrEnum
from itertools import pairwise
from textwrap import dedent

MOST_EXAMPLES = 20
_MOST_CHARACTERS = 2_000  # of one example


class Kind(StrEnum):
    """How an example is put to the code."""

    STATEMENT = "statement"  # `source` runs without an exception
    VALUE = "value"  # `source` has the value of the expression `expected`
    PRINTED = "printed"  # `source` prints `expected`, or has it as its value, as in a doctest
    RAISES = "raises"  # `source` raises the exception named `expected`
    PROGRAM = "program"  # the program reads `source` and prints `expected`


@dataclass(frozen=True, slots=True)
class Example:
    """One thing that the person said of the code."""

    kind: Kind
    source: str
    expected: str = ""

    def __str__(self) -> str:
        match self.kind:
            case Kind.STATEMENT:
                return self.source
            case Kind.VALUE:
                return f"{self.source} == {self.expected}"
            case Kind.PRINTED:
                return f"{self.source.strip()} gives {self.expected.strip()}"
            case Kind.RAISES:
                return f"{self.source} raises {self.expected}"
            case Kind.PROGRAM:
                return f"input {self.source.strip()!r} gives output {self.expected.strip()!r}"


_CALL = re.compile(r"(?<![A-Za-z0-9_.\"'])[A-Za-z_][A-Za-z0-9_.]*\(")
_ASSERT = re.compile(r"^[ \t>*`-]*(assert\s.+?)`?[ \t]*$", re.MULTILINE)
_VALUE_WORDS = re.compile(
    r"""[`'"]?\s*(?:
        == | === | -> | => | → | ⇒ | \#\s*(?:=>|->|→)? | //\s*(?:=>|->|→)? | =(?!=)
        | (?:should|must|will|would)\s+(?:return|give|be|equal|yield|output|produce)s?
        | (?:returns|gives|yields|equals|evaluates\s+to|produces|outputs|is)
        | (?:应该|应当|应|会|将|要)?(?:返回|得到|等于|输出|为|是) | 的?(?:结果|返回值|值)(?:应该|应)?(?:是|为)
    )\s*[:：]?\s*[`]?""",
    re.VERBOSE,
)
_RAISE_WORDS = re.compile(
    r"""[`'"]?\s*(?:(?:should|must)\s+raise|raises|throws|应该?(?:抛出|引发)|(?:会|将)?(?:抛出|引发))\s*
        (?:an?\s+|一个\s*)?[`]?(?P<name>[A-Z][A-Za-z]+)""",
    re.VERBOSE,
)
_ATOM = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?)j?|[A-Za-z_]+")
_CONSTANTS = {"true": "True", "false": "False", "null": "None", "none": "None", "undefined": "None"}
# A label ends with a colon, or what it labels follows at once: "输入 3 4 输出 7", but not "the output stream"
_LABEL = re.compile(
    r"""(?:(?:sample|example|expected|样例|示例)\s*)?
        (?:(?P<input>input|stdin|输入)|(?:output|stdout|prints|输出))
        (?:\s*\#?\d+(?=\s*[:：]))?\s*(?:[:：]|(?:\s*\n)|(?=\s*[\d\["'`-]))""",
    re.VERBOSE | re.IGNORECASE,
)
_OPENING = {"(": ")", "[": "]", "{": "}"}
_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n]*$", re.MULTILINE)


def find_examples(prompt: str) -> list[Example]:
    """The examples of a prompt, in the order of their kinds, each once, at most MOST_EXAMPLES."""
    text = _FENCE.sub("", prompt)
    found: list[Example] = []
    text = _take_doctests(text, found)
    text = _take_asserts(text, found)
    found += _calls(text)
    if not found:
        found += _pairs(text)
    small = [each for each in found if len(each.source) + len(each.expected) <= _MOST_CHARACTERS]
    return list(dict.fromkeys(small))[:MOST_EXAMPLES]


def _take_doctests(text: str, found: list[Example]) -> str:
    """The text without its doctests, which may span lines."""
    if ">>>" not in text:
        return text
    try:
        examples = DocTestParser().get_examples(dedent(text))
    except ValueError:  # such as inconsistent indentation: what looks like doctests is none
        return text
    for example in examples:
        kind = Kind.PRINTED if example.want else Kind.STATEMENT
        if example.exc_msg is not None:
            name = example.exc_msg.partition(":")[0].strip()
            found.append(Example(Kind.RAISES, example.source.strip(), name.rpartition(".")[2]))
        else:
            found.append(Example(kind, example.source.strip(), example.want.rstrip("\n")))
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith((">>>", "... ")))


def _take_asserts(text: str, found: list[Example]) -> str:
    def take(match: re.Match[str]) -> str:
        if not _parses(match[1], "exec"):
            return match[0]
        found.append(Example(Kind.STATEMENT, match[1].strip()))
        return ""

    return _ASSERT.sub(take, text)


def _calls(text: str) -> Iterator[Example]:
    position = 0
    while match := _CALL.search(text, position):
        end = _balanced_end(text, match.end() - 1)
        position = match.end()
        if end is None or not _parses(call := text[match.start() : end], "eval"):
            continue
        if raised := _RAISE_WORDS.match(text, end):
            position = raised.end()
            yield Example(Kind.RAISES, call, raised["name"])
        elif (said := _VALUE_WORDS.match(text, end)) and (value := _value(text, said.end())):
            position = said.end() + len(value)
            yield Example(Kind.VALUE, call, _CONSTANTS.get(value.strip(), value.strip()))


def _value(text: str, start: int) -> str:
    """The literal that begins here; empty if none does."""
    if start >= len(text):
        return ""
    if text[start] in "([{":
        end = _balanced_end(text, start)
        value = text[start:end] if end else ""
    elif text[start] in "\"'":
        end = _string_end(text, start)
        value = text[start:end] if end else ""
    else:
        match = _ATOM.match(text, start)
        value = match[0] if match and _is_constant(match[0]) else ""
    return value if _parses(_CONSTANTS.get(value, value), "eval") else ""


def _is_constant(word: str) -> bool:
    return not word[0].isalpha() or word in ("True", "False", "None") or word in _CONSTANTS


def _balanced_end(text: str, start: int) -> int | None:
    """Where the bracket that opens here is closed; None if it is not within an example's length."""
    open_: list[str] = []
    position, limit = start, min(len(text), start + _MOST_CHARACTERS)
    while position < limit:
        character = text[position]
        if character in "\"'":
            end = _string_end(text, position)
            if end is None:
                return None
            position = end
            continue
        if character in _OPENING:
            open_.append(_OPENING[character])
        elif open_ and character == open_[-1]:
            open_.pop()
            if not open_:
                return position + 1
        elif character in ")]}":
            return None
        position += 1
    return None


def _string_end(text: str, start: int) -> int | None:
    position = start + 1
    while position < min(len(text), start + _MOST_CHARACTERS) and text[position] != "\n":
        if text[position] == "\\":
            position += 1
        elif text[position] == text[start]:
            return position + 1
        position += 1
    return None


def _pairs(text: str) -> Iterator[Example]:
    labels = list(_LABEL.finditer(text))
    for i, (first, second) in enumerate(pairwise(labels)):
        if not first["input"] or second["input"]:
            continue
        end = labels[i + 2].start() if i + 2 < len(labels) else len(text)
        source, expected = _unquoted(text[first.end() : second.start()]), _shown(text[second.end() : end])
        if expected and source:
            yield Example(Kind.PROGRAM, source + "\n", expected)


def _shown(text: str) -> str:
    """The output that stands after its label: the rest of the line, else the lines up to an empty one."""
    line, _, rest = text.partition("\n")
    if line.strip():
        return _unquoted(re.split(r"[。；]|\.\s", line)[0])
    block = re.split(r"\n[ \t]*\n", rest)[0] if "\n" in text else ""
    return _unquoted(block)


def _unquoted(text: str) -> str:
    text = text.strip().rstrip(",，;；。 \n")
    if re.search(r"[\d)\]}\"'`]\.$", text):  # the end of a sentence
        text = text[:-1]
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "`\"'"
    return text[1:-1] if is_quoted else text


def _parses(source: str, mode: str) -> bool:
    try:
        ast.parse(source.strip(), mode=mode)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(source.strip())
