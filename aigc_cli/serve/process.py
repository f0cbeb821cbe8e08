"""The process of a resident engine, from its first line to its last."""

import faulthandler
import importlib
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigc_cli.config import Settings
from aigc_cli.engine.connect import devices, machine_with, open_engine
from aigc_cli.engine.tuning import Use, value_origins
from aigc_cli.engine.tuning_store import add_to_shape
from aigc_cli.models.machine import this_machine
from aigc_cli.serve.engine_log import STARTED, redirect_output, rotate_if_long
from aigc_cli.serve.launch import Launch
from aigc_cli.serve.lifecycle import Lifecycle
from aigc_cli.serve.socket_place import SocketPlace
from aigc_cli.serve.totals import Totals

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from aigc_cli.engine.llama import LlamaEngine
    from aigc_cli.serve.app import Service
    from aigc_cli.serve.unix_server import UnixServer

_log = logging.getLogger(__name__)
_FAILURE_KEPT_S = 1.0  # for clients that wait to hear why the model can't be loaded
_LOG_LOOK_S = 60.0


def main(arguments: Sequence[str]) -> None:
    """Serve until it is time to leave.

    Args:
        arguments: the engine's name, the listening socket's descriptor, the directory of sockets, and the
            `Launch` as JSON.
    """
    name, descriptor, directory, text = arguments
    launch = Launch.from_json(text)
    place = SocketPlace(Path(directory), launch.directories.state / "engines")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    faulthandler.enable()  # a crash in native code leaves its stack in the log
    _log.info("%sprocess %d, %s, aigc %s", STARTED, os.getpid(), launch.model.name, launch.version)
    Resident(name, place, launch).serve(int(descriptor))


class Resident:
    """One resident engine: a loaded model, its socket, and the clock that ends it."""

    def __init__(self, name: str, place: SocketPlace, launch: Launch) -> None:
        self._name = name
        self._place = place
        self._launch = launch
        self._loading: Future[ASGIApp] = Future()
        self._engine: LlamaEngine | None = None
        self._totals = Totals()
        self._service: Service | None = None
        self._started_s = time.monotonic()
        spare_bytes = int(this_machine().memory_bytes * launch.spare_share)
        self._lifecycle = Lifecycle(
            launch.keep_alive_s,
            time.monotonic,
            lambda: this_machine().available_bytes,
            spare_bytes,
            is_lost=lambda: not place.socket(name).exists(),
        )

    def serve(self, descriptor: int) -> None:
        """Load the model while the server is imported; answer until the lifecycle says to leave."""
        is_reading = threading.Event()
        loader = threading.Thread(target=self._load, args=(is_reading,), name="loader")
        loader.start()
        # what leads to the model first, the server while its file is read: both at once would share one GIL
        is_reading.wait()
        importlib.import_module("aigc_cli.serve.app")  # the loader's thread makes it, and is not to wait
        from aigc_cli.serve.control import ResidentApp
        from aigc_cli.serve.unix_server import UnixServer

        app = ResidentApp(self._launch.version, self._lifecycle, self._loading, self._status)
        server = UnixServer(app, on_signal=lambda name: self._lifecycle.leave(name, at_once=True))
        inode = self._place.socket(self._name).stat().st_ino
        threading.Thread(target=self._watch, args=(server, inode), name="lifecycle", daemon=True).start()
        threading.Thread(target=self._watch_log, name="log", daemon=True).start()
        server.run(sockets=[socket.socket(fileno=descriptor)])
        loader.join()
        if self._engine:
            self._engine.close()
        totals = self._totals
        add_to_shape(
            self._launch.directories.tuning, totals.replies, totals.evaluated_tokens, totals.reply_tokens
        )
        _log.info("engine ends after %.0f s", time.monotonic() - self._started_s)

    def _load(self, is_reading: threading.Event) -> None:
        try:
            self._engine = self._open_engine(is_reading)
            app = self._make_app(self._engine)
        except Exception as error:  # noqa: BLE001  # whatever it is, the clients that wait are told
            _log.exception("the model can't be loaded")
            self._loading.set_exception(error)
            time.sleep(_FAILURE_KEPT_S)
            self._lifecycle.leave("the model can't be loaded", at_once=False)
        else:
            _log.info("loaded in %.2f s", time.monotonic() - self._started_s)
            self._loading.set_result(app)

    def _open_engine(self, is_reading: threading.Event) -> "LlamaEngine":
        settings = replace(Settings(), **self._launch.settings)  # type: ignore[arg-type]  # as they were checked
        try:
            found = devices()
            return open_engine(
                settings,
                self._launch.model,
                found,
                machine_with(found),
                time.perf_counter,
                directories=self._launch.directories,
                on_reading=is_reading.set,
                use=Use.RESIDENT,
            )
        finally:
            is_reading.set()

    def _make_app(self, engine: "LlamaEngine") -> "ASGIApp":
        from aigc_cli.serve.adapters import ServedAdapters
        from aigc_cli.serve.app import ServeOptions, Service, serve_app

        def on_bug(error: BaseException) -> None:
            """Keep what no client is told."""
            _log.error("a bug in aigc", exc_info=error)

        # whoever reaches the socket is the person who started this
        adapters = ServedAdapters(reads_files=True)
        options = ServeOptions(
            time.monotonic, time.time, on_bug=on_bug, watch=self._totals.watch, adapters=adapters
        )
        self._service = Service(engine, options)
        return serve_app(self._service)

    def _watch(self, server: "UnixServer", inode: int) -> None:
        """Leave when it is time: first out of sight, then after whoever came at the last moment."""
        from aigc_cli.serve.stopping import remove_own_socket  # a client of HTTP, not needed to start

        reason = self._lifecycle.wait()
        _log.info("engine leaves: %s", reason)
        try:
            remove_own_socket(self._place, self._name, inode)
        except OSError:
            _log.exception("the socket can't be removed")  # the memory is to be free all the same
        self._lifecycle.wait_for_work()
        server.should_exit = True

    def _watch_log(self) -> None:
        path = self._place.log(self._name)
        while True:
            if rotate_if_long(path):
                redirect_output(path)
            time.sleep(_LOG_LOOK_S)

    def _status(self) -> dict[str, Any]:
        """What `aigc engine status` shows."""
        import psutil

        lifecycle, service = self._lifecycle, self._service
        state = "busy" if lifecycle.n_working else "idle"
        report = {
            "state": state if self._loading.done() else "loading",
            "model": self._launch.model.name,
            "path": str(self._launch.model.path),
            "version": self._launch.version,
            "pid": os.getpid(),
            "memory_bytes": psutil.Process().memory_info().rss,
            "uptime_s": time.monotonic() - self._started_s,
            "idle_s": lifecycle.idle_s,
            "keep_alive_s": lifecycle.keep_alive_s,
            "log": str(self._place.log(self._name)),
        }
        if self._engine is None or service is None:
            return report
        totals, cache = self._totals, self._engine.report()
        return report | {
            "n_ctx": self._engine.info.n_ctx,
            "setting": value_origins(self._engine.options, self._engine.options.origins),
            "waiting": service.turns.n_waiting,
            "cells": cache.n_cells,
            "held_prefixes": [sequence.n_tokens for sequence in cache.held],
            "adapters": list(cache.adapters),
            "draft_model": cache.draft_model,
            "saved_bytes": cache.saved.n_bytes if cache.saved else None,
            "replies": totals.replies,
            "prompt_tokens": totals.prompt_tokens,
            "cached_tokens": totals.cached_tokens,
            "reply_tokens": totals.reply_tokens,
            "evaluated_tokens": cache.n_evaluated,
            "decodes": cache.n_decodes,
            "prefill_tokens_per_s": totals.prefill_tokens_per_s,
            "decode_tokens_per_s": totals.decode_tokens_per_s,
        }
