"""The person's own editor on a text."""

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from aigc_cli.cli.context import AppContext
from aigc_cli.errors import FileError, UsageError

_USUAL = ("vi", "nano")


def edited_by_hand(app: AppContext, text: str, suffix: str) -> str:
    """What the person makes of a text in `$VISUAL` or `$EDITOR`; `suffix` tells the editor the language.

    Raises:
        UsageError: there is no editor.
        FileError: it failed, or left something that is no text.
    """
    command = app.env.get("VISUAL") or app.env.get("EDITOR")
    argv = shlex.split(command) if command else [name for name in _USUAL if shutil.which(name)][:1]
    if not argv:
        raise UsageError("there is no editor", "set EDITOR: export EDITOR=nano")
    with tempfile.TemporaryDirectory(prefix="aigc-edit-") as folder:
        path = Path(folder, f"change{suffix}")
        path.write_bytes(text.encode())  # as bytes: the line ends stay what they are
        try:
            done = subprocess.run([*argv, str(path)], check=False)
        except OSError as error:
            raise FileError(f"{argv[0]!r} does not start: {error.strerror}", "set EDITOR") from error
        if done.returncode:
            raise FileError(f"{argv[0]} failed with exit code {done.returncode}")
        try:
            return path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{argv[0]} left no UTF-8 text") from error
