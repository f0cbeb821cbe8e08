"""The engine of a command in its own process."""

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.loading import loading_line
from aigc_cli.cli.wanted_model import model_on_disk
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine
from aigc_cli.engine.connect import devices, machine_with, open_engine


def open_local_engine(app: AppContext, settings: Settings) -> Engine:
    """Load the model that the settings mean, or the best one for this machine, into this process.

    Raises:
        ModelError: there is no such model, it can't be had, or it can't be loaded.
        Interrupted: Ctrl-C while it was pulled.
    """
    found = devices()
    machine = machine_with(found)
    model = model_on_disk(app, settings, lambda: machine)
    with loading_line(app, model.name):
        return open_engine(settings, model, found, machine, app.clock, directories=app.directories)
