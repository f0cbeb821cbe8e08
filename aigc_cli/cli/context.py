"""The world a command runs in, injected so that tests can give it another one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from aigc_cli.config import Directories, ResolvedSettings, Settings, Value, load_settings
from aigc_cli.engine.base import Engine


@dataclass(frozen=True, slots=True)
class AppContext:
    """Streams, places, time and the engine. No other module touches `sys.stdout`, `os.environ` or the clock.

    Attributes:
        clock: monotonic seconds.
        now: seconds since 1970, for people and files.
        engine_factory: opens the engine for these settings, pulling the model first when it is not on disk.
    """

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    cwd: Path
    env: Mapping[str, str]
    directories: Directories
    clock: Callable[[], float]
    now: Callable[[], float]
    engine_factory: Callable[["AppContext", Settings], Engine]

    def resolve_settings(self, flags: Mapping[str, Value]) -> ResolvedSettings:
        """The settings in force for a command that was given these flags."""
        return load_settings(self.env, self.cwd, self.directories, flags)

    def open_engine(self, settings: Settings) -> Engine:
        """The engine to use; the caller closes it."""
        return self.engine_factory(self, settings)
