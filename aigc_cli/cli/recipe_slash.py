"""Recipes inside a chat: `/explain @app.py` asks in the conversation; the others work beside it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.report import note
from aigc_cli.cli.slash_command import SlashCommand
from aigc_cli.cli.talk import Talk
from aigc_cli.engine.passing import PassingEngine
from aigc_cli.errors import ConfigError, UsageError
from aigc_cli.tasks.cookbook import Cookbook, open_cookbook
from aigc_cli.tasks.mentions import complete_path
from aigc_cli.tasks.recipe import Output, Recipe

_WORD = re.compile(r'"([^"]*)"|(\S+)')


class _Lent(PassingEngine):
    """The chat's engine, for a command that closes its own."""

    def close(self) -> None:
        """The chat goes on with it."""


def recipe_commands(talk: Talk) -> Mapping[str, SlashCommand]:
    """The recipes of this chat as its commands; read when they are wanted first."""
    if talk.recipes is None:
        cookbook = open_cookbook(talk.app.directories, talk.app.cwd)
        talk.recipes = dict(_commands(talk.app, cookbook))
    return talk.recipes


def _commands(app: AppContext, cookbook: Cookbook) -> Iterator[tuple[str, SlashCommand]]:
    for name in sorted(cookbook.names()):
        try:
            recipe = cookbook.recipe(name)
        except ConfigError as error:
            note(app, f"a recipe is left out: {error.message}")
            continue
        yield name, as_slash_command(recipe, cookbook)


def as_slash_command(recipe: Recipe, cookbook: Cookbook) -> SlashCommand:
    """The command that a recipe is inside a chat."""
    return SlashCommand(
        recipe.name,
        _usage(recipe),
        recipe.help,
        partial(_cook, recipe, cookbook),
        names=partial(_names, recipe),
    )


def _usage(recipe: Recipe) -> str:
    given = [f"--{each.name} …" for each in recipe.arguments if each.is_option and each.default is None]
    return " ".join([*given, f"[{recipe.words.name.upper()}]" if recipe.words else "", "[@FILE]"]).strip()


def _names(recipe: Recipe, talk: Talk, argument: str) -> list[str]:
    before = argument.split()[:-1] if argument and not argument.endswith(" ") else argument.split()
    of_option = next(
        (each for each in recipe.arguments if before and before[-1] == f"--{each.name}" and each.choices),
        None,
    )
    if of_option:
        return list(of_option.choices)
    start = argument.rpartition(" ")[2]
    if start.startswith("@"):
        return [f"@{path}" for path in complete_path(start[1:], talk.app.cwd)]
    return [f"--{each.name}" for each in recipe.arguments if each.is_option]


def _cook(recipe: Recipe, cookbook: Cookbook, talk: Talk, argument: str) -> None:
    from aigc_cli.cli.recipe_command import SERVINGS, serve  # typer's options: a chat starts without them
    from aigc_cli.cli.recipe_run import RecipeRun, gather, run_inputs

    values, options, words = _read(recipe, SERVINGS[recipe.output].options, argument)
    gathered = gather(talk.app, recipe, words, (), no_stdin=True)
    attachments = gathered.attachments
    if recipe.words:
        values[recipe.words.name] = gathered.text
    printed = run_inputs(talk.app, cookbook, recipe, talk.answer)
    app = replace(talk.app, engine_factory=lambda _app, _settings: _Lent(talk.engine))
    run = RecipeRun(
        app,
        recipe,
        talk.settings,
        values | {"inputs": printed},
        attachments,
        options,
        talk.answer,
        targets=gathered.targets,
        can_ask=talk.interactive,
    )
    if recipe.output is Output.TEXT:
        talk.ask_about(run.words_of_question(), attachments, run.sampling(talk.engine))
    else:
        serve(run)


def _read(
    recipe: Recipe, declared: Mapping[str, tuple[Any, object]], line: str
) -> tuple[dict[str, Any], dict[str, object], Sequence[str]]:
    """The arguments, the options of its output and the words of a line.

    Raises:
        UsageError: an option is unknown, has no value, or is missing.
    """
    values: dict[str, Any] = {each.name: each.default for each in recipe.arguments}
    options, rest = {name: default for name, (_, default) in declared.items()}, list[str]()
    flags = {flag: name for name, (annotation, _) in declared.items() for flag in _flags(annotation)}
    flags |= {f"--{each.name.replace('_', '-')}": each.name for each in recipe.arguments if each.is_option}
    matches = list(_WORD.finditer(line))
    queue = iter(matches)
    for match in queue:
        word = _word(match)
        flag, has_value, value = word.partition("=")
        is_option = word in flags or (word.startswith("--") and word != "--")
        if recipe.output is Output.FIX and not is_option:  # the rest is a line for the shell, quotes and all
            rest.append(line[match.end() if word == "--" else match.start() :].strip())
            break
        if word == "--":
            rest += [_word(each) for each in queue]
        elif not is_option:
            rest.append(word.removeprefix("@"))
        elif flag not in flags:
            raise UsageError(f"/{recipe.name} has no {flag}", f"/help {recipe.name}")
        elif isinstance(options.get(flags[flag]), bool):
            options[flags[flag]] = True
        else:
            following = next(queue, None)
            given = value if has_value else _word(following) if following else None
            if given is None:
                raise UsageError(f"{flag} needs a value", f"/help {recipe.name}")
            (options if flags[flag] in options else values)[flags[flag]] = given
    _refuse_bad_values(recipe, values)
    return values, _typed(options, declared), rest


def _word(match: re.Match[str]) -> str:
    quoted, bare = match.groups()
    return bare if quoted is None else str(quoted)


def _flags(annotation: Any) -> Sequence[str]:
    """The names of an option, as typer is told of them."""
    option = annotation.__metadata__[0]
    names = (option.default, *option.param_decls)  # typer takes the first one for a default until it is used
    return [name for name in names if isinstance(name, str) and name.startswith("-")]


def _typed(options: dict[str, Any], declared: Mapping[str, tuple[Any, object]]) -> dict[str, object]:
    for name, (annotation, default) in declared.items():
        if isinstance(default, int) and isinstance(options[name], str):
            if not options[name].isdecimal() or int(options[name]) < 1:
                raise UsageError(f"{_flags(annotation)[0]} is {options[name]!r}", "it is a number from 1")
            options[name] = int(options[name])
    return options


def _refuse_bad_values(recipe: Recipe, values: Mapping[str, Any]) -> None:
    for argument in recipe.arguments:
        value = values[argument.name]
        if argument.is_option and value is None:
            raise UsageError(f"/{recipe.name} needs --{argument.name}", argument.help)
        if argument.choices and value not in argument.choices:
            raise UsageError(f"--{argument.name} is {value!r}", f"it can be: {', '.join(argument.choices)}")
