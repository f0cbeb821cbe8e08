"""`aigc doctor`: what this machine, this build and this model can do together."""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aigc_cli import __version__
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import ENGINE, Flags, app_context, setting_options
from aigc_cli.cli.setting_text import setting_lines, threads_text
from aigc_cli.config import Settings
from aigc_cli.engine.tuning import value_origins
from aigc_cli.errors import AigcError, ExitCode
from aigc_cli.models.catalog import ModelSpec, load_catalog
from aigc_cli.models.choose import locate
from aigc_cli.models.store import ModelStore, StoredModel
from aigc_cli.render.console import sanitize

if TYPE_CHECKING:
    from aigc_cli.engine.diagnosis import LibraryReport, ModelReport

_GIGABYTE = 1e9


@setting_options(*(name for name in ENGINE if name != "lora"))
def doctor(
    ctx: typer.Context,
    flags: Flags,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> int:
    """Show devices, build flags, threads and what the model needs here; exit 3 if it can't run."""
    from aigc_cli.engine.diagnosis import gpu_advice, inspect_library, inspect_model

    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    library = inspect_library()
    model, found, server, problem = None, None, None, None
    try:
        if settings.base_url:
            server = _ask_server(app, settings)
        else:
            model = _locate(app, settings, library)
        if isinstance(model, StoredModel):
            found = inspect_model(settings, model, library, app.directories.tuning)
    except AigcError as error:
        problem = error
    if as_json:
        facts = _facts(app, library, model, found)
        facts |= {"server": server, "problem": problem.message if problem else None}
        app.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    else:
        summary, *builds = gpu_advice(library)
        gpu = (f"GPU        {summary}", *(f"           {line}" for line in builds))
        origin = app.resolve_settings(flags).origins["base_url"]
        engine = (*_engine_lines(settings, origin, server), *_model_lines(model, found))
        lines = (*_library_lines(library), *gpu, *engine, *_place_lines(app))
        app.stdout.write(sanitize("\n".join(lines)) + "\n")
    if problem:
        raise problem
    return ExitCode.DONE


def _locate(app: AppContext, settings: Settings, library: "LibraryReport") -> StoredModel | ModelSpec:
    catalog = load_catalog()
    return locate(settings.model, catalog, ModelStore(app.directories.models, catalog), library.machine)


def _ask_server(app: AppContext, settings: Settings) -> dict[str, Any]:
    """What the server of `base_url` is."""
    from contextlib import closing

    from aigc_cli.cli.remote_engine import open_remote_engine  # sockets: only a server needs them

    with closing(open_remote_engine(app, settings)) as engine:
        info = engine.info
        return {"kind": engine.dialect.name, "model": info.model, "context": info.n_ctx}


def _engine_lines(settings: Settings, origin: str, server: dict[str, Any] | None) -> Iterator[str]:
    """Where the model runs."""
    if not settings.base_url:
        where = "in the background: aigc engine" if settings.resident else "in each command's own process"
        yield f"engine     llama.cpp on this machine, {where}"
        return
    yield f"engine     the server at {settings.base_url} (base_url from {origin})"
    if server:
        window = f"a window of {server['context']:,} tokens"
        yield f"           {server['kind']}, model {server['model']}, {window}"


def _library_lines(library: "LibraryReport") -> Iterator[str]:
    system = f"{platform.system()} {platform.machine()}"
    yield f"aigc       {__version__}, Python {platform.python_version()}, {system}"
    yield f"llama.cpp  llama-cpp-python {library.version}"
    for backend, features in library.features.items():
        yield f"           {backend}: {features}"
    machine = library.machine
    free = f"{_gb(machine.available_bytes)} of {_gb(machine.memory_bytes)} free"
    yield f"machine    {machine.n_cores} cores, {free}"
    for device in library.devices:
        kind = "GPU" if device.is_gpu else "CPU"
        yield f"device     {device.name} ({kind}): {device.description}, {_gb(device.free_bytes)} free"


def _model_lines(model: StoredModel | ModelSpec | None, found: "ModelReport | None") -> Iterator[str]:
    match model:
        case ModelSpec():
            yield f"model      {model.name}, not on disk yet: aigc models pull {model.name}"
        case StoredModel():
            yield f"model      {model.name}, {_gb(model.size_bytes)}: {model.path}"
        case None:
            return
    if found is None:
        return
    memory = found.memory
    yield f"runs       {found.placement.reason}, {threads_text(found.choice.setting)}"
    values = value_origins(found.choice.setting, found.choice.origins)
    yield from setting_lines(values, "setting    ")
    yield f"context    up to {found.placement.n_ctx:,} tokens"
    yield (
        f"memory     {_gb(memory.total_bytes)} with a full window: weights {_gb(memory.weights_bytes)},"
        f" KV cache {_gb(memory.kv_bytes)}, buffers {_gb(memory.compute_bytes)}"
    )


def _place_lines(app: AppContext) -> Iterator[str]:
    directories = app.directories
    yield f"models     {directories.models}"
    yield f"settings   {directories.config_file}"


def _run_facts(found: "ModelReport") -> dict[str, Any]:
    return {
        "placement": asdict(found.placement),
        "n_threads": found.choice.setting.n_threads,
        "memory": asdict(found.memory),
        "setting": value_origins(found.choice.setting, found.choice.origins),
    }


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / _GIGABYTE:.1f} GB"


def _facts(
    app: AppContext,
    library: "LibraryReport",
    model: StoredModel | ModelSpec | None,
    found: "ModelReport | None",
) -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "llama_cpp_python": library.version,
        "supports_gpu": library.supports_gpu,
        "features": dict(library.features),
        "machine": asdict(library.machine),
        "devices": [asdict(device) for device in library.devices],
        "model": model.name if model else None,
        "model_path": str(model.path) if isinstance(model, StoredModel) else None,
        "run": _run_facts(found) if found else None,
        "models_directory": str(app.directories.models),
        "config_file": str(app.directories.config_file),
    }
