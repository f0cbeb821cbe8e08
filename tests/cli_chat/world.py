"""A chat without a terminal: in-memory streams, a scripted engine, a temporary directory."""

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_cli.chat.session import Conversation
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.talk import Talk
from aigc_cli.config import Directories, Settings
from aigc_cli.engine.base import Chat, EngineInfo
from tests.scripted_engine import ScriptedEngine


def app_in(folder: Path, stdin: str = "", **env: str) -> AppContext:
    """An AppContext whose engine says "ok"; its streams are no terminals."""
    return AppContext(
        stdin=io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        cwd=folder,
        env=env,
        directories=Directories.from_environment({"AIGC_HOME": str(folder / "aigc")}),
        clock=time.monotonic,
        now=time.time,
        engine_factory=lambda _app, settings: ScriptedEngine(
            ["ok"], EngineInfo(model=settings.model or "scripted", n_ctx=settings.context or 4096)
        ),
    )


@dataclass
class World:
    """A Talk and what came of it."""

    talk: Talk
    engine: ScriptedEngine

    @property
    def replies(self) -> str:
        assert isinstance(self.talk.app.stdout, io.StringIO)
        return self.talk.app.stdout.getvalue()

    @property
    def notes(self) -> str:
        assert isinstance(self.talk.app.stderr, io.StringIO)
        return self.talk.app.stderr.getvalue()

    def sent(self, n: int = -1) -> list[tuple[str, str]]:
        """The messages of a request that the engine got."""
        prompt = self.engine.requests[n].prompt
        assert isinstance(prompt, Chat)
        return [(m.role, m.content) for m in prompt.messages]


def talk_in(folder: Path, *replies: str, settings: Settings | None = None, **knobs: Any) -> World:
    """A chat without a system prompt whose model gives these replies."""
    n_ctx = knobs.pop("n_ctx", 4096)
    engine = ScriptedEngine(list(replies) or ["ok"], EngineInfo(model="scripted", n_ctx=n_ctx), **knobs)
    return World(Talk(app_in(folder), settings or Settings(), engine, conversation=Conversation("")), engine)
