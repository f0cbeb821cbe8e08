"""What a run was measured on: the machine, the versions, the model, the day."""

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from aigc_cli import __version__
from aigc_cli.models.gguf import read_header
from aigc_cli.models.machine import this_machine
from benchmarks.native import find_program


def describe(model: Path, llm: str | None) -> dict[str, str]:
    """Everything that figures depend on, by name."""
    machine, header = this_machine(), read_header(model)
    about = {
        "day": time.strftime("%Y-%m-%d"),
        "processor": f"{processor()}, {machine.n_cores} cores",
        "memory": f"{machine.memory_bytes / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "other work at the start": f"{os.getloadavg()[0]:.1f} programs on average of a minute",
        "model": f"{header.name} {header.quantization}, {header.size_bytes / 1e9:.2f} GB",
        "aigc": f"{__version__}, Python {platform.python_version()}",
        "llama.cpp": f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}",
        "llama.cpp's programs": native_version(os.environ),
    }
    return about | ({"llm": llm_version()} if llm else {})


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def native_version(env: Mapping[str, str]) -> str:
    """What llama-bench says it is."""
    program = find_program("llama-bench", env)
    if program is None:
        return "not found"
    done = subprocess.run((str(program), "--version"), capture_output=True, text=True, check=False)
    found = re.search(r"version: (.+)", done.stdout + done.stderr)
    return found[1] if found else "unknown"


def llm_version() -> str:
    """The version of `llm` on the PATH."""
    try:
        done = subprocess.run(("llm", "--version"), capture_output=True, text=True, check=False)
    except OSError:
        return "not found"
    return done.stdout.strip() or "unknown"
