"""`aigc models`: list, pull, info, verify, use, rm, tune."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.cli.columns import write_columns
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import app_context
from aigc_cli.cli.pulling import pull_with_progress, size_text, transfer_view
from aigc_cli.cli.report import note
from aigc_cli.cli.tune import tune, tune_after_pull
from aigc_cli.cli.yes_no import ask_yes
from aigc_cli.errors import ExitCode, InvalidModelFile, UsageError
from aigc_cli.models.catalog import ModelSpec, load_catalog
from aigc_cli.models.choose import DEFAULT_CONTEXT, fits, locate
from aigc_cli.models.gguf import read_header
from aigc_cli.models.machine import this_machine
from aigc_cli.models.source import Progress
from aigc_cli.models.store import ModelStore, StoredModel
from aigc_cli.render.console import sanitize

if TYPE_CHECKING:
    from aigc_cli.models.gguf import GgufHeader
    from aigc_cli.models.machine import Machine

__all__ = ["models_app", "pull_with_progress"]

models_app = typer.Typer(help="Models: what is known, what is on disk.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="a name from `aigc models list`")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text")]
CONTEXTS = (4_096, 8_192, 16_384, 32_768, 131_072)  # tokens that `info` estimates the memory for


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list.

    Attributes:
        fits: in this machine's memory, with a context of 8,192 tokens; None when the file can't be read.
    """

    name: str
    size_bytes: int
    licence: str | None
    commercial_use: bool | None
    n_ctx_train: int | None
    on_disk: bool
    fits: bool | None
    is_default: bool


@models_app.callback(invoke_without_command=True)
def models(ctx: typer.Context) -> int:
    """Models: what is known, what is on disk; alone: list."""
    return list_(ctx) if ctx.invoked_subcommand is None else ExitCode.DONE


@models_app.command("list")
def list_(ctx: typer.Context, *, as_json: AsJson = False) -> int:
    """Known and stored models: size, licence, context, whether they are on disk and fit in memory."""
    app = app_context(ctx)
    rows = _rows(_store(app), this_machine())
    if as_json:
        _write(app, json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2))
        return ExitCode.DONE
    _write_table(app, rows)
    if any(row.is_default for row in rows):
        note(app, "* answers when no model is named; aigc models use NAME changes it")
    return ExitCode.DONE


@models_app.command()
def pull(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="a name, hf:OWNER/REPO[:FILE or QUANT], an address, or a file"),
    ],
) -> int:
    """Get a model: resumes, verifies, and keeps it."""
    app = app_context(ctx)
    held = {model.path for model in _store(app).list()}
    model = pull_with_progress(app, reference)
    _write(app, str(model.path))
    if model.path not in held:
        tune_after_pull(app, model)
    return ExitCode.DONE


@models_app.command()
def info(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="a model, or a GGUF file")],
    *,
    as_json: AsJson = False,
) -> int:
    """What a model is, and the memory that it takes."""
    app = app_context(ctx)
    catalog = load_catalog()
    found = locate(name, catalog, ModelStore(app.directories.models, catalog), this_machine())
    facts = _spec_facts(found) if isinstance(found, ModelSpec) else _file_facts(found)
    if as_json:
        _write(app, json.dumps(facts, ensure_ascii=False, indent=2))
        return ExitCode.DONE
    for key, value in facts.items():
        if value is not None:
            _write(
                app, sanitize(f"{key.removesuffix('_bytes').replace('_', ' '):<14} {_fact_text(key, value)}")
            )
    return ExitCode.DONE


@models_app.command()
def verify(ctx: typer.Context, name: Name) -> int:
    """Check a stored model's header and SHA-256."""
    app = app_context(ctx)
    store = _store(app)
    with transfer_view(app) as view:
        was_known = store.verify(name, lambda done, total: view.show(Progress("verify", name, done, total)))
    model = store.require(name)
    verdict = "as expected" if was_known else "kept for the next time: there was none to compare with"
    _write(app, sanitize(f"{model.name}: SHA-256 {model.sha256}, {verdict}"))
    return ExitCode.DONE


@models_app.command()
def use(ctx: typer.Context, name: Name) -> int:
    """Answer with this model when none is named."""
    app = app_context(ctx)
    model = _store(app).set_default(name)
    note(app, f"{model.name} answers from now on when no model is named")
    return ExitCode.DONE


@models_app.command()
def rm(
    ctx: typer.Context,
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="don't ask")] = False,
) -> int:
    """Delete a stored model."""
    app = app_context(ctx)
    store = _store(app)
    model = store.require(name)
    if not yes and not _confirmed(app, f"delete {model.name} ({size_text(model.size_bytes)}, {model.path})?"):
        note(app, f"{model.name} was kept")
        return ExitCode.FAILURE
    store.remove(name)
    note(app, f"{model.name} was deleted")
    return ExitCode.DONE


models_app.command("tune")(tune)


def _store(app: AppContext) -> ModelStore:
    return ModelStore(app.directories.models)


def _write(app: AppContext, line: str) -> None:
    app.stdout.write(line + "\n")


def _confirmed(app: AppContext, question: str) -> bool:
    if not app.stdin.isatty():
        raise UsageError("deleting a model needs a yes, and there is no terminal to ask on", "add --yes")
    return ask_yes(app, question)


def _rows(store: ModelStore, machine: "Machine") -> list[Row]:
    catalog = load_catalog()
    stored = store.list()
    answering = locate(None, catalog, store, machine)
    known = [
        _known_row(spec, next((m for m in stored if m.spec == spec), None), answering, machine)
        for spec in catalog
    ]
    others = [_stored_row(model, answering, machine) for model in stored if model.spec is None]
    return known + others


def _known_row(
    spec: ModelSpec, model: StoredModel | None, answering: StoredModel | ModelSpec, machine: "Machine"
) -> Row:
    return Row(
        name=spec.name,
        size_bytes=model.size_bytes if model else spec.expected_bytes,
        licence=spec.licence,
        commercial_use=spec.commercial_use,
        n_ctx_train=spec.n_ctx_train,
        on_disk=model is not None,
        fits=fits(spec.memory_bytes(min(DEFAULT_CONTEXT, spec.n_ctx_train)), machine),
        is_default=answering in (spec, model),
    )


def _stored_row(model: StoredModel, answering: StoredModel | ModelSpec, machine: "Machine") -> Row:
    try:
        header: GgufHeader | None = read_header(model.path)
    except InvalidModelFile:
        header = None  # still listed: `info` and `verify` say what is wrong with it
    return Row(
        name=model.name,
        size_bytes=model.size_bytes,
        licence=model.licence,
        commercial_use=None,
        n_ctx_train=header.n_ctx_train if header else None,
        on_disk=True,
        fits=fits(header.memory(min(DEFAULT_CONTEXT, header.n_ctx_train)).total_bytes, machine)
        if header
        else None,
        is_default=answering == model,
    )


def _write_table(app: AppContext, rows: Sequence[Row]) -> None:
    titles = ("NAME", "SIZE", "DISK", "FITS", "CONTEXT", "LICENCE")
    write_columns(app, [titles, *map(_cells, rows)], droppable=(5, 4, 3, 2, 1))


def _cells(row: Row) -> tuple[str, ...]:
    # What a person may do with it matters more here than its name, which `info` gives.
    licence = "non-commercial" if row.commercial_use is False else row.licence or "unknown"
    return (
        sanitize(row.name) + (" *" if row.is_default else ""),
        size_text(row.size_bytes),
        "yes" if row.on_disk else "no",
        {True: "yes", False: "no", None: "damaged"}[row.fits],
        f"{row.n_ctx_train:,}" if row.n_ctx_train else "?",
        sanitize(licence),
    )


Facts = dict[str, str | int | bool | dict[str, int] | None]


def _spec_facts(spec: ModelSpec) -> Facts:
    return {
        "name": spec.name,
        "on_disk": False,
        "parameters": spec.n_parameters,
        "quantization": spec.quantization,
        "size_bytes": spec.expected_bytes,
        "context": spec.n_ctx_train,
        "licence": spec.licence,
        "commercial_use": spec.commercial_use,
        "sources": ", ".join(source.label for source in spec.sources),
        "sha256": spec.sha256,
        "memory_bytes": {str(n): spec.memory_bytes(n) for n in CONTEXTS if n <= spec.n_ctx_train},
    }


def _file_facts(model: StoredModel) -> Facts:
    header = read_header(model.path)
    return {
        "name": model.name,
        "file": str(model.path),
        "on_disk": True,
        "architecture": header.architecture,
        "title": header.name,
        "parameters": header.n_parameters,
        "quantization": header.quantization,
        "size_bytes": header.size_bytes,
        "context": header.n_ctx_train,
        "layers": header.n_layers,
        "vocabulary": header.n_vocab,
        "chat_template": header.chat_template is not None,
        "licence": model.licence,
        "source": model.source,
        "sha256": model.sha256 or (model.spec.sha256 if model.spec else None),
        "memory_bytes": {str(n): header.memory(n).total_bytes for n in CONTEXTS if n <= header.n_ctx_train},
    }


def _fact_text(key: str, value: "str | int | bool | dict[str, int]") -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{size_text(n)} at {int(n_ctx):,} tokens" for n_ctx, n in value.items())
        case int() if key.endswith("_bytes"):
            return size_text(value)
        case int():
            return f"{value:,}"
        case _:
            return value
