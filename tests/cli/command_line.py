"""Runs one command line in this process, on streams in memory, with a scripted engine."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aigc_cli.cli.app import run
from aigc_cli.cli.context import AppContext
from aigc_cli.config import Directories, Settings
from aigc_cli.engine.base import Chat, EngineInfo
from tests.scripted_engine import Reply, ScriptedEngine


class Stream(io.TextIOWrapper):
    """A text stream in memory that says whether it is a terminal."""

    def __init__(self, content: bytes = b"", *, is_terminal: bool = False) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8", errors="backslashreplace", newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def written(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode("utf-8")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith(("aigc: error: ", "hint: "))]


@dataclass
class CommandLine:
    """A fresh machine with a scripted model; `run` it as often as needed.

    Attributes:
        opened: the settings that each engine was opened with.
        failure: raised instead of opening an engine.
    """

    cwd: Path
    home: Path
    replies: list[Reply] = field(default_factory=lambda: ["ok"])
    n_ctx: int = 4096
    engine: ScriptedEngine | None = None
    failure: BaseException | None = None
    opened: list[Settings] = field(default_factory=list)
    engines: list[ScriptedEngine] = field(default_factory=list)

    def run(
        self,
        *argv: str,
        stdin: bytes | None = None,
        terminal: bool = False,
        typed: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run `aigc *argv`; stdin None is a terminal where `typed` comes, `terminal` is about the output."""
        env = {"TERM": "xterm-256color", "AIGC_HOME": str(self.home / "aigc"), **(env or {})}
        stdout, stderr = Stream(is_terminal=terminal), Stream(is_terminal=terminal)
        app = AppContext(
            stdin=Stream(typed if stdin is None else stdin, is_terminal=stdin is None),
            stdout=stdout,
            stderr=stderr,
            cwd=self.cwd,
            env=env,
            directories=Directories.from_environment(env),
            clock=lambda: 0.0,
            now=lambda: 0.0,
            engine_factory=self._open,
        )
        code = run(argv, app)
        return Outcome(code, stdout.written(), stderr.written())

    def _open(self, _app: AppContext, settings: Settings) -> ScriptedEngine:
        if self.failure:
            raise self.failure
        self.opened.append(settings)
        info = EngineInfo(model=settings.model or "scripted", n_ctx=settings.context or self.n_ctx)
        engine = self.engine or ScriptedEngine(self.replies, info)
        self.engines.append(engine)
        return engine

    @property
    def last_message(self) -> str:
        """What the model was asked last."""
        prompt = self.engines[-1].requests[-1].prompt
        assert isinstance(prompt, Chat)
        return prompt.messages[-1].content
