"""What the first call of `aigc new` was told, for the calls that go on with it."""

import shlex
from collections.abc import Mapping

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import ENGINE, SAMPLING, Flags
from aigc_cli.config import Value, project_may_set
from aigc_cli.errors import FileError, UsageError
from aigc_cli.tasks.project_state import ProjectState

REMEMBERED = ("system", *ENGINE, *SAMPLING)


def given_options(flags: Flags) -> dict[str, Value]:
    """The options of this call that the next one shall have too."""
    return {name: flags[name] for name in REMEMBERED if flags[name] is not None}


def resume_line(app: AppContext, name: str, options: Mapping[str, Value]) -> str:
    """The command that goes on with a project, with the options that are not taken from its state."""
    again = [f"--{key.replace('_', '-')}={options[key]}" for key in _to_be_repeated(app, options)]
    return shlex.join(["aigc", "new", name, "--resume", *again])


def remember(app: AppContext, name: str, state: ProjectState, flags: Flags) -> Flags:
    """The options in force: those of the first call, under those of this one, which are kept from now on.

    Raises:
        UsageError: one is not taken from a file that somebody else may have written; it must be given.
        FileError: the state names what is no option.
    """
    if strange := sorted(state.options.keys() - set(REMEMBERED)):
        raise FileError(f"{name!r}: its state has an option {strange[0]!r}", "remove it and start again")
    given = given_options(flags)
    missing = [key for key in _to_be_repeated(app, state.options) if key not in given]
    if missing:
        told = ", ".join(f"--{key.replace('_', '-')} {state.options[key]}" for key in missing)
        raise UsageError(
            f"{name!r} was begun with {told}, which a project's own files can't choose",
            f"{resume_line(app, name, state.options | given)} goes on",
        )
    state.options |= given
    return flags | state.options


def _to_be_repeated(app: AppContext, options: Mapping[str, Value]) -> list[str]:
    return [name for name, value in options.items() if not project_may_set(name, value, app.cwd)]
