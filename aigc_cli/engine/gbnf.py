"""Reads a GBNF grammar before llama.cpp does, and refuses what llama.cpp refuses or fails on.

llama.cpp's own parser writes a grammar that it refuses to the process's standard error, text of a stranger
with its escape sequences; it overflows the stack on deep nesting, takes exponential time on some rules, and
fills the memory on `{5,2}`. What is accepted here, it takes without a word.

The notation: llama.cpp's grammars/README.md.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field

from aigc_cli.errors import UsageError

MOST_CHARACTERS = 1_000_000
MOST_NESTED = 200  # parentheses; llama.cpp recurses into each
MOST_RULES = 5_000  # with those that repetitions and parentheses make; llama.cpp recurses into leftmost ones
MOST_ELEMENTS = 300_000  # of all rules: a character each, a name each
MOST_REPETITIONS = 2_000  # llama.cpp's own limit
MOST_VISITS = 1_000_000  # of rules in the search for left recursion, which llama.cpp does without a memory
MOST_DIGITS = 18
MOST_TOKEN_ID = 2**32 - 1

_TERMINAL, _ALTERNATIVE = -1, -2  # what a rule holds beside the numbers of other rules
_SPACE, _ANY_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*"), re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME, _NUMBER = re.compile(r"[a-zA-Z0-9-]+"), re.compile(r"[0-9]+")
_ESCAPE = re.compile(
    r'\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\"\[\]-])', re.DOTALL | re.ASCII
)
_DEFINES, _CLOSING, _CLOSING_BRACE = re.compile("::="), re.compile(r"\)"), re.compile(r"\}")
_TOKEN = re.compile(r"<[^>]*>")
_TOKEN_ID = re.compile(r"<\[[0-9]{1,20}\]>")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # NUL ends a text in C; halves of a character have no UTF-8
_LINE_END = re.compile(r"\r\n|\r|\n|\Z")
_OPERATORS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_FIRST_OF_ITEM = frozenset('"[<!(.-' + string.ascii_letters + string.digits)

Elements = list[int]


def check_gbnf(text: str, is_token: Callable[[str], bool]) -> None:
    """See that llama.cpp will take this grammar; `is_token` says whether a text is exactly one token.

    Raises:
        UsageError: it will not; the message says where and why, and repeats nothing of the text.
    """
    if len(text) > MOST_CHARACTERS:
        raise _refusal(f"it is longer than {MOST_CHARACTERS:,} characters")
    parser = _Parser(text, is_token)
    parser.parse()
    _check_recursion(parser.rules)


def _refusal(why: str) -> UsageError:
    return UsageError(f"the grammar does not parse: {why}", "it needs a rule `root ::= …` in GBNF")


@dataclass(slots=True)
class _Parser:
    """Builds the rules as llama.cpp does, so that it counts what llama.cpp will count."""

    text: str
    is_token: Callable[[str], bool]
    at: int = 0
    depth: int = 0
    n_elements: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    rules: dict[int, Elements] = field(default_factory=dict)
    n_rules: int = 0  # named or made

    def parse(self) -> None:
        if found := _NO_TEXT.search(self.text):
            self.at = found.start()
            raise self._refusal("a character that no text has")
        self._skip(_ANY_SPACE)
        while self.at < len(self.text):
            self._rule()
        if "root" not in self.numbers:
            raise _refusal("there is no rule `root`")
        if any(number not in self.rules for number in self.numbers.values()):
            raise _refusal("a rule is named that is not defined")

    def _rule(self) -> None:
        number = self._number_of(self._expect(_NAME, "the name of a rule"))
        self._skip(_SPACE)
        self._expect(_DEFINES, "`::=`")
        self._skip(_ANY_SPACE)
        self.rules[number] = self._alternatives(_SPACE)
        self._expect(_LINE_END, "the end of the line")
        self._skip(_ANY_SPACE)

    def _alternatives(self, space: re.Pattern[str]) -> Elements:
        rule: Elements = []
        self._sequence(rule, space)
        while self._peek() == "|":
            self.at += 1
            self._add(rule, _ALTERNATIVE)
            self._skip(_ANY_SPACE)
            self._sequence(rule, space)
        return rule

    def _sequence(self, rule: Elements, space: re.Pattern[str]) -> None:
        start, n_rules_of_item = len(rule), 1  # of the item that an operator repeats
        while head := self._peek():
            if head in "*+?{":
                least, most = self._repetition(space)
                n_rules_of_item *= self._n_times(n_rules_of_item, least, most)
                self._repeat(rule, start, least, most)
            elif head in _FIRST_OF_ITEM:
                start, n_before = len(rule), self.n_rules
                self._item(rule)
                n_rules_of_item = max(1, self.n_rules - n_before) if head == "(" else 1
            else:
                return
            self._skip(space)

    def _item(self, rule: Elements) -> None:
        match self._peek():
            case '"':
                self._quoted(rule)
            case "[":
                self._character_class(rule)
            case "(":
                self._add(rule, self._group())
            case ".":
                self.at += 1
                self._add(rule, _TERMINAL)
            case "<" | "!":
                self._token()
                self._add(rule, _TERMINAL)
            case _:
                self._add(rule, self._number_of(self._expect(_NAME, "a name")))

    def _quoted(self, rule: Elements) -> None:
        self.at += 1
        while self._peek() != '"':
            self._character()
            self._add(rule, _TERMINAL)
        self.at += 1

    def _character_class(self, rule: Elements) -> None:
        self.at += 1
        if self._peek() == "^":
            self.at += 1
        while self._peek() != "]":
            self._character()
            self._add(rule, _TERMINAL)
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                self._character()
        self.at += 1

    def _character(self) -> None:
        if not self._peek():
            raise self._refusal("the text ends too early")
        if self._peek() == "\\":
            self._expect(_ESCAPE, "an escape that GBNF has")
        else:
            self.at += 1

    def _group(self) -> int:
        self.at += 1
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise self._refusal(f"more than {MOST_NESTED} parentheses in each other")
        self._skip(_ANY_SPACE)
        number = self._new_rule()
        self.rules[number] = self._alternatives(_ANY_SPACE)
        self._expect(_CLOSING, "`)`")
        self.depth -= 1
        return number

    def _token(self) -> None:
        if self._peek() == "!":
            self.at += 1
        if self.text.startswith("<[", self.at):
            if int(self._expect(_TOKEN_ID, "a token's number")[2:-2]) > MOST_TOKEN_ID:
                raise self._refusal("no token has such a number")
        elif not self.is_token(self._expect(_TOKEN, "a token")):
            raise self._refusal("no token of the model is written like this")

    def _repetition(self, space: re.Pattern[str]) -> tuple[int, int | None]:
        """How often at least and at most; None is without limit."""
        head = self._peek()
        self.at += 1
        if head != "{":
            return _OPERATORS[head]
        self._skip(space)
        least = most = self._times()
        self._skip(space)
        if self._peek() == ",":
            self.at += 1
            self._skip(space)
            most = self._times() if _NUMBER.match(self.text, self.at) else MOST_REPETITIONS + 1
            self._skip(space)
        self._expect(_CLOSING_BRACE, "`}`")
        if least > MOST_REPETITIONS:
            raise self._refusal(f"more than {MOST_REPETITIONS:,} repetitions")
        if most < least:
            raise self._refusal("at most is less than at least")
        return least, None if most > MOST_REPETITIONS else most

    def _times(self) -> int:
        digits = self._expect(_NUMBER, "a number").lstrip("0") or "0"
        if len(digits) > MOST_DIGITS:
            raise self._refusal(f"more than {MOST_REPETITIONS:,} repetitions")
        return int(digits)

    def _n_times(self, n_rules: int, least: int, most: int | None) -> int:
        n_times = most or least or 1
        if n_rules * n_times > MOST_REPETITIONS:
            raise self._refusal(f"more than {MOST_REPETITIONS:,} rules by repetitions of repetitions")
        return n_times

    def _repeat(self, rule: Elements, start: int, least: int, most: int | None) -> None:
        """x{2,4} becomes: x x rest2, with rest2 ::= x rest1 | and rest1 ::= x |."""
        item = rule[start:]
        if not item:
            raise self._refusal("there is nothing to repeat")
        self._count(len(item) * (least + (1 if most is None else most - least)))
        rule[start:] = item * least
        last: Elements = []
        for _ in range(1 if most is None else most - least):
            number = self._new_rule()
            self.rules[number] = [*item, *([number] if most is None else last), _ALTERNATIVE]
            last = [number]
        rule += last

    def _number_of(self, name: str) -> int:
        if name not in self.numbers:
            self.numbers[name] = self._new_rule()
        return self.numbers[name]

    def _new_rule(self) -> int:
        self.n_rules += 1
        if self.n_rules > MOST_RULES:
            raise self._refusal(f"more than {MOST_RULES:,} rules")
        return self.n_rules - 1

    def _add(self, rule: Elements, element: int) -> None:
        self._count(1)
        rule.append(element)

    def _count(self, n_elements: int) -> None:
        self.n_elements += n_elements
        if self.n_elements > MOST_ELEMENTS:
            raise self._refusal(f"more than {MOST_ELEMENTS:,} characters and names, repetitions counted")

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self, space: re.Pattern[str]) -> None:
        if found := space.match(self.text, self.at):
            self.at = found.end()

    def _expect(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self._refusal(f"{what} is expected")
        self.at = found.end()
        return found[0]

    def _refusal(self, why: str) -> UsageError:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        return _refusal(f"line {line}, column {column}: {why}")


def _check_recursion(rules: dict[int, Elements]) -> None:
    """Refuse left recursion, and rules that llama.cpp would search for it for too long.

    The search visits what may stand leftmost in each rule, again each time that it is named there.
    """
    optional = {number for number, rule in rules.items() if _has_empty_alternative(rule)}
    n_visits: dict[int, int] = {}
    for root in rules:
        entered: set[int] = set()  # and not left yet
        waiting = [root]
        while waiting:
            number = waiting[-1]
            if number in n_visits:
                waiting.pop()
                continue
            leftmost = _leftmost(rules[number], optional)
            if number in entered:
                entered.remove(number)
                n_visits[number] = 1 + sum(n_visits[other] for other in leftmost)
                continue
            entered.add(number)
            if entered.intersection(leftmost):
                raise _refusal("a rule begins with itself (left recursion)")
            waiting += [other for other in leftmost if other not in n_visits]
    if sum(n_visits.values()) > MOST_VISITS:
        raise _refusal("its rules name each other at their beginnings in too many ways")


def _has_empty_alternative(rule: Elements) -> bool:
    ends = zip([_ALTERNATIVE, *rule], [*rule, _ALTERNATIVE], strict=True)
    return any(before == after == _ALTERNATIVE for before, after in ends)


def _leftmost(rule: Elements, optional: set[int]) -> list[int]:
    """The rules that may come first in this one."""
    found, is_leftmost = [], True
    for element in rule:
        if element == _ALTERNATIVE:
            is_leftmost = True
        elif is_leftmost and element != _TERMINAL:
            found.append(element)
            is_leftmost = element in optional
        else:
            is_leftmost = False
    return found
