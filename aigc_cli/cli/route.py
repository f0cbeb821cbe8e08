"""Which command a line of words means: `aigc why is the sky blue` asks, `aigc models list` does not.

| line                          | means                                             |
|-------------------------------|---------------------------------------------------|
| nothing, stdin a terminal     | chat, with whatever options are there             |
| nothing, stdin a pipe or file | ask what stdin holds                              |
| a command first               | that command; options before it are its options   |
| any other word first, or `--` | ask                                               |

Which options take a value is read off the command objects: `aigc -m chat "hello"` asks a model named chat.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from aigc_cli.errors import UsageError

DEFAULT_COMMAND, CHAT = "ask", "chat"
_WORDS = {"help": "--help", "version": "--version"}
# high enough that a question of one word is not taken for a command: "hello" is 0.8 of "shell"
_NEARLY = 0.81


class Parameter(Protocol):
    """What routing reads off one parameter of a command."""

    @property
    def opts(self) -> list[str]:
        """Its names, dashes included."""
        ...

    @property
    def secondary_opts(self) -> list[str]:
        """The names that switch it off."""
        ...

    @property
    def param_type_name(self) -> str:
        """`option` or `argument`."""
        ...


class Command(Protocol):
    """What routing reads off a command; a group of commands has `commands` besides."""

    @property
    def params(self) -> Sequence[Parameter]:
        """Its options and arguments."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """The line with its command in front, and what a person may want to know about that choice."""

    argv: list[str]
    note: str = ""


def route(
    argv: Sequence[str], root: Command, commands: Mapping[str, Command], *, stdin_is_terminal: bool
) -> Route:
    """Put the command that is meant in front.

    Raises:
        UsageError: the only word is nearly a command's name, and nothing is piped in that it could be about.
    """
    n_leading = _count_leading_options(argv, commands) if argv and argv[0][:1] == "-" else 0
    leading, rest = list(argv[:n_leading]), list(argv[n_leading:])
    root_options = {name for name, _ in _options(root)} | {"--help", "-h"}
    if asked := [word for word in leading if word in root_options]:
        return Route(asked[:1])
    if not rest:
        chat = stdin_is_terminal and _belong_to(commands[CHAT], leading)
        return Route([CHAT if chat else DEFAULT_COMMAND, *leading])
    word = rest[0]
    if word in commands:
        return Route([word, *leading, *rest[1:]])
    if word in _WORDS and (len(rest) == 1 or rest[1] in commands):
        return Route([*rest[1:], "--help"] if len(rest) > 1 else [_WORDS[word]])
    meant = _nearly_a_command(rest, commands)
    if meant and stdin_is_terminal:
        raise UsageError(
            f"no command is called {word!r}: did you mean `aigc {meant}`?",
            f"to ask the model: aigc ask {' '.join(rest)}",
        )
    note = f"asking the model; did you mean `aigc {meant}`?" if meant else ""
    return Route([DEFAULT_COMMAND, *argv], note)


def _options(command: Command) -> Iterator[tuple[str, bool]]:
    for parameter in command.params:
        if parameter.param_type_name == "option":
            is_flag = bool(getattr(parameter, "is_flag", False) or getattr(parameter, "count", False))
            for name in (*parameter.opts, *parameter.secondary_opts):
                yield name, not is_flag


def _count_leading_options(argv: Sequence[str], commands: Mapping[str, Command]) -> int:
    """How many words come before the first that is neither an option nor an option's value.

    Where two commands differ about an option, the default command's word counts.
    """
    default = commands[DEFAULT_COMMAND]
    n_leading = _count_options(argv, dict(_options(default)))
    if _belong_to(default, argv[:n_leading]):
        return n_leading  # without a look at the other commands, which would have to be built for it
    takes_value = {name: value for command in commands.values() for name, value in _options(command)}
    return _count_options(argv, takes_value | dict(_options(default)))


def _count_options(argv: Sequence[str], takes_value: Mapping[str, bool]) -> int:
    i = 0
    while i < len(argv) and argv[i] not in ("-", "--") and argv[i].startswith("-"):
        i += 2 if _takes_next(argv[i], takes_value) else 1
    return min(i, len(argv))


def _takes_next(option: str, takes_value: Mapping[str, bool]) -> bool:
    if option.startswith("--"):
        return "=" not in option and takes_value.get(option, False)
    # a cluster of short options: the first that takes a value takes the rest of the cluster, or the next word
    for i, letter in enumerate(option[1:], start=2):
        if takes_value.get(f"-{letter}", False):
            return i == len(option)
    return False


def _belong_to(command: Command, words: Sequence[str]) -> bool:
    known = {name for name, _ in _options(command)}
    names = [
        word.partition("=")[0] if word.startswith("--") else word[:2] for word in words if word[:1] == "-"
    ]
    return all(name in known for name in names)


def _nearly_a_command(words: Sequence[str], commands: Mapping[str, Command]) -> str:
    """The command line that one word, or a command's name and a subcommand's, was perhaps meant to be."""
    matches = get_close_matches(words[0], commands, n=1, cutoff=_NEARLY)
    if not matches:
        return ""
    following = [word for word in words[1:] if not word.startswith("-")]
    if not following:
        return matches[0]
    subcommands: Mapping[str, Command] = getattr(commands[matches[0]], "commands", {})
    return f"{matches[0]} {following[0]}" if following[0] in subcommands else ""
