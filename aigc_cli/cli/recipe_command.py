"""A recipe as a command: its arguments and its output's options, as typer sees them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Annotated, Any, Literal

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import change_options, options
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.recipe_run import RecipeRun, gather, run_inputs
from aigc_cli.cli.yes_no import ask_line
from aigc_cli.engine.base import Sampling
from aigc_cli.errors import ConfigError
from aigc_cli.tasks.cookbook import Cookbook, open_cookbook
from aigc_cli.tasks.recipe import Argument, Output, Recipe

_WORDS = "words"
_SHOWN = (Output.TEXT, Output.TRANSLATION)  # what is Markdown on a terminal


@dataclass(frozen=True, slots=True)
class Serving:
    """How one kind of output is served.

    Attributes:
        run: module and function that does it; imported when a recipe runs.
        options: what the command takes besides, by name: annotation and default.
    """

    run: str
    options: Mapping[str, tuple[Any, object]]


_CODE: Mapping[str, tuple[Any, object]] = {
    "output": (change_options.Output, None),
    "force": (change_options.Force, False),
    "dry_run": (change_options.DryRun, False),
    "check": (change_options.Check, None),
    "tries": (change_options.Tries, 3),
}
_EXAMPLES = {"run_examples": (change_options.RunExamples, False)}
_CHANGE: Mapping[str, tuple[Any, object]] = {
    "check": (change_options.CheckEach, None),
    "yes": (change_options.Yes, False),
    "dry_run": (change_options.DryRunDiff, False),
    "no_guards": (change_options.NoGuards, False),
}
_PART: Mapping[str, tuple[Any, object]] = {"symbol": (change_options.Symbol, None)}
_RUN = Annotated[bool, typer.Option("--run", help="run the tests, in a sandbox; exit 5 if they fail")]
_AT = Annotated[
    str | None,
    typer.Option("--at", metavar="FILE", help="the file to change, or lines of it (FILE:10-40)"),
]
_JSON = (Annotated[bool, typer.Option("--json", help="print one JSON object a result")], False)
SERVINGS: Mapping[Output, Serving] = {
    Output.TEXT: Serving("aigc_cli.cli.recipe_text:serve", {}),
    Output.FINDINGS: Serving(
        "aigc_cli.cli.recipe_findings:serve",
        {
            "as_json": _JSON,
            "sarif": (Annotated[bool, typer.Option("--sarif", help="print a SARIF 2.1.0 report")], False),
            "fail_on": (
                Annotated[
                    Literal["low", "medium", "high"] | None,
                    typer.Option("--fail-on", help="exit 1 if a finding is at least so severe"),
                ],
                None,
            ),
        },
    ),
    Output.LABEL: Serving("aigc_cli.cli.recipe_label:serve", {"as_json": _JSON}),
    Output.CODE: Serving("aigc_cli.cli.recipe_code:serve", {**_CODE, **_EXAMPLES}),
    Output.TRANSLATION: Serving("aigc_cli.cli.recipe_code:serve_translation", {**_CODE, **_EXAMPLES}),
    Output.TESTS: Serving("aigc_cli.cli.recipe_tests:serve", {**_CODE, "run": (_RUN, False)}),
    Output.EDIT: Serving("aigc_cli.cli.recipe_edit:serve", {**_CHANGE, **_PART}),
    Output.COMMENTS: Serving("aigc_cli.cli.recipe_edit:serve_comments", {**_CHANGE, **_PART}),
    Output.DIFF: Serving("aigc_cli.cli.recipe_polish:serve", _CHANGE),
    Output.FIX: Serving("aigc_cli.cli.recipe_fix:serve", {**_CHANGE, "at": (_AT, None)}),
    Output.COMMAND: Serving("aigc_cli.cli.recipe_shell:serve_command", {}),
    Output.COMMIT: Serving("aigc_cli.cli.recipe_shell:serve_commit", {}),
}


def recipe_command(recipe: Recipe) -> Callable[..., int]:
    """The function that typer makes a command of."""
    serving = SERVINGS[recipe.output]

    def command(ctx: typer.Context, **given: Any) -> int:
        """Gather what the recipe works on, and serve it."""
        app = app_context(ctx)
        settings = app.resolve_settings(given["flags"]).settings
        sampling_from(settings, Sampling())  # a bad value is told before anything is read or run
        line, files = given.get(_WORDS) or [], given["file"] or []
        gathered = gather(app, recipe, line, files, no_stdin=given.get("no_stdin", True))
        values = {
            each.name: gathered.text if each is recipe.words else given[each.name]
            for each in recipe.arguments
        }
        answer = partial(ask_line, app)
        printed = run_inputs(app, open_cookbook(app.directories, app.cwd), recipe, answer)
        own = {name: given[name] for name in serving.options}
        return serve(
            RecipeRun(
                app,
                recipe,
                settings,
                values | {"inputs": printed},
                gathered.attachments,
                own,
                answer,
                raw=given.get("raw", False),
                targets=gathered.targets,
                can_ask=app.stdin.isatty() and app.stderr.isatty(),
            )
        )

    command.__name__ = recipe.name
    command.__doc__ = recipe.help
    vars(command)["__signature__"] = inspect.Signature(_parameters(recipe, serving), return_annotation=int)
    names = ("system", *options.ENGINE, *options.SAMPLING, *options.VIEW)
    return setting_options(*names)(command)


def serve(run: RecipeRun) -> int:
    """Do what the recipe is for, and give the exit code."""
    module, _, function = SERVINGS[run.recipe.output].run.partition(":")
    code: int = getattr(import_module(module), function)(run)
    return code


def command_called(cookbook: Cookbook, name: str) -> Callable[..., int]:
    """The command of a recipe's name; that of a broken recipe says what is wrong with it."""
    try:
        return recipe_command(cookbook.recipe(name))
    except ConfigError as error:
        return _refusal(name, error)


def _refusal(name: str, error: ConfigError) -> Callable[..., int]:
    def refuse() -> int:
        raise error

    refuse.__name__ = name
    refuse.__doc__ = f"This recipe can't be used: {error.message}"
    return refuse


def _parameters(recipe: Recipe, serving: Serving) -> list[inspect.Parameter]:
    parameters = [_parameter("ctx", typer.Context)]
    if argument := _words_argument(recipe):
        parameters.append(_parameter(_WORDS, Annotated[list[str] | None, argument], None))
    parameters += [_of_argument(argument) for argument in recipe.arguments if argument.is_option]
    parameters += [_parameter(name, *declared) for name, declared in serving.options.items()]
    shared: list[tuple[str, Any, object]] = [("file", options.Files, None)]
    if recipe.output in _SHOWN:
        shared.append(("raw", options.Raw, False))
    if recipe.output is not Output.FIX:
        shared.append(("no_stdin", options.NoStdin, False))
    return [*parameters, *(_parameter(*each) for each in shared), _parameter("flags", options.Flags)]


def _words_argument(recipe: Recipe) -> Any:
    """What takes the words of the line, as typer declares it; None if nothing does."""
    name = recipe.words.name.upper() if recipe.words else ""
    meaning = recipe.words.help if recipe.words else ""
    if recipe.output is Output.FIX:
        return typer.Argument(metavar=name, help=meaning)
    if recipe.output is Output.TESTS or recipe.output.changes_files:
        kind = "the files, or lines of them (FILE:10-40)" if recipe.output.changes_files else "the file"
        return typer.Argument(
            metavar=f"FILE {name}".strip(), help=", and ".join(filter(None, (kind, meaning)))
        )
    return typer.Argument(metavar=name, help=f"{meaning}, or files") if recipe.words else None


def _of_argument(argument: Argument) -> inspect.Parameter:
    kind: Any = Literal[argument.choices] if argument.choices else str
    dashed = f"--{argument.name.replace('_', '-')}"
    option = typer.Option(dashed, help=argument.help, metavar=None if argument.choices else "TEXT")
    default = inspect.Parameter.empty if argument.default is None else argument.default
    return _parameter(argument.name, Annotated[kind, option], default)


def _parameter(name: str, annotation: Any, default: object = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
