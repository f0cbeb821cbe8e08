"""Which engine a command gets: a server that the person named, or llama.cpp on this machine."""

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine
from aigc_cli.errors import NoBackground


def open_engine(app: AppContext, settings: Settings) -> Engine:
    """Open the engine that the settings mean, with the adapters that they name.

    Raises:
        ConfigError: the address or the key of the server can't be used.
        ModelError: there is no such model or adapter here, it can't be had, or it can't be loaded.
        Interrupted: Ctrl-C while it was pulled.
    """
    if not settings.lora:
        return _open_bare(app, settings)
    from aigc_cli.cli.adapters import wanted_adapters  # reads headers: most people have no adapter
    from aigc_cli.engine.adapted import adapted

    adapters = wanted_adapters(app, settings)
    return adapted(_open_bare(app, settings), adapters)


def _open_bare(app: AppContext, settings: Settings) -> Engine:
    if settings.base_url:
        from aigc_cli.cli.remote_engine import open_remote_engine  # sockets: only a server needs them

        return open_remote_engine(app, settings)
    if settings.resident:
        # a socket; llama.cpp is not needed here
        from aigc_cli.cli.resident_engine import open_resident_engine

        try:
            return open_resident_engine(app, settings)
        except NoBackground as error:
            note(app, f"no engine can stay in the background: {error.message}; loading the model here")
    from aigc_cli.cli.local_engine import open_local_engine  # the catalogue and llama.cpp

    return open_local_engine(app, settings)
