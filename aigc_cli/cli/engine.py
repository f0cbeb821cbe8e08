"""`aigc engine`: the model that stays loaded in the background."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import LOADING, Flags, app_context, setting_options
from aigc_cli.cli.report import note
from aigc_cli.cli.setting_text import setting_lines
from aigc_cli.errors import ExitCode, UsageError
from aigc_cli.render.console import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigc_cli.serve.socket_place import SocketPlace

Report = dict[str, Any]

engine_app = typer.Typer(help="Look at the model that stays loaded in the background.", rich_markup_mode=None)

_MEGABYTE = 1e6
_MINUTE_S, _HOUR_S = 60, 3600


@engine_app.callback(invoke_without_command=True)
def engine(ctx: typer.Context) -> int:
    """Look at the model that stays loaded in the background, start and stop it; alone: status."""
    return status(ctx) if ctx.invoked_subcommand is None else ExitCode.DONE


@engine_app.command()
def status(
    ctx: typer.Context,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON array, an object for each engine")
    ] = False,
) -> int:
    """Which models are loaded, the memory they take, and what they did."""
    from aigc_cli.serve.stopping import engine_reports

    app = app_context(ctx)
    reports = engine_reports(_place(app))
    if as_json:
        app.stdout.write(json.dumps(reports, ensure_ascii=False, indent=2) + "\n")
        return ExitCode.DONE
    for report in reports:
        app.stdout.write(sanitize("\n".join(_lines(report))) + "\n")
    if not reports:
        app.stdout.write("no engine runs\n")
    return ExitCode.DONE


@engine_app.command()
@setting_options(*LOADING)
def start(ctx: typer.Context, *, flags: Flags) -> int:
    """Load the model now, so that the next command finds it loaded."""
    app = app_context(ctx)
    _start(app, flags)
    return ExitCode.DONE


@engine_app.command()
@setting_options(*LOADING)
def stop(ctx: typer.Context, *, flags: Flags) -> int:
    """Stop the engines, or only the one that the options mean; a reply at work ends."""
    app = app_context(ctx)
    _stop(app, flags)
    return ExitCode.DONE


@engine_app.command()
@setting_options(*LOADING)
def restart(ctx: typer.Context, *, flags: Flags) -> int:
    """Stop the engines, or only the one that the options mean, and start that one."""
    app = app_context(ctx)
    _stop(app, flags)
    _start(app, flags)
    return ExitCode.DONE


@engine_app.command()
@setting_options(*LOADING)
def log(
    ctx: typer.Context,
    *,
    n_lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=1, help="how many lines")] = 40,
    flags: Flags,
) -> int:
    """The last lines that the engine wrote: of the newest log, or of the engine that the options mean."""
    from aigc_cli.serve.engine_log import newest_log, tail

    app = app_context(ctx)
    place = _place(app)
    named = [place.log(name) for name in _named(app, flags)]
    path = named[0] if named else newest_log(place.logs)
    if path is None or not path.exists():
        raise UsageError("there is no log: no engine has run here", "aigc engine start")
    note(app, str(path))
    app.stdout.write("".join(f"{sanitize(line)}\n" for line in tail(path).splitlines()[-n_lines:]))
    return ExitCode.DONE


@engine_app.command()
def cache(
    ctx: typer.Context,
    action: Annotated[
        str | None, typer.Argument(metavar="[clear]", help="delete what is kept, of all models")
    ] = None,
) -> int:
    """How much of what models have read is kept on disk, and where."""
    from aigc_cli.engine.kv_store import clear_store, store_size

    app = app_context(ctx)
    if action not in (None, "clear"):
        raise UsageError(f"cache can be cleared, not {action!r}", "aigc engine cache clear")
    directory = app.directories.kv
    size = clear_store(directory) if action else store_size(directory)
    files = f"{size.n_files:,} file{'s' * (size.n_files != 1)}, {size.n_bytes / _MEGABYTE:,.0f} MB"
    if action:
        note(app, f"deleted: {files}")
    else:
        app.stdout.write(f"{files}: {directory}\n")
    return ExitCode.DONE


def _start(app: AppContext, flags: Flags) -> None:
    from aigc_cli.cli.resident_engine import open_resident_engine

    engine = open_resident_engine(app, app.resolve_settings(flags).settings)
    note(app, f"{engine.info.model} is loaded, a window of {engine.info.n_ctx:,} tokens")
    engine.close()


def _stop(app: AppContext, flags: Flags) -> None:
    from aigc_cli.serve.stopping import stop_all

    n_stopped = stop_all(_place(app), _named(app, flags))
    note(app, f"{n_stopped} engine{'s' * (n_stopped > 1)} stopped" if n_stopped else "no engine ran")


def _named(app: AppContext, flags: Flags) -> list[str]:
    """The engine that the options mean; none when there are no options."""
    if all(value is None for value in flags.values()):
        return []
    from aigc_cli.cli.resident_place import resident_launch

    return [resident_launch(app, app.resolve_settings(flags).settings).name]


def _place(app: AppContext) -> "SocketPlace":
    from aigc_cli.cli.resident_place import socket_place

    return socket_place(app)


def _lines(report: Report) -> "Iterator[str]":
    if "model" not in report:
        yield f"{report['name']}: {report['state']} (process {report['pid']}); aigc engine stop ends it"
        return
    window = f", a window of {report['n_ctx']:,} tokens" if "n_ctx" in report else ""
    yield f"{report['model']}{window}: {report['state']}"
    memory = f"{report['memory_bytes'] / _MEGABYTE:,.0f} MB"
    yield f"  process    {report['pid']}, {memory}, up {_duration(report['uptime_s'])}, {_leaves(report)}"
    if "replies" not in report:
        return
    if "setting" in report:  # an engine of an older aigc does not tell
        yield from setting_lines(report["setting"], "  setting    ")
    yield f"  replies    {report['replies']:,}; {report['waiting']:,} requests wait"
    yield (
        f"  tokens     {report['prompt_tokens']:,} of prompts, {report['cached_tokens']:,} of them cached;"
        f" {report['reply_tokens']:,} of replies"
    )
    if "held_prefixes" in report:  # an engine of an older aigc does not tell
        yield f"  held       {_held(report)}"
    if report.get("draft_model"):
        yield f"  guesses    by {report['draft_model']}, a smaller model"
    if report.get("adapters"):  # as above
        yield f"  adapters   {', '.join(Path(path).name for path in report['adapters'])}"
    prefill, decode = report["prefill_tokens_per_s"], report["decode_tokens_per_s"]
    if prefill and decode:
        yield f"  speed      {prefill:,.0f} tok/s of prompts, {decode:,.1f} tok/s of replies"


def _held(report: Report) -> str:
    held, saved_bytes = report["held_prefixes"], report["saved_bytes"]
    prefixes = f"{len(held)} prefix{'es' * (len(held) != 1)} of {sum(held):,} tokens"
    disk = "" if saved_bytes is None else f"; on disk {saved_bytes / _MEGABYTE:,.0f} MB"
    return f"{prefixes}, in a cache of {report['cells']:,}{disk}"


def _leaves(report: Report) -> str:
    keep_alive_s = report["keep_alive_s"]
    if keep_alive_s < 0:
        return "stays"
    return f"leaves after {_duration(keep_alive_s)} without work, idle for {_duration(report['idle_s'])}"


def _duration(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
