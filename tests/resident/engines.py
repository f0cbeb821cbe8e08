"""A person's home with a tiny model, and the resident engines that a test starts there."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aigc_cli.config import Directories
from aigc_cli.engine.address import Address
from aigc_cli.engine.base import Chat, Engine, Message, Request, Sampling, Text
from aigc_cli.engine.client import Client
from aigc_cli.engine.remote import RemoteEngine
from aigc_cli.events import Delta, Event
from aigc_cli.models.store import StoredModel
from aigc_cli.serve.launch import Launch
from aigc_cli.serve.residence import Residence
from aigc_cli.serve.resident import ResidentEngine
from aigc_cli.serve.socket_place import SocketPlace, find_place
from aigc_cli.serve.stopping import engine_reports, stop_engine

KEEP_S = 60.0
LONG_CONTEXT = 32_768
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 40}
# Repetitions are guessed ahead, in batches whose sizes depend on what the clock says they cost. A batch of
# another size rounds otherwise, and so does, now and then, the reply. With this penalty, `ask` gets none.
SURE = GREEDY | {"repeat_penalty": 1.1}


@dataclass
class World:
    """A home; `close` ends every engine in it."""

    root: Path
    model: Path
    waited: list[str] = field(default_factory=list)
    opened: list[ResidentEngine] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    @property
    def directories(self) -> Directories:
        return Directories(*(self.root / kind for kind in ("config", "data", "cache", "state")))

    @property
    def place(self) -> SocketPlace:
        return find_place(self.directories.state, None, self.root)

    def launch(
        self, *, version: str = "1", keep_alive_s: float = KEEP_S, spare_share: float = 0, **settings: Any
    ) -> Launch:
        model = StoredModel("tiny", self.model, self.model.stat().st_size, None, "a test", None, None)
        settings = {
            "context": 2048,
            "threads": 1,
            "gpu_layers": None,
            "loop_guard": False,
            "kv_cache_gb": 0.0,
        } | settings
        return Launch(version, model, settings, self.directories, keep_alive_s, spare_share)

    def residence(
        self, launch: Launch | None = None, env: Mapping[str, str] | None = None, user: str = ""
    ) -> Residence:
        env = dict(env or os.environ)
        return Residence(launch or self.launch(), self.place, env, self._waiting, user=user)

    def _waiting(self) -> AbstractContextManager[None]:
        self.waited.append("loading")
        return nullcontext()

    def open(self, launch: Launch | None = None) -> ResidentEngine:
        self.users.append(f"user {len(self.users)}")
        residence = self.residence(launch, user=self.users[-1])
        self.opened.append(ResidentEngine(residence, connect, lambda below: below // 2))
        return self.opened[-1]

    def endless(self) -> Iterator[Event]:
        """A reply that is at work, its first words seen; its 30,000 tokens take minutes on any machine."""
        events = self.open(self.launch(context=LONG_CONTEXT)).stream(ask("hello", max_tokens=30_000))
        while not isinstance(next(events), Delta):
            pass
        return events

    def reports(self) -> list[dict[str, Any]]:
        return engine_reports(self.place)

    @property
    def pid(self) -> int:
        (file,) = self.place.directory.glob("*.pid")
        return int(file.read_text(encoding="ascii"))

    @property
    def log(self) -> str:
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.place.logs.glob("*.log*")))

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def close(self) -> None:
        for engine in self.opened:
            engine.close()
        pids = [pid for path in self.place.directory.glob("*.pid") if (pid := int(path.read_text()))]
        for name in self.place.names():
            stop_engine(self.place, name)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def connect(socket: Path) -> Engine:
    return RemoteEngine(Client(Address("unix", str(socket)), retry_pauses_s=()), time.monotonic)


def ask(words: str, **sampling: Any) -> Request:
    return Request(Text(words), Sampling(**SURE | sampling))


def chat(*words: str, **sampling: Any) -> Request:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[n % 2], text) for n, text in enumerate(words))  # type: ignore[arg-type]
    return Request(Chat(messages), Sampling(**GREEDY | sampling))


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
