"""What aigc takes before its own work: commands as processes, and a question until its engine opens.

    python -m benchmarks.startup [--rounds N] [--instructions]

Bar: a question comes to its engine in at most 0.2 s. Medians of runs that alternate, so that whatever else
the machine does falls on all alike. `--instructions` counts instructions with Valgrind besides: they hardly
depend on the machine's other work, so that two versions of the code can be compared by them.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

BAR_S = 0.2
# The engine of `ask` is opened where the request would be sent: there the process ends.
ASK = """
import os
from aigc_cli.__main__ import run_process
run_process(["-m", "smol", "--temperature", "0.5", "why is my loop slow?"], lambda app, settings: os._exit(0))
os._exit(1)
"""
COMMANDS: dict[str, Sequence[str]] = {
    "python itself": ("-c", "pass"),
    "import typer": ("-c", "import typer"),
    "--version": ("-m", "aigc_cli", "--version"),
    "--help": ("-m", "aigc_cli", "--help"),
    "config show": ("-m", "aigc_cli", "config", "show"),
    "sessions list": ("-m", "aigc_cli", "sessions", "list"),
    "ask, to its engine": ("-c", ASK),
}
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def environment(home: str) -> dict[str, str]:
    """A home of its own, and compiled modules, as an installation has them."""
    env = {**os.environ, "AIGC_HOME": home, "PYTHONPYCACHEPREFIX": f"{home}/bytecode"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def run(argv: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=env, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def seconds(words: Sequence[str], env: dict[str, str]) -> float:
    started = time.perf_counter()
    run([sys.executable, *words], env)
    return time.perf_counter() - started


def instructions(words: Sequence[str], env: dict[str, str]) -> int:
    said = run([*VALGRIND, sys.executable, *words], env).stderr
    found = re.search(r"I\s+refs:\s+([\d,]+)", said)
    if not found:
        raise SystemExit(f"valgrind counted nothing: {said}")
    return int(found[1].replace(",", ""))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--instructions", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        env = environment(home)
        for words in COMMANDS.values():
            run([sys.executable, *words], env)  # compiles
        times: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(options.rounds):
            for name, words in COMMANDS.items():
                times[name].append(seconds(words, env))
        for name, words in COMMANDS.items():
            count = f"{instructions(words, env) / 1e6:6,.0f} M instructions" if options.instructions else ""
            print(f"{name:20} {statistics.median(times[name]) * 1000:5.0f} ms {count}".rstrip())
    return int(statistics.median(times["ask, to its engine"]) > BAR_S)


if __name__ == "__main__":
    sys.exit(main())
