"""Pulling a model in front of a person: what comes from where, and how far it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.report import note
from aigc_cli.errors import Interrupted
from aigc_cli.models.catalog import Catalog, load_catalog
from aigc_cli.models.source import Progress
from aigc_cli.models.store import ModelStore, StoredModel
from aigc_cli.models.web import WebFile
from aigc_cli.render.console import ColorDepth, detect_traits, sanitize, window_size

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import ProgressColumn

LINE_EVERY_PERCENT = 10  # on a stream that is no terminal
LABEL_COLUMNS = 24
WIDE = 78  # columns from which speed and time left have room
_PHASES = {
    "wait": "waiting for",
    "connect": "asking",
    "download": "downloading from",
    "verify": "verifying",
}


class TransferView(Protocol):
    """Shows how far a transfer is."""

    def show(self, progress: Progress) -> None:
        """Show one state, the newest."""
        ...


def pull_with_progress(app: AppContext, reference: str) -> StoredModel:
    """Pull a model, or find it on disk; tell on stderr what comes, how large, under which licence, where to.

    Raises:
        ModelError: it can't be had; the message says why.
        Interrupted: Ctrl-C; the same pull resumes.
    """
    from aigc_cli.models.pull import pull  # zipfile and subprocess: 30 ms that other commands need not pay

    catalog = load_catalog()
    store = ModelStore(app.directories.models, catalog)
    held = {model.path for model in store.list()}
    _announce(app, reference, catalog, store)
    try:
        with transfer_view(app) as view:
            model = pull(reference, catalog=catalog, store=store, env=app.env, on_progress=view.show)
    except KeyboardInterrupt:
        raise Interrupted("the pull was interrupted", f"aigc models pull {reference} resumes it") from None
    if model.path in held:
        note(app, f"{model.name} is already on disk: {model.path}")
    else:
        note(app, f"{model.name} is ready, {model.source}: SHA-256 {model.sha256}")
    return model


def _announce(app: AppContext, reference: str, catalog: Catalog, store: ModelStore) -> None:
    spec = catalog.find(reference)
    if spec is None:
        if reference.startswith(("hf:", "http://", "https://")):
            note(app, f"pulling {WebFile(reference).label} to {store.directory}")
        return
    if store.find(spec.name):
        return
    places = " or ".join(source.label for source in spec.sources)
    size = f"{'' if spec.size_bytes else 'about '}{size_text(spec.expected_bytes)}"
    note(app, f"pulling {spec.name}: {size}, licence {spec.licence}, from {places} to {store.directory}")
    if not spec.commercial_use:
        note(app, f"the licence of {spec.name} ({spec.licence}) does not allow commercial use")


def size_text(n_bytes: int) -> str:
    """A size for a person, in decimal units as download pages give it: "98 MB", "1.12 GB"."""
    for unit, digits, name in ((1e9, 2, "GB"), (1e6, 0, "MB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.{digits}f} {name}"
    return f"{n_bytes / 1e3:.0f} kB"


@contextmanager
def transfer_view(app: AppContext) -> Iterator[TransferView]:
    """A moving bar when stderr is a terminal that can move its cursor, else a line now and then."""
    traits = detect_traits(app.stderr, app.env, "auto")
    if not traits.moves_cursor:
        yield _Lines(app)
        return
    from rich import progress as rich_progress  # 60 ms; only a transfer on a terminal needs them
    from rich.console import Console

    width = window_size(app.stderr).columns
    columns: list[ProgressColumn] = [
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(None),
    ]
    columns += [rich_progress.TextColumn("{task.percentage:>3.0f} %")]
    if width >= WIDE:
        columns += [
            rich_progress.DownloadColumn(),
            rich_progress.TransferSpeedColumn(),
            rich_progress.TimeRemainingColumn(),
        ]
    console = Console(
        file=app.stderr, force_terminal=True, width=width, no_color=traits.depth is ColorDepth.NONE
    )
    with rich_progress.Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar)


class _Bar:
    """A rich progress bar, started again with each phase and source: the speed is that of one source."""

    def __init__(self, bar: "RichProgress") -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)
        self._shown = ("", "")

    def show(self, progress: Progress) -> None:
        """Move the bar."""
        if (progress.phase, progress.source) != self._shown:
            self._shown = (progress.phase, progress.source)
            self._bar.reset(self._task, description=sanitize(_short(progress)))
        self._bar.update(self._task, completed=progress.done_bytes, total=progress.total_bytes)


def _short(progress: Progress) -> str:
    """Phase and source in so few columns that the bar's row never wraps."""
    place = progress.source.partition(" (")[0].removeprefix("https://").removeprefix("http://")
    text = place if progress.phase == "download" else f"{_PHASES[progress.phase]} {place}"
    return text if len(text) <= LABEL_COLUMNS else f"{text[: LABEL_COLUMNS - 1]}…"


class _Lines:
    """A line for each phase, and one every 10 %: a log stays readable."""

    def __init__(self, app: AppContext) -> None:
        self._app = app
        self._shown = ("", "", -1)

    def show(self, progress: Progress) -> None:
        """Write a line if it says something new."""
        total = progress.total_bytes
        percent = 100 * progress.done_bytes // total if total else 0
        step = percent // LINE_EVERY_PERCENT
        state = (progress.phase, progress.source, step if progress.phase == "download" else 0)
        if state == self._shown:
            return
        self._shown = state
        text = f"{_PHASES[progress.phase]} {progress.source}"
        if progress.phase == "download":
            done = size_text(progress.done_bytes)
            text += f": {step * LINE_EVERY_PERCENT} % of {size_text(total)}" if total else f": {done}"
        note(self._app, text)
