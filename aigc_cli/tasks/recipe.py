"""A recipe: one Markdown file that says what to ask the model for, and what becomes of the answer.

The file begins with YAML between two lines of `---`: `help`, and if it likes `arguments`, `output`,
`languages`, `sampling`, `inputs` and `schema`. The rest is a Jinja2 template of the question. The file's name
is the recipe's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from aigc_cli.engine.base import Sampling
from aigc_cli.errors import ConfigError

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_FENCE = "---"
_KEYS = ("help", "arguments", "output", "languages", "sampling", "inputs")
_ARGUMENT_KEYS = ("name", "help", "default", "choices", "option")
_ARGUMENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
# What the template is given besides its arguments, and names that options of the command have.
RESERVED = frozenset(
    (
        "language",
        "chinese",
        "files",
        "inputs",
        "model",
        "file",
        "output",
        "json",
        "help",
        "raw",
        "system",
        "flags",
        "ctx",
        "words",
        "no_stdin",
        "force",
        "dry_run",
        "check",
        "run_examples",
        "tries",
        "symbol",
        "yes",
        "no_guards",
    )
)
_SAMPLED = frozenset(f.name for f in fields(Sampling)) - {"stop", "seed"}


class Output(StrEnum):
    """What becomes of the answer."""

    TEXT = "text"  # shown
    CODE = "code"  # a file, checked like that of `aigc gen`
    EDIT = "edit"  # a change of a file, checked like that of `aigc edit`
    FINDINGS = "findings"  # a list with lines and severities
    LABEL = "label"  # one of some words for each line of input
    COMMAND = "command"  # a line for the shell: run, changed or dropped
    COMMIT = "commit"  # a message for the staged changes
    DIFF = "diff"  # a text and what was changed in it
    TRANSLATION = "translation"  # code in another programming language, or text in another human one
    TESTS = "tests"  # a file with tests for a file
    COMMENTS = "comments"  # a change of a file that leaves its code as it is
    FIX = "fix"  # a change of a file, so that a command no longer fails

    @property
    def changes_files(self) -> bool:
        """Whether the files that the line names are changed, and not only looked at."""
        return self in (Output.EDIT, Output.DIFF, Output.COMMENTS)


OWN_OUTPUTS = (Output.TEXT, Output.CODE, Output.EDIT)  # what a recipe of a person's own can have


class Origin(StrEnum):
    """Who a recipe comes from."""

    BUILT_IN = "built in"
    USER = "yours"
    PROJECT = "this project's"


@dataclass(frozen=True, slots=True)
class Argument:
    """One thing that a recipe is told.

    Attributes:
        default: None if it has to be given.
        choices: the values it can have; empty for any.
        is_option: given as `--name VALUE`; otherwise it takes the words of the line.
    """

    name: str
    help: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    is_option: bool = True


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one recipe file says.

    Attributes:
        languages: tags of the languages it is for; empty for any.
        sampling: values that take the place of the model's recommended ones.
        inputs: commands whose output the template is given, by name.
        template: Jinja2 source of the question.
        source: the whole file, as it was read.
    """

    name: str
    help: str
    template: str
    output: Output = Output.TEXT
    arguments: tuple[Argument, ...] = ()
    languages: tuple[str, ...] = ()
    sampling: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = Origin.BUILT_IN
    path: Path = Path()
    source: str = ""

    @property
    def words(self) -> Argument | None:
        """The argument that takes the words of the line."""
        return next((argument for argument in self.arguments if not argument.is_option), None)


def parse_recipe(source: str, path: Path, origin: Origin) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: the message names the file and what is wrong in it.
    """
    if not NAME.fullmatch(path.stem):
        raise ConfigError(f"{path}: {path.stem!r} can't be a recipe's name", "use a-z, 0-9 and dashes")
    front, template = _split(source, path)
    if unknown := sorted(set(front) - set(_KEYS)):
        raise ConfigError(f"{path}: a recipe has no {unknown[0]!r}", f"it can have: {', '.join(_KEYS)}")
    if not isinstance(front.get("help"), str) or not front["help"].strip():
        raise ConfigError(f"{path}: help is missing", "one line that says what the recipe is for")
    if not template.strip():
        raise ConfigError(f"{path}: there is nothing to ask", f"write the question below the second {_FENCE}")
    return Recipe(
        name=path.stem,
        help=" ".join(front["help"].split()),
        template=template,
        output=_output(front.get("output", Output.TEXT), path, origin),
        arguments=_arguments(front.get("arguments", []), path),
        languages=tuple(_strings(front.get("languages", []), "languages", path)),
        sampling=_sampling(front.get("sampling", {}), path),
        inputs=_inputs(front.get("inputs", {}), path),
        origin=origin,
        path=path,
        source=source,
    )


def _split(source: str, path: Path) -> tuple[dict[str, Any], str]:
    import yaml  # 25 ms, for the commands that are recipes alone

    lines = source.splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if line.rstrip() == _FENCE]
    if len(ends) < len(("first", "last")) or ends[0] != 0:
        raise ConfigError(f"{path}: a recipe begins with lines between two {_FENCE}", "aigc recipes new NAME")
    try:
        front = yaml.safe_load("".join(lines[1 : ends[1]])) or {}
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: {reason}", f"what stands between the two {_FENCE} is YAML") from error
    if not isinstance(front, dict):
        raise ConfigError(f"{path}: what stands between the two {_FENCE} is no table", "help: what it is for")
    return {str(key): value for key, value in front.items()}, "".join(lines[ends[1] + 1 :]).strip("\n")


def _output(value: object, path: Path, origin: Origin) -> Output:
    allowed = tuple(Output) if origin is Origin.BUILT_IN else OWN_OUTPUTS
    if value not in allowed:
        raise ConfigError(f"{path}: output is {value!r}", f"it can be: {', '.join(allowed)}")
    return Output(str(value))


def _arguments(value: object, path: Path) -> tuple[Argument, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{path}: arguments is no list", "- name: to")
    arguments = tuple(_argument(each, path) for each in value)
    names = [argument.name for argument in arguments]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: two arguments have the same name")
    if sum(not argument.is_option for argument in arguments) > 1:
        raise ConfigError(f"{path}: two arguments take the words of the line", "give one option: true")
    return arguments


def _argument(value: object, path: Path) -> Argument:
    if not isinstance(value, dict) or not _ARGUMENT_NAME.fullmatch(str(value.get("name", ""))):
        raise ConfigError(f"{path}: an argument needs a name", "use a-z, 0-9 and underscores")
    name = str(value["name"])
    if unknown := sorted(str(key) for key in value if key not in _ARGUMENT_KEYS):
        raise ConfigError(
            f"{path}: the argument {name} has no {unknown[0]!r}", f"it can have: {', '.join(_ARGUMENT_KEYS)}"
        )
    if name in RESERVED:
        raise ConfigError(f"{path}: no argument can be called {name!r}", "it means something else already")
    default = value.get("default")
    choices = tuple(_strings(value.get("choices", []), f"choices of {name}", path))
    return Argument(
        name,
        " ".join(str(value.get("help", "")).split()),
        None if default is None else str(default),
        choices,
        value.get("option", True) is not False,
    )


def _strings(value: object, what: str, path: Path) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigError(f"{path}: {what} is no list of words", "[one, two]")
    return value


def _sampling(value: object, path: Path) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: sampling is no table", "sampling: {temperature: 0.2}")
    for name, number in value.items():
        if name not in _SAMPLED or isinstance(number, bool) or not isinstance(number, int | float):
            raise ConfigError(f"{path}: sampling has no {name!r} of {number!r}", ", ".join(sorted(_SAMPLED)))
    return {str(name): number for name, number in value.items()}


def _inputs(value: object, path: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ConfigError(f"{path}: inputs is no table of commands", "inputs: {log: git log -5}")
    return {str(name): command for name, command in value.items()}
