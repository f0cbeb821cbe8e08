"""Short requests to a resident engine over its socket."""

import json
import socket
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aigc_cli.engine.address import Address
from aigc_cli.engine.cancellation import Cancellation
from aigc_cli.engine.connection import Connection
from aigc_cli.engine.exchange import Call, Patience, exchange
from aigc_cli.engine.refusal import read_body
from aigc_cli.errors import EngineError

_CONNECT_S = 5.0


class NoAnswer(Exception):  # not an error where it is raised: the caller decides
    """Nobody answered: no process listens, it died, or it took too long."""


def call(
    path: Path, route: str, body: dict[str, Any] | None = None, *, timeout_s: float = 5.0
) -> dict[str, Any]:
    """Send one request, a POST if there is a body, and give the JSON object of the answer.

    Raises:
        NoAnswer: the connection can't be made, breaks or times out, or what comes is no such object.
    """
    try:
        with (
            closing(Cancellation()) as nobody,
            closing(Connection(Address("unix", str(path)), nobody, _CONNECT_S)) as connection,
        ):
            answer = exchange(connection, Call(route, "localhost", {}, body), Patience(timeout_s))
            value = json.loads(read_body(answer))
    except (EngineError, ValueError) as error:
        raise NoAnswer(str(error)) from error
    if answer.status != HTTPStatus.OK or not isinstance(value, dict):
        raise NoAnswer(f"{route}: {answer.status}")
    return value


def listens(path: Path) -> bool:
    """Whether a process listens on a socket; False too when there is no socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.settimeout(_CONNECT_S)
            probe.connect(str(path))
        except OSError:
            return False
    return True
