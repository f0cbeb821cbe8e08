"""`--schema`, `--grammar`, `--choices`: what the reply must look like."""

import json
from pathlib import Path

from aigc_cli.chat.prompt import well_formed
from aigc_cli.engine.base import Choices, Constraint, Grammar, JsonSchema
from aigc_cli.errors import FileError, UsageError
from aigc_cli.tasks.workspace import named_path, read_text


def read_constraint(
    cwd: Path, *, schema: str | None = None, grammar: str | None = None, choices: str | None = None
) -> Constraint | None:
    """The constraint that these options ask for.

    Args:
        cwd: where relative file names start.
        schema: a JSON Schema, or the file that holds it.
        grammar: a file of GBNF.
        choices: options with commas between them.

    Raises:
        UsageError: more than one is given, a file can't be read, or its content is no schema.
    """
    if sum(option is not None for option in (schema, grammar, choices)) > 1:
        raise UsageError("--schema, --grammar and --choices exclude one another", "give one of them")
    if schema is not None:
        is_json = schema.lstrip().startswith("{")
        return JsonSchema(_checked_schema(well_formed(schema) if is_json else _read(cwd, schema, "--schema")))
    if grammar is not None:
        return Grammar(_read(cwd, grammar, "--grammar"))
    if choices is not None:
        return Choices(_options(choices))
    return None


def _checked_schema(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"--schema is no JSON: {error}", "give a file, or JSON that starts with {"
        ) from error
    if not isinstance(value, dict):
        raise UsageError(
            "--schema is no JSON Schema: it must be an object", 'for example: {"type": "object"}'
        )
    return text


def _read(cwd: Path, name: str, option: str) -> str:
    try:
        return read_text(named_path(name, cwd), name)
    except FileError as error:
        raise UsageError(f"{option}: {error.message}", error.hint) from error


def _options(choices: str) -> tuple[str, ...]:
    options = tuple(
        dict.fromkeys(option for each in choices.split(",") if (option := well_formed(each).strip()))
    )
    if not options:
        raise UsageError("--choices holds no choice", "--choices yes,no")
    return options
