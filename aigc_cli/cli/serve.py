"""`aigc serve`: the model behind an HTTP address, for editors and for programs that speak OpenAI's API."""

import ipaddress
import signal
import stat
import traceback
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import LOADING, Flags, app_context, setting_options
from aigc_cli.cli.report import note
from aigc_cli.errors import ExitCode, FileError, UsageError

if TYPE_CHECKING:
    import socket

    from aigc_cli.engine.base import Engine
    from aigc_cli.serve.app import ServeOptions
    from aigc_cli.serve.guard import Rules

KEY_VARIABLE = "AIGC_API_KEY"
_LOCALHOST = "localhost"


@setting_options(*LOADING, "lora")
def serve(
    ctx: typer.Context,
    flags: Flags,
    *,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="where to listen; another than this machine needs an API key"),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes a free one")] = 8080,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help=f"ask for this key; others on this machine can see it in ps, unlike ${KEY_VARIABLE}",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="read the key from the first line of a file")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="pages of this origin may ask too, * for all; repeatable"),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="a name that this machine is asked under; repeatable"),
    ] = None,
    max_waiting: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="requests that may wait in line")
    ] = 64,
) -> int:
    """Serve the model over HTTP, as OpenAI's API and llama-server's."""
    from aigc_cli.cli.adapters import try_adapters, wanted_adapters
    from aigc_cli.engine.adapted import adapted
    from aigc_cli.serve.adapters import ServedAdapters
    from aigc_cli.serve.app import ServeOptions  # starlette and uvicorn: 0.2 s that --help must not pay
    from aigc_cli.serve.listening import bind

    app = app_context(ctx)
    # what is served is a model of this process, whatever engine the other commands ask
    settings = replace(app.resolve_settings(flags).settings, base_url=None, resident=False)
    rules = _rules(host, _api_key(app, api_key, api_key_file), allow_host or [], allow_origin or [])
    adapters = wanted_adapters(app, settings)
    plain = replace(settings, lora=())  # each request says which of them it wants
    with bind(host, port) as address, closing(app.open_engine(plain)) as engine:
        if adapters:
            try_adapters(adapted(engine, adapters))
        options = ServeOptions(
            app.clock, app.now, rules, max_waiting, partial(_tell_of_bug, app),
            private=not settings.history, adapters=ServedAdapters(adapters),
        )  # fmt: skip
        return _serve_until_stopped(app, engine, address, options)


def _serve_until_stopped(
    app: AppContext, engine: "Engine", address: "socket.socket", options: "ServeOptions"
) -> int:
    from aigc_cli.serve.app import Service, serve_app
    from aigc_cli.serve.listening import HttpServer

    service = Service(engine, options)

    def on_stopping() -> None:
        """Say why the prompt does not come back at once."""
        if service.turns.is_busy:
            note(app, "the reply at work gets a moment to end; Ctrl-C cuts it")

    def on_ready() -> None:
        """Say where the server is."""
        _say_ready(app, engine, address, options.rules)

    server = HttpServer(serve_app(service), service.turns, on_ready, on_stopping)
    server.run([address])
    return ExitCode.INTERRUPTED if server.ended_by is signal.SIGINT else ExitCode.DONE


def _tell_of_bug(app: AppContext, error: BaseException) -> None:
    """Tell the person at the terminal what no client is told."""
    if app.env.get("AIGC_DEBUG", "0") not in ("", "0"):
        app.stderr.write("".join(traceback.format_exception(error)))
    note(app, f"a bug in aigc: {type(error).__name__}: {error}")


def _say_ready(app: AppContext, engine: "Engine", address: "socket.socket", rules: "Rules") -> None:
    host, port = address.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    note(app, f"{engine.info.model} at {url}/v1, context window {engine.info.n_ctx:,} tokens; Ctrl-C ends it")
    key = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if rules.api_key else ""
    body = '{"messages": [{"role": "user", "content": "hello"}]}'
    note(app, f"try: curl {url}/v1/chat/completions{key} -d '{body}'")


def _rules(host: str, api_key: str | None, allowed_hosts: list[str], origins: list[str]) -> "Rules":
    """What is let through.

    Raises:
        UsageError: others could use the model without a key.
    """
    from aigc_cli.serve.guard import Rules

    if _is_this_machine(host):
        names: tuple[str, ...] | None = (host.lower(), *(name.lower() for name in allowed_hosts))
    elif api_key is None:
        raise UsageError(
            f"others could use the model through {host} without a key",
            f"set ${KEY_VARIABLE} or give --api-key-file, or leave --host out",
        )
    else:
        names = None  # the key keeps strangers out, whatever name they ask for
    if "*" in origins and api_key is None:
        raise UsageError("any page in a browser could use the model", "name the origin, or set an API key")
    return Rules(api_key=api_key, host_names=names, origins=tuple(origins))


def _is_this_machine(host: str) -> bool:
    if host.lower() == _LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _api_key(app: AppContext, given: str | None, path: Path | None) -> str | None:
    """The key to ask for, None for none.

    Raises:
        FileError: the file can't be read, or others may read it.
        UsageError: two keys, or none that a header can carry.
    """
    if given is not None and path is not None:
        raise UsageError("--api-key and --api-key-file exclude each other", "give one of them")
    key = given if given is not None else _key_in_file(app, path) if path else app.env.get(KEY_VARIABLE)
    if key is None or (key == "" and given is None and path is None):
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("the API key is empty or holds what no header can carry", "use letters and digits")
    return key


def _key_in_file(app: AppContext, path: Path) -> str:
    try:
        text = (app.cwd / path.expanduser()).read_text(encoding="utf-8")
        mode = (app.cwd / path.expanduser()).stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"{path}: {getattr(error, 'strerror', None) or 'no text'}", "name a file that holds the key"
        ) from error
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        note(app, f"others on this machine can read {path}: chmod 600 {path}")
    return text.partition("\n")[0].strip()
