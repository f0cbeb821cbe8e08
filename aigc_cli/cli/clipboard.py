"""Copying text: by the desktop's own program, or by the terminal (OSC 52), which works over SSH too."""

import base64
import shutil
import subprocess

from aigc_cli.cli.context import AppContext
from aigc_cli.errors import AigcError
from aigc_cli.render.console import detect_traits

# program and arguments, and the variable that must be set for it to reach a desktop
_PROGRAMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("wl-copy",), "WAYLAND_DISPLAY"),
    (("xclip", "-selection", "clipboard"), "DISPLAY"),
    (("xsel", "--input", "--clipboard"), "DISPLAY"),
    (("pbcopy",), ""),
    (("clip.exe",), ""),
)
_TIMEOUT_S = 5
_OSC52_LIMIT_BYTES = 74_994  # xterm's and others' limit: 100,000 bytes with the sequence around the base64


def copy_text(app: AppContext, text: str) -> str:
    """Copy the text and say by what.

    Raises:
        AigcError: there is neither a program nor a terminal that could.
    """
    content = text.encode("utf-8", "replace")
    for command, variable in () if "SSH_CONNECTION" in app.env else _PROGRAMS:
        program = shutil.which(command[0], path=app.env.get("PATH"))
        if program and (not variable or app.env.get(variable)) and _runs([program, *command[1:]], content):
            return command[0]
    if not detect_traits(app.stderr, app.env, "auto").moves_cursor or len(content) > _OSC52_LIMIT_BYTES:
        raise AigcError("nothing here can copy that", "install wl-copy, xclip or xsel, or /save it")
    app.stderr.write(f"\x1b]52;c;{base64.b64encode(content).decode()}\a")
    app.stderr.flush()
    return "by the terminal, if it allows OSC 52"


def _runs(command: list[str], content: bytes) -> bool:
    try:
        # xclip stays behind to serve the text: a pipe on its output would wait for it
        done = subprocess.run(
            command, input=content, check=False, timeout=_TIMEOUT_S,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
