"""The program as a process of its own."""

import subprocess
import sys

AIGC = [sys.executable, "-m", "aigc_cli"]


def aigc(*line: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*AIGC, *line], input=stdin, capture_output=True, timeout=110, check=False)
