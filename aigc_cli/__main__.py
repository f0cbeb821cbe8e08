"""The `aigc` command as a process: real streams, real environment, an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from aigc_cli import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from aigc_cli.cli.context import AppContext
    from aigc_cli.config import Settings
    from aigc_cli.engine.base import Engine

    EngineFactory = Callable[[AppContext, Settings], Engine]


def main() -> None:
    """The console script."""
    try:
        code = run_process(sys.argv[1:])
    except KeyboardInterrupt:  # while modules are still imported; later the commands see to it
        code = 130
    sys.exit(code)


def run_process(argv: Sequence[str], engine_factory: "EngineFactory | None" = None) -> int:
    """Run one command on the process's own streams and give its exit code.

    Without an engine factory the settings say where the model runs.
    """
    if list(argv) in (["--version"], ["-V"]):
        return _print_version()  # before typer is imported, which takes four times a bare start
    cwd = _current_directory()
    from aigc_cli.cli.app import run

    app = _process_context(cwd, engine_factory or _open_engine)
    code = run(argv, app)
    return _deliver(app.stdout, "", code)


def _open_engine(app: "AppContext", settings: "Settings") -> "Engine":
    from aigc_cli.cli.open_engine import open_engine  # not every command runs a model

    return open_engine(app, settings)


def _print_version() -> int:
    stdout = sys.stdout or _null_stream(os.O_RDONLY, "w")
    return _deliver(stdout, f"aigc {__version__}\n", 0)


def _process_context(cwd: str, engine_factory: "EngineFactory") -> "AppContext":
    import time  # these four are only needed once a command runs; --version must not pay for them
    from pathlib import Path

    from aigc_cli.cli.context import AppContext
    from aigc_cli.config import Directories

    env = dict(os.environ)  # as it was given: programs that a person runs from here get no more
    _let_threads_sleep()
    return AppContext(
        stdin=sys.stdin or _null_stream(os.O_RDONLY, "r"),
        # A closed stdout is a stream that refuses to be written to: an answer that nobody gets is no success.
        stdout=_utf8(sys.stdout or _null_stream(os.O_RDONLY, "w")),
        stderr=_utf8(sys.stderr or _null_stream(os.O_WRONLY, "w")),
        cwd=Path(cwd),
        env=env,
        directories=Directories.from_environment(env),
        clock=time.monotonic,
        now=time.time,
        engine_factory=engine_factory,
    )


def _let_threads_sleep() -> None:
    """Make llama.cpp's threads wait for each other briefly before they sleep.

    They do so several hundred times a token, by default in a loop of 300,000 rounds. Where another program
    wants a core too, that takes most of the time: benchmarks/waiting.py has shown 1.8 tokens a second instead
    of 11. OpenMP reads the variable when the library is loaded; what the person set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _current_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # pathlib is not imported yet
    except FileNotFoundError:  # somebody removed it under the shell; relative paths will not be found
        os.chdir(os.sep)  # some extension modules can't be imported from nowhere (seen on Python 3.13)
        return os.environ.get("PWD", os.sep)


def _null_stream(flags: int, mode: Literal["r", "w"]) -> TextIO:
    descriptor = os.open(os.devnull, flags)
    return open(descriptor, mode, encoding="utf-8")  # noqa: PTH123  # lives as long as the process


def _utf8(stream: TextIO) -> TextIO:
    # A model says anything in any locale, and file names hold bytes that are no text: writing must not raise.
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    return stream


def _deliver(stdout: TextIO, text: str, code: int) -> int:
    """Write the last text and what is buffered; the interpreter would report a failure with noise."""
    from aigc_cli.errors import ExitCode

    try:
        stdout.write(text)
        stdout.flush()
    except OSError as error:
        with os.fdopen(os.open(os.devnull, os.O_WRONLY), "wb") as null:
            os.dup2(null.fileno(), stdout.fileno())
        gone = isinstance(error, BrokenPipeError)
        return code or int(ExitCode.BROKEN_PIPE if gone else ExitCode.FAILURE)
    return code


if __name__ == "__main__":
    main()
