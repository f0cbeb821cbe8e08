"""`aigc models tune`: measures how this machine runs a model best, and shows it as a table."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aigc_cli.cli.columns import write_columns
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import app_context
from aigc_cli.cli.report import note
from aigc_cli.cli.setting_text import describe
from aigc_cli.engine.tuning import Measured, Setting, Shape, Tuning, Use, best, worth_keeping
from aigc_cli.errors import AigcError, ExitCode, FileError, Interrupted, ModelError
from aigc_cli.models.catalog import load_catalog
from aigc_cli.models.choose import locate
from aigc_cli.models.store import ModelStore, StoredModel
from aigc_cli.render.console import detect_traits, sanitize, window_size

if TYPE_CHECKING:
    from aigc_cli.engine.placement import Device
    from aigc_cli.engine.tuning_search import Search
    from aigc_cli.engine.tuning_store import TuningStore
    from aigc_cli.models.machine import Machine

Found = TypeVar("Found")

LIMIT_S = 60
AT_ONCE_S = 20.0  # what a person may be kept waiting for after a pull, unasked
_MEGABYTE = 1e6
_TITLES = ("SETTING", "PREFILL", "DECODE", "LOAD", "MEMORY", "CHOSEN")
_DROPPABLE = (4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model on this machine."""

    model: StoredModel
    machine: "Machine"
    devices: "Sequence[Device]"
    store: "TuningStore"
    shape: Shape
    default: Setting


def tune(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="a model; without: the one that answers")
    ] = None,
    *,
    limit: Annotated[
        int, typer.Option(metavar="SECONDS", min=5, max=600, help="take no longer than this")
    ] = LIMIT_S,
    forget: Annotated[bool, typer.Option("--forget", help="go back to the defaults")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table")] = False,
) -> int:
    """Measure which settings of llama.cpp run a model best on this machine, and use them from then on."""
    app = app_context(ctx)
    subject = subject_of(app, _stored(app, name))
    if forget:
        return _forget(app, subject)
    tuning = measure(app, subject, float(limit), _whole_search)
    conclude(app, subject, tuning, as_json=as_json)
    return ExitCode.DONE


def conclude(app: AppContext, subject: Subject, tuning: Tuning, *, as_json: bool) -> None:
    """Show what was measured, keep it if it is worth that, and say what the model runs with from then on.

    Raises:
        FileError: it can't be written.
    """
    kept = worth_keeping(subject.store.read(subject.model.path), tuning)
    if kept is tuning:
        _keep(subject, tuning)
    if as_json:
        app.stdout.write(json.dumps(_facts(subject, tuning, kept), ensure_ascii=False, indent=2) + "\n")
    else:
        write_columns(app, [_TITLES, *_rows(tuning.measured, _chosen(subject, kept))], _DROPPABLE)
    _tell(app, subject, tuning, kept)


def tune_after_pull(app: AppContext, model: StoredModel) -> None:
    """Tune a model that has just come, when that is soon done and somebody watches; else name the command."""
    if not app.stderr.isatty():
        return
    try:
        subject = subject_of(app, model)
        tuning = measure(app, subject, float(LIMIT_S), _short_search)
        if tuning is None:
            note(app, f"aigc models tune {model.name} finds its fastest settings here, in a minute at most")
            return
        if tuning.is_doubtful:
            note(
                app, f"{model.name} was not tuned, other programs are at work: aigc models tune {model.name}"
            )
            return
        _keep(subject, tuning)
    except Interrupted:
        note(app, f"{model.name} runs with the default settings; aigc models tune {model.name} finds better")
    except AigcError as error:  # the pull is done, whatever this was
        note(app, f"{model.name} was not tuned: {error.message}")
    else:
        _tell(app, subject, tuning, tuning)


def _stored(app: AppContext, name: str | None) -> StoredModel:
    from aigc_cli.models.machine import this_machine

    catalog = load_catalog()
    settings = app.resolve_settings({"model": name}).settings
    found = locate(settings.model, catalog, ModelStore(app.directories.models, catalog), this_machine())
    if isinstance(found, StoredModel):
        return found
    raise ModelError(f"{found.name} is not on disk", f"aigc models pull {found.name}")


def subject_of(app: AppContext, model: StoredModel) -> Subject:
    """The model on the machine as it is now, and where its measurements are kept."""
    from aigc_cli.engine.connect import default_setting, devices, machine_with, tuning_store
    from aigc_cli.engine.tuning_store import read_shape

    found = devices()
    machine = machine_with(found)
    directory = app.directories.tuning
    store = tuning_store(directory, found, machine)
    default = default_setting(app.resolve_settings({}).settings, machine)
    return Subject(model, machine, found, store, read_shape(directory), default)


def _forget(app: AppContext, subject: Subject) -> int:
    try:
        existed = subject.store.forget(subject.model.path)
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}") from error
    name = subject.model.name
    note(app, f"{name} runs with the default settings again" if existed else f"{name} was not tuned")
    return ExitCode.DONE


def _keep(subject: Subject, tuning: Tuning) -> None:
    try:
        subject.store.write(subject.model.path, subject.model.name, tuning)
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}", "the measurements were not kept") from error


def _whole_search(search: "Search") -> Tuning:
    search.probe()
    return search.run()


def _short_search(search: "Search") -> Tuning | None:
    """None when a first look says that it would take too long for somebody who did not ask for it."""
    return search.run() if search.probe() <= AT_ONCE_S else None


def measure(app: AppContext, subject: Subject, limit_s: float, work: Callable[["Search"], Found]) -> Found:
    """Measure in a thread of its own: Ctrl-C, which is raised in this one, ends it.

    Raises:
        ModelError: the model can't be loaded.
        Interrupted: Ctrl-C.
    """
    from aigc_cli.engine.tuning_plan import plan_search  # llama.cpp, 0.2 s
    from aigc_cli.engine.tuning_search import OutOfTime

    settings, model = app.resolve_settings({}).settings, subject.model
    with _progress(app, model.name, limit_s) as show:
        plan = plan_search(
            settings,
            model.path,
            subject.devices,
            subject.machine,
            clock=app.clock,
            limit_s=limit_s,
            on_trial=lambda setting: show(describe(setting)),
        )
        with plan, ThreadPoolExecutor(max_workers=1, thread_name_prefix="llama.cpp") as worker:
            try:
                return worker.submit(work, plan.search).result()
            except KeyboardInterrupt:
                raise Interrupted("tuning was interrupted", "nothing has changed") from None
            except OutOfTime:
                raise ModelError(
                    f"{model.name} can't be measured in {limit_s:.0f} s", "aigc models tune --limit 600"
                ) from None
            finally:
                plan.stop()


@contextmanager
def _progress(app: AppContext, name: str, limit_s: float) -> Iterator[Callable[[str], None]]:
    """One line on stderr that says what is measured, gone at the end; elsewhere one line in all."""
    moves = detect_traits(app.stderr, app.env, "auto").moves_cursor
    if not moves:
        note(app, f"tuning {name}: at most {limit_s:.0f} s")
        yield lambda _text: None
        return
    started_s = app.clock()

    def show(text: str) -> None:
        """Say what is measured now."""
        line = f"tuning {name}: {app.clock() - started_s:.0f} of at most {limit_s:.0f} s, {text}"
        room = window_size(app.stderr).columns - 1  # a line that wraps can't be erased
        app.stderr.write(f"\r\x1b[K{sanitize(line)[:room]}")
        app.stderr.flush()

    try:
        yield show
    finally:
        app.stderr.write("\r\x1b[K")
        app.stderr.flush()


def _chosen(subject: Subject, tuning: Tuning) -> Mapping[Use, Measured]:
    return {use: best(tuning.measured, use, subject.shape, subject.default) for use in Use}


def _rows(measured: Sequence[Measured], chosen: Mapping[Use, Measured]) -> Iterator[tuple[str, ...]]:
    for one in measured:
        yield (
            describe(one.setting),
            f"{one.prefill_tokens_per_s:,.1f} tok/s",
            f"{one.decode_tokens_per_s:,.1f} tok/s",
            f"{one.load_s:.2f} s",
            f"{one.memory_bytes / _MEGABYTE:,.0f} MB",
            ", ".join(use.value for use, winner in chosen.items() if winner is one),
        )


def _facts(subject: Subject, tuning: Tuning, kept: Tuning) -> dict[str, Any]:
    chosen = _chosen(subject, kept)
    rows = [
        {**asdict(one), "chosen_for": [use.value for use, winner in chosen.items() if winner is one]}
        for one in tuning.measured
    ]
    return {
        "model": subject.model.name,
        "file": str(subject.store.path(subject.model.path)),
        "on_gpu": tuning.on_gpu,
        "took_s": tuning.took_s,
        "busy": tuning.busy,
        "kept": kept is tuning,
        "shape": asdict(subject.shape),
        "measured": rows,
    }


def _tell(app: AppContext, subject: Subject, tuning: Tuning, kept: Tuning) -> None:
    """Say what the model runs with by what is kept, for what that is best, and what speaks against it."""
    winner = _chosen(subject, kept)[Use.RESIDENT]
    n_prompt, n_reply = subject.shape.n_prompt, subject.shape.n_reply
    when = f"in {tuning.took_s:.0f} s" if kept is tuning else "before"
    note(
        app,
        f"{subject.model.name} runs with: {describe(winner.setting)}; best for {n_prompt:,} tokens to read"
        f" and {n_reply:,} to write, measured {when}",
    )
    if tuning.is_doubtful:
        share = f"{100 * tuning.busy:.0f} % of the processor"
        note(app, f"other programs took {share} meanwhile: tune again when the machine is quiet")
    if kept is not tuning:
        forget = f"aigc models tune {subject.model.name} --forget"
        note(app, f"until then, what was measured on a quieter machine stays; or drop it first: {forget}")
        return
    from aigc_cli.cli.resident_place import socket_place

    if socket_place(app).names():
        note(app, "an engine that is loaded keeps its settings until it ends: aigc engine restart")
