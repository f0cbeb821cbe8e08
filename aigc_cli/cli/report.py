"""What aigc itself says on stderr: errors, hints and notes, one line each."""

from aigc_cli.cli.context import AppContext
from aigc_cli.render.console import ColorDepth, detect_traits, sanitize

_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


def report_error(app: AppContext, message: str, hint: str = "") -> None:
    """Say what is wrong, and what to do next."""
    label = "aigc: error:"
    if detect_traits(app.stderr, app.env, "auto").depth is not ColorDepth.NONE:
        label = f"{_RED}{label}{_PLAIN}"
    _write(app, f"{label} {_one_line(message)}")
    if hint:
        _write(app, f"hint: {_one_line(hint)}")


def note(app: AppContext, text: str) -> None:
    """Say something that a person wants to know and a script does not."""
    _write(app, f"aigc: {_one_line(text)}")


def _one_line(text: str) -> str:
    # a message can quote a file name or an argument, and those can hold escape sequences and line breaks
    return sanitize(" ".join(line.strip() for line in text.splitlines()))


def _write(app: AppContext, line: str) -> None:
    app.stderr.write(line + "\n")
    app.stderr.flush()
