"""The model that a command means, on disk before it is used."""

from collections.abc import Callable

from aigc_cli.cli.context import AppContext
from aigc_cli.config import Settings
from aigc_cli.models.catalog import load_catalog
from aigc_cli.models.choose import locate, locate_named
from aigc_cli.models.machine import Machine
from aigc_cli.models.store import ModelStore, StoredModel


def model_on_disk(app: AppContext, settings: Settings, machine: Callable[[], Machine]) -> StoredModel:
    """The model that the settings mean, or the best one for this machine, which is asked for only then.

    Raises:
        ModelError: there is no such model, or it can't be had.
        Interrupted: Ctrl-C while it was pulled.
    """
    catalog = load_catalog()
    store = ModelStore(app.directories.models, catalog)
    if settings.model is not None:
        model = locate_named(settings.model, catalog, store)
    elif store.default and (chosen := store.find(store.default)):
        model = chosen
    else:
        model = locate(None, catalog, store, machine())
    if isinstance(model, StoredModel):
        return model
    from aigc_cli.cli.pulling import pull_with_progress  # what pulls takes 20 ms, and is seldom needed

    return pull_with_progress(app, model.name)
