"""Which resident engine a command means, and where the person's engines are."""

import os
import tempfile
from pathlib import Path

from aigc_cli import __version__
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.wanted_model import model_on_disk
from aigc_cli.config import Settings
from aigc_cli.engine.connect import devices, machine_with
from aigc_cli.engine.installed_build import may_have_gpu
from aigc_cli.models.machine import Machine, this_machine
from aigc_cli.serve.launch import Launch, launch_for
from aigc_cli.serve.socket_place import SocketPlace, find_place


def socket_place(app: AppContext) -> SocketPlace:
    """Where the engines of this person, or of this `AIGC_HOME`, are."""
    temporary = Path(app.env.get("TMPDIR") or tempfile.gettempdir())
    # systemd's place, for cron and ssh that do not name it
    runtime = app.env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return find_place(app.directories.state, runtime, temporary)


def resident_launch(app: AppContext, settings: Settings) -> Launch:
    """The engine for these settings, its model pulled first where it is missing.

    Raises:
        ModelError: there is no such model, or it can't be had.
        Interrupted: Ctrl-C while it was pulled.
    """
    model = model_on_disk(app, settings, _this_machine)
    return launch_for(settings, model, app.directories, __version__)


def _this_machine() -> Machine:
    # llama.cpp is not loaded to look for a GPU where the build has none: 0.2 s that a warm start must not pay
    return machine_with(devices()) if may_have_gpu() else this_machine()
