"""The model that a command means, on disk before it is used."""

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.pulling import pull_with_progress
from aigc_cli.config import Settings
from aigc_cli.models.catalog import ModelSpec, load_catalog
from aigc_cli.models.choose import locate
from aigc_cli.models.machine import Machine
from aigc_cli.models.store import ModelStore, StoredModel


def model_on_disk(app: AppContext, settings: Settings, machine: Machine) -> StoredModel:
    """The model that the settings mean, or the best one for this machine.

    Raises:
        ModelError: there is no such model, or it can't be had.
        Interrupted: Ctrl-C while it was pulled.
    """
    catalog = load_catalog()
    model = locate(settings.model, catalog, ModelStore(app.directories.models, catalog), machine)
    return pull_with_progress(app, model.name) if isinstance(model, ModelSpec) else model
