"""Remote engines for tests: quick time-outs, and the text of a reply."""

import time
from collections.abc import Iterable

from aigc_cli.engine.address import Secret, parse_address
from aigc_cli.engine.base import Chat, Constraint, EngineInfo, Message, Request, Sampling
from aigc_cli.engine.client import RETRY_PAUSES_S, Client
from aigc_cli.engine.connection import Timeouts
from aigc_cli.engine.dialect import GENERIC, Dialect
from aigc_cli.engine.remote import Expected, RemoteEngine
from aigc_cli.engine.server_info import ServerInfo
from aigc_cli.events import Delta, Done, Event

QUICK = Timeouts(connect_s=25, first_byte_s=25, idle_s=25)
CHAT = "/v1/chat/completions"
HELLO = Chat((Message("user", "hello"),))


OPENED: list[RemoteEngine] = []  # the test's end closes them


def engine_at(
    url: str, *, key: str = "", model: str | None = None, n_ctx: int | None = None, timeouts: Timeouts = QUICK
) -> RemoteEngine:
    client = Client(parse_address(url), Secret(key) if key else None, timeouts)
    OPENED.append(RemoteEngine(client, time.monotonic, Expected(model, n_ctx)))
    return OPENED[-1]


def known_engine(
    url: str,
    dialect: Dialect = GENERIC,
    *,
    key: str = "",
    timeouts: Timeouts = QUICK,
    retry_pauses_s: tuple[float, ...] = RETRY_PAUSES_S,
) -> RemoteEngine:
    """An engine that need not ask the server what it is."""
    info = EngineInfo("m", 4096, dialect.recommended)
    client = Client(parse_address(url), Secret(key) if key else None, timeouts, retry_pauses_s=retry_pauses_s)
    server = ServerInfo(dialect, info, ("m",))
    OPENED.append(RemoteEngine(client, time.monotonic, Expected(server=server)))
    return OPENED[-1]


def chat(text: str = "hello", *, prefix: str = "", constraint: Constraint | None = None) -> Request:
    return Request(
        Chat((Message("user", text),), prefix), Sampling(unset=GENERIC.recommended.unset), constraint
    )


def text_of(events: Iterable[Event]) -> str:
    return "".join(each.text for each in events if isinstance(each, Delta))


def done_of(events: Iterable[Event]) -> Done:
    return next(each for each in events if isinstance(each, Done))
