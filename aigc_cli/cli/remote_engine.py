"""The engine on a server that the person named, with the key that it wants."""

import os
import shlex
import subprocess

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.report import note
from aigc_cli.config import SERVER_VARIABLE, Settings
from aigc_cli.engine.address import Secret, parse_address
from aigc_cli.engine.client import Client
from aigc_cli.engine.connection import Timeouts
from aigc_cli.engine.remote import Expected, RemoteEngine
from aigc_cli.errors import ConfigError

KEY_VARIABLE = "OPENAI_API_KEY"
_KEY_COMMAND_TIMEOUT_S = 60  # it may ask for a passphrase


def open_remote_engine(app: AppContext, settings: Settings) -> RemoteEngine:
    """The engine behind `base_url`. Nothing is sent before it is first asked something.

    Raises:
        ConfigError: the address can't be used, or there is no key where one should be.
    """
    address = parse_address(settings.base_url or "")
    if _only_other_programs_named_it(app, settings):
        note(
            app, f"the model runs at {address.label} ({SERVER_VARIABLE}); --base-url '' keeps to this machine"
        )
    timeouts = Timeouts(settings.connect_timeout, settings.first_token_timeout, settings.idle_timeout)
    client = Client(address, api_key(app, settings), timeouts)
    return RemoteEngine(
        client, app.clock, Expected(settings.model, settings.context, guard_loops=settings.loop_guard)
    )


def _only_other_programs_named_it(app: AppContext, settings: Settings) -> bool:
    """Whether the address comes from a variable that the person may have set with other programs in mind."""
    resolved = app.resolve_settings({})
    return resolved.origins["base_url"] == SERVER_VARIABLE and resolved.settings.base_url == settings.base_url


def api_key(app: AppContext, settings: Settings) -> Secret | None:
    """The key that `api_key_command` prints, else the one in OPENAI_API_KEY, if there is one."""
    if settings.api_key_command:
        return Secret(_printed_key(app, settings.api_key_command))
    key = app.env.get(KEY_VARIABLE, "").strip()
    return Secret(key) if key else None


def _printed_key(app: AppContext, command: str) -> str:
    """What the command prints; it can ask the person at the terminal."""
    try:
        argv = shlex.split(command, posix=os.name == "posix")
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            env=dict(app.env),
            cwd=app.cwd,
            timeout=_KEY_COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(
            f"api_key_command can't be run: {reason}", "aigc config show api_key_command"
        ) from None
    key = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode or not key:
        what = f"failed with exit code {done.returncode}" if done.returncode else "printed nothing"
        raise ConfigError(f"api_key_command {what}", "run it by itself: it has to print the key")
    return key
