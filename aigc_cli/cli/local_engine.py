"""The engine of a command: llama.cpp in this process, with the model pulled first where it is missing."""

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.loading import loading_line
from aigc_cli.cli.pulling import pull_with_progress
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine
from aigc_cli.engine.connect import devices, machine_with, open_engine
from aigc_cli.models.catalog import ModelSpec, load_catalog
from aigc_cli.models.choose import locate
from aigc_cli.models.store import ModelStore


def open_local_engine(app: AppContext, settings: Settings) -> Engine:
    """Find the model that the settings mean, or the best one for this machine, and load it.

    Raises:
        ModelError: there is no such model, it can't be had, or it can't be loaded.
        Interrupted: Ctrl-C while it was pulled.
    """
    found = devices()
    machine = machine_with(found)
    catalog = load_catalog()
    store = ModelStore(app.directories.models, catalog)
    model = locate(settings.model, catalog, store, machine)
    if isinstance(model, ModelSpec):
        model = pull_with_progress(app, model.name)
    with loading_line(app, model.name):
        return open_engine(settings, model, found, machine, app.clock, kv_directory=app.directories.kv)
