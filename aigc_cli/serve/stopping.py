"""Looks at the resident engines, and ends them."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aigc_cli.serve.socket_place import SocketPlace
from aigc_cli.serve.unix_http import NoAnswer, call, listens

_OUT_OF_SIGHT_S = 10.0
_POLITE_S = 15.0  # to save what it holds
_FORCED_S = 3.0
_LOOK_S = 0.02


def engine_reports(place: SocketPlace) -> list[dict[str, Any]]:
    """What each living engine says of itself; the sockets of dead ones are removed."""
    return [report for each in place.everywhere() for report in _reports_at(each)]


def _reports_at(place: SocketPlace) -> Iterator[dict[str, Any]]:
    for name in place.names():
        path = place.socket(name)
        if not listens(path):
            remove_stale_socket(place, name)
            continue
        try:
            yield {"name": name} | call(path, "/aigc/status")
        except NoAnswer:
            yield {"name": name, "state": "does not answer", "pid": engine_pid(place, name)}


def stop_all(place: SocketPlace, names: Sequence[str]) -> int:
    """End the engines of these names, of all names if there are none; gives how many ran."""
    stopped = [stop_engine(each, name) for each in place.everywhere() for name in names or each.names()]
    return stopped.count(True)


def stop_engine(place: SocketPlace, name: str, *, polite_s: float = _POLITE_S) -> bool:
    """End an engine: politely, and with force where it takes longer than that. False if there was none."""
    path, pid = place.socket(name), engine_pid(place, name)
    if not listens(path):
        return False
    with suppress(NoAnswer):
        call(path, "/aigc/stop", {})
    if pid is None or ends(pid, name, polite_s):
        out_of_sight(path)
        return True
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if ends(pid, name, _FORCED_S):
            break
    out_of_sight(path)
    remove_stale_socket(place, name)
    return True


def make_room(place: SocketPlace, for_name: str) -> bool:
    """End the idle engines of other models, for the memory that they hold; True if there were any."""
    idle = [r["name"] for r in engine_reports(place) if r.get("state") == "idle" and r["name"] != for_name]
    return bool(idle) and stop_all(place, idle) > 0


def out_of_sight(path: Path) -> None:
    """Wait until an engine that leaves has taken its socket away."""
    deadline = time.monotonic() + _OUT_OF_SIGHT_S
    while path.exists() and listens(path) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)


def remove_stale_socket(place: SocketPlace, name: str) -> None:
    """Remove what a process that died has left, where that can be done."""
    from filelock import FileLock  # 15 ms; seldom needed

    with suppress(OSError), FileLock(place.lock(name)):
        if not listens(place.socket(name)):
            place.socket(name).unlink(missing_ok=True)
            place.pid(name).unlink(missing_ok=True)


def remove_own_socket(place: SocketPlace, name: str, inode: int) -> None:
    """Take an engine's socket out of sight, unless the path is another engine's by now."""
    from filelock import FileLock

    if not place.directory.is_dir():
        return  # deleted with everything in it; the lock would make it anew, open to others
    with FileLock(place.lock(name)), suppress(FileNotFoundError):
        if place.socket(name).stat().st_ino == inode:
            place.socket(name).unlink()
            place.pid(name).unlink(missing_ok=True)


def engine_pid(place: SocketPlace, name: str) -> int | None:
    """The process that an engine was started as; None where that is not known."""
    try:
        return int(place.pid(name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def ends(pid: int, name: str, timeout_s: float = _POLITE_S) -> bool:
    """Whether the engine's process ends in time. A number that is somebody else's by now counts as ended."""
    import psutil  # 10 ms that only stopping pays

    try:
        process = psutil.Process(pid)
        if name not in process.cmdline():
            return True
        process.wait(timeout_s)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True
