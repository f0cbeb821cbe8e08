"""`aigc sessions`: list, show, search, export, rename, rm."""

import json
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import app_context
from aigc_cli.cli.report import note
from aigc_cli.cli.yes_no import ask_yes
from aigc_cli.errors import ExitCode, SessionError, UsageError
from aigc_cli.render.console import window_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aigc_cli.chat.store import Found, Kept, SessionStore, Summary

sessions_app = typer.Typer(help="Conversations that were kept.", rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="a session; the beginning of its id will do")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text")]
Limit = Annotated[
    int, typer.Option("-n", "--limit", metavar="N", min=0, help="at most this many, the newest; 0 is all")
]
N_LISTED = 30


@sessions_app.callback(invoke_without_command=True)
def sessions(ctx: typer.Context) -> int:
    """Conversations that were kept; alone: list."""
    return list_(ctx) if ctx.invoked_subcommand is None else ExitCode.DONE


@sessions_app.command("list")
def list_(ctx: typer.Context, *, limit: Limit = N_LISTED, as_json: AsJson = False) -> int:
    """The newest sessions: id, age, questions, model, title."""
    app = app_context(ctx)
    with _store(app) as store:
        found = store.summaries(limit + 1 if limit else None) if store else []
    if not found and not as_json:
        note(app, "there is no session yet; aigc begins one")
    _write_sessions(app, found, limit, as_json=as_json)
    return ExitCode.DONE


@sessions_app.command()
def search(
    ctx: typer.Context,
    words: Annotated[
        list[str], typer.Argument(metavar="WORD", help="one turn, or the title, holds them all")
    ],
    *,
    limit: Limit = N_LISTED,
    as_json: AsJson = False,
) -> int:
    """Sessions in which these words were said, the newest first."""
    app = app_context(ctx)
    with _store(app) as store:
        found = store.search(" ".join(words), limit + 1 if limit else None) if store else []
    if not found and not as_json:
        note(app, f"no session holds {' '.join(words)!r}")
    _write_sessions(app, found, limit, as_json=as_json)
    return ExitCode.DONE if found else ExitCode.FAILURE


@sessions_app.command()
def show(ctx: typer.Context, session: Id) -> int:
    """Read a session: rendered on a terminal, Markdown in a pipe."""
    from aigc_cli.events import Delta
    from aigc_cli.render.view import open_view

    app = app_context(ctx)
    kept = _load(app, session)
    view = open_view(app.stdout, app.env, app.resolve_settings({}).settings)
    view.show(Delta(_as_markdown(kept)))
    view.close()
    return ExitCode.DONE


@sessions_app.command()
def export(
    ctx: typer.Context,
    session: Id,
    *,
    format_: Annotated[
        Literal["md", "json"] | None,
        typer.Option("--format", help="md, or json with all that went to the model; else by the file's name"),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="write to this file")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file")] = False,
) -> int:
    """A session as Markdown or JSON, to stdout or into a file."""
    from aigc_cli.tasks.workspace import named_path, refuse_bad_target, write_atomic

    app = app_context(ctx)
    kept = _load(app, session)
    is_json = format_ == "json" or (format_ is None and (output or "").lower().endswith(".json"))
    text = _as_json(kept) if is_json else _as_markdown(kept)
    if output in (None, "-"):
        app.stdout.write(text)
        return ExitCode.DONE
    path = named_path(output or "", app.cwd)
    refuse_bad_target(path, output or "", overwrite=force)
    write_atomic(path, text, output or "")
    note(app, f"wrote {output}")
    return ExitCode.DONE


@sessions_app.command()
def rename(
    ctx: typer.Context,
    session: Id,
    title: Annotated[list[str], typer.Argument(metavar="TITLE", help="'' is its first question again")],
) -> int:
    """Give a session a title."""
    app = app_context(ctx)
    with _store(app) as store:
        summary = _existing(store, session).find(session)
        _existing(store, session).rename(summary.id, " ".join(title))
        renamed = _existing(store, session).find(summary.id)
    note(app, f"{renamed.id} is called {renamed.title!r}")
    return ExitCode.DONE


@sessions_app.command()
def rm(
    ctx: typer.Context,
    session: Annotated[list[str], typer.Argument(metavar="ID", help="sessions; beginnings of ids will do")],
    *,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="don't ask")] = False,
) -> int:
    """Delete sessions."""
    app = app_context(ctx)
    with _store(app) as store:
        found = [_existing(store, each).find(each) for each in session]  # a bad id deletes nothing
        for summary in found:
            if not yes and not _confirmed(app, summary):
                note(app, f"{summary.id} was kept")
                return ExitCode.FAILURE
            _existing(store, summary.id).remove(summary.id)
            note(app, f"{summary.id} was deleted")
    return ExitCode.DONE


@contextmanager
def _store(app: AppContext) -> "Iterator[SessionStore | None]":
    from aigc_cli.cli.keeping import (
        open_as_possible,
        sessions_file,
    )  # sqlite3: 10 ms that --help must not pay

    # a list is no reason to make a file
    store = open_as_possible(app, lambda text: note(app, text)) if sessions_file(app).exists() else None
    try:
        yield store
    finally:
        if store:
            store.close()


def _existing(store: "SessionStore | None", session: str) -> "SessionStore":
    if store is None:
        raise SessionError(f"no session {session!r}", "there is no session yet")
    return store


def _load(app: AppContext, session: str) -> "Kept":
    with _store(app) as store:
        return _existing(store, session).load(session)


def _write_sessions(
    app: AppContext, found: "Sequence[Summary | Found]", limit: int, *, as_json: bool
) -> None:
    from aigc_cli.cli.session_list import session_lines

    shown = found[:limit] if limit else found
    if as_json:
        app.stdout.write(json.dumps([_facts(each) for each in shown], ensure_ascii=False, indent=2) + "\n")
    elif shown:
        columns = window_size(app.stdout).columns if app.stdout.isatty() else None
        app.stdout.writelines(f"{line}\n" for line in session_lines(shown, app.now(), columns))
    if len(shown) < len(found):
        note(app, f"these are the newest {limit}; -n 0 lists all")


def _facts(each: "Summary | Found") -> dict[str, Any]:
    from aigc_cli.chat.store import Found

    summary = each.summary if isinstance(each, Found) else each
    times = {name: _iso(getattr(summary, name)) for name in ("created", "updated")}
    excerpt = {"excerpt": each.excerpt} if isinstance(each, Found) else {}
    return {**asdict(summary), **times, **excerpt}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _as_markdown(kept: "Kept") -> str:
    from aigc_cli.chat.transcript import as_markdown

    turns = [entry.turn for entry in kept.entries]
    return f"# {kept.summary.title}\n\n{as_markdown(turns)}"


def _as_json(kept: "Kept") -> str:
    from aigc_cli.chat.transcript import as_json

    content = {**_facts(kept.summary), **json.loads(as_json(kept.conversation))}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _confirmed(app: AppContext, summary: "Summary") -> bool:
    if not app.stdin.isatty():
        raise UsageError("deleting a session needs a yes, and there is no terminal to ask on", "add --yes")
    return ask_yes(app, f"delete {summary.id}, {summary.title!r}, {summary.n_turns} turns?")
