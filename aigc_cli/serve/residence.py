"""Finds the resident engine for a model and its settings; starts it where there is none."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_cli.errors import (
    AigcError,
    ConfigError,
    EngineError,
    InvalidModelFile,
    ModelLoadError,
    NoBackground,
)
from aigc_cli.serve.engine_log import cause_of_death
from aigc_cli.serve.launch import Launch, start_process
from aigc_cli.serve.socket_place import SocketPlace
from aigc_cli.serve.stopping import ends, engine_pid, make_room, out_of_sight
from aigc_cli.serve.unix_http import NoAnswer, call, listens

_FAILURES: Mapping[str, type[AigcError]] = {
    kind.__name__: kind for kind in (ConfigError, InvalidModelFile, ModelLoadError)
}
_MOST_TRIES = 5  # an engine can leave, or be replaced, between two steps; not so often in a row
_MOST_SILENCES = 2
_PATIENCE_S = 5.0  # an engine greets in milliseconds, on a machine that is busy in a second
_LOCK_S = 30.0
_LOADING_S = 3600.0  # a large model from a slow disk

Waiting = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Found:
    """An engine that has its model loaded and takes requests."""

    socket: Path
    pid: int


class Residence:
    """One engine's place in the background, whether it is there or not.

    Args:
        launch: what it is started with.
        place: where its files are.
        env: the environment of the command.
        waiting: entered while a model is loaded.
        user: names whoever asks, the same for all that they ask.
        patience_s: how long an engine may take to greet, twice.
    """

    def __init__(
        self,
        launch: Launch,
        place: SocketPlace,
        env: Mapping[str, str],
        waiting: Waiting,
        *,
        user: str = "",
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._launch = launch
        self._name = launch.name
        self._place = self._own_place = place
        self._env = env
        self._waiting = waiting
        self._user = user
        self._patience_s = patience_s

    @property
    def socket(self) -> Path:
        """Where the engine was found, or is to be."""
        return self._place.socket(self._name)

    def reach(self) -> Found:
        """The engine, found or started, with its model loaded.

        Raises:
            NoBackground: the process can't be started here.
            AigcError: the model can't be loaded.
        """
        has_made_room, n_silences = False, 0
        for _ in range(_MOST_TRIES):
            is_ours = self._start_unless_there()
            try:
                answer = self._greet(is_ours=is_ours)
            except NoAnswer as error:
                if is_ours:
                    raise self._died_at_start() from error
                n_silences += listens(self.socket)
                if n_silences == _MOST_SILENCES:
                    raise self._silent() from error
                continue
            if answer.get("version") != self._launch.version:
                self._replace()
            elif failure := answer.get("failure"):
                if has_made_room or failure.get("kind") != ModelLoadError.__name__:
                    raise failure_from(failure)
                has_made_room = True
                out_of_sight(self.socket)
                if not make_room(self._place, self._name):
                    raise failure_from(failure)
            else:
                return Found(self.socket, int(answer["pid"]))
        raise EngineError(
            "the resident engine comes and goes", "aigc engine log; --no-resident does without it"
        )

    def is_gone_in_order(self) -> bool:
        """Whether the engine left by itself: one that died leaves its socket behind."""
        return not self.socket.exists()

    def is_alive(self, pid: int) -> bool:
        """Whether this process answers."""
        with suppress(NoAnswer):
            return bool(call(self.socket, "/aigc/hello", {}).get("pid") == pid)
        return False

    def cause_of_death(self) -> str:
        """Why the last process died, as far as its log says."""
        return cause_of_death(self._place.log(self._name)) or "its log does not say why; was it killed?"

    def retire(self) -> None:
        """End the engine if it is idle and only this user has come to it; wait for the memory it held."""
        pid = engine_pid(self._place, self._name)
        with suppress(NoAnswer):
            answer = call(self.socket, "/aigc/stop", {"drain": True, "sole_user": self._user})
            if answer.get("leaves") and pid is not None:
                ends(pid, self._name)

    def _is_there(self) -> bool:
        """Whether the engine listens, here or where a command with another environment has started it."""
        for place in self._own_place.everywhere():
            if listens(place.socket(self._name)):
                self._place = place
                return True
        self._place = self._own_place
        return False

    def _start_unless_there(self) -> bool:
        """True if this call started it."""
        self._own_place.prepare()
        if self._is_there():
            return False
        from filelock import FileLock, Timeout  # 15 ms that a warm start need not pay

        try:
            with FileLock(self._place.lock(self._name), timeout=_LOCK_S):
                if listens(self.socket):
                    return False  # somebody else was first
                start_process(self._place, self._launch, self._env)
        except Timeout as error:
            raise EngineError(
                f"{error.lock_file} is held by another process", "aigc engine status"
            ) from error
        except OSError as error:
            raise NoBackground(
                f"the engine can't be started: {error}", "--no-resident does without it"
            ) from error
        return True

    def _greet(self, *, is_ours: bool) -> dict[str, Any]:
        """Say who asks; wait while the model is loaded, and show that there is something to wait for."""
        launch = self._launch
        fields = {"version": launch.version, "keep_alive": launch.keep_alive_s, "user": self._user}
        if not is_ours:
            answer = call(self.socket, "/aigc/hello", fields | {"wait": False}, timeout_s=self._patience_s)
            if answer.get("state") != "loading":
                return answer
        with self._waiting():
            return call(self.socket, "/aigc/hello", fields | {"wait": True}, timeout_s=_LOADING_S)

    def _replace(self) -> None:
        """Send an engine of another version away. It finishes what it does, out of sight."""
        try:
            call(self.socket, "/aigc/stop", {"drain": True})
        except NoAnswer:
            return
        out_of_sight(self.socket)

    def _silent(self) -> AigcError:
        pid = engine_pid(self._place, self._name)
        return EngineError(
            f"the resident engine (process {pid or 'unknown'}) does not answer; is it stopped?",
            "aigc engine stop ends it; --no-resident does without it",
        )

    def _died_at_start(self) -> AigcError:
        return ModelLoadError(
            f"the engine died while it started: {self.cause_of_death()}", "aigc engine log; aigc doctor"
        )


def failure_from(fields: Mapping[str, Any]) -> AigcError:
    """The error that the engine's process met, as if it had been met here."""
    kind = _FAILURES.get(str(fields.get("kind")), ModelLoadError)
    return kind(str(fields.get("message")), str(fields.get("hint")))
