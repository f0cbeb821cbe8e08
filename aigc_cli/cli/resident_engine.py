"""The engine of a command in the background: found loaded, or started."""

import os
from pathlib import Path

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.loading import loading_line
from aigc_cli.cli.resident_place import resident_launch, socket_place
from aigc_cli.config import Settings
from aigc_cli.engine.address import Address
from aigc_cli.engine.base import Engine
from aigc_cli.engine.client import Client
from aigc_cli.engine.connection import Timeouts
from aigc_cli.engine.remote import Expected, RemoteEngine
from aigc_cli.serve.residence import Residence
from aigc_cli.serve.resident import ResidentEngine

_WEEK_S = 7 * 86_400.0  # a long prompt on a slow machine; Ctrl-C is what ends it sooner


def open_resident_engine(app: AppContext, settings: Settings) -> Engine:
    """Find the engine of these settings, or start it; the model is pulled first where it is missing.

    Raises:
        ModelError: there is no such model, it can't be had, or it can't be loaded.
        EngineError: the process can't be started or reached.
        Interrupted: Ctrl-C while the model was pulled.
    """

    def connect(socket: Path) -> RemoteEngine:
        """An engine behind this socket."""
        timeouts = Timeouts(first_byte_s=_WEEK_S, idle_s=_WEEK_S)
        client = Client(Address("unix", str(socket)), timeouts=timeouts, retry_pauses_s=())
        return RemoteEngine(client, app.clock, Expected(user=user, reads_files=True))

    # clients of a Unix socket have no address: by this the engine lets processes take turns
    user = os.urandom(8).hex()
    launch = resident_launch(app, settings)
    place = socket_place(app)
    residence = Residence(launch, place, app.env, lambda: loading_line(app, launch.model.name), user=user)
    return ResidentEngine(residence, connect, lambda below: int.from_bytes(os.urandom(8)) % below)
