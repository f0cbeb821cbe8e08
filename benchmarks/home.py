"""A home with one model, in which commands are run and timed as a person runs them."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aigc_cli.chat.prompt import system_message

AIGC = (sys.executable, "-m", "aigc_cli")
SHORT_REPLY = ("--temperature", "0", "--max-tokens", "24")
# A process of its own, small: a child's peak counts what its parent held when it was started.
PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True)
if done.returncode:
    sys.exit(done.stderr.decode(errors="replace"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Home:
    """A home, its resident engine, and the clock.

    Args:
        model: the GGUF file.
        folder: an empty directory.
        rounds: how often short things are measured; long ones less often.
        llm: the model's name in `llm`; None leaves that out.
    """

    def __init__(self, model: Path, folder: Path, rounds: int, llm: str | None = None) -> None:
        self.model = model.absolute()
        self.folder = folder
        self.rounds = rounds
        self.llm = llm
        self.env = {**os.environ, "AIGC_HOME": str(folder), "AIGC_RESIDENT": "1"}
        self._n_questions = 0

    @property
    def few(self) -> int:
        """Rounds of what takes seconds."""
        return max(1, (self.rounds + 1) // 2)

    def question(self) -> str:
        """A short question that was not asked before: its own words are in no cache."""
        self._n_questions += 1
        return f"What is {self._n_questions} plus {self._n_questions + 7}? Answer in one word."

    def line(self, *words: str) -> tuple[str, ...]:
        """A command line of aigc with this model."""
        return (*AIGC, "-m", str(self.model), *words)

    def ask(self, *words: str) -> float:
        """Seconds to the first byte of an answer."""
        return first_byte_s(self.line(*SHORT_REPLY, *words), self.env)

    def answer(self, *words: str) -> dict[str, Any]:
        """A short answer with its counts and times, as `--json` gives them."""
        done = subprocess.run(
            self.line(*SHORT_REPLY, "--json", *words),
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def run(self, *words: str) -> bytes:
        """Run a command of aigc to its end."""
        done = subprocess.run(
            (*AIGC, *words), env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return done.stdout

    def stop(self) -> None:
        self.run("engine", "stop")

    def forget_prefixes(self) -> None:
        """Stop the engine and empty its cache on disk."""
        self.stop()
        self.run("engine", "cache", "clear")

    def forget_conversations(self) -> None:
        """So that `-c` begins a new one."""
        for session in json.loads(self.run("sessions", "list", "--json")):
            self.run("sessions", "rm", session["id"], "--yes")

    def file(self, text: str, name: str = "long.py") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def prompt_file(self, question: str) -> Path:
        """The prompt as ChatML, for a program that takes it raw."""
        (system,) = system_message(None)
        turns = f"<|im_start|>system\n{system.content}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
        return self.file(f"{turns}<|im_start|>assistant\n", "prompt.txt")

    def same_settings(self) -> tuple[str, ...]:
        """The settings that the engine in the background runs the model with, as options of llama-bench."""
        reports = json.loads(self.run("engine", "status", "--json"))
        if not reports:
            self.ask(self.question())
            reports = json.loads(self.run("engine", "status", "--json"))
        setting = {name: origin["value"] for name, origin in reports[0]["setting"].items()}
        flags = ("--repack", str(int(setting["repack_weights"])), "-fa", str(int(setting["flash_attention"])))
        sizes = ("-t", str(setting["n_threads"]), "-ub", str(setting["n_ubatch"]))
        return (*flags, *sizes, "-ctk", setting["kv_type"], "-ctv", setting["kv_type"])

    def engine_peak_mb(self) -> float:
        """The most memory that the resident engine ever had, in MB."""
        (report,) = json.loads(self.run("engine", "status", "--json"))
        try:
            status = Path(f"/proc/{report['pid']}/status").read_text("utf-8")
        except FileNotFoundError:  # not Linux: what it has now
            return float(report["memory_bytes"]) / 1e6
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found, status
        return int(found[1]) * 1024 / 1e6


def first_byte_s(argv: Sequence[str], env: Mapping[str, str], *, is_answer: bytes = b"") -> float:
    """Run a program; seconds to the first byte of its output, or to the first line that holds `is_answer`."""
    started = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        if is_answer:
            found = any(is_answer in line and b'"content":""' not in line for line in process.stdout)
        else:
            found = bool(process.stdout.read(1))
        seconds = time.perf_counter() - started
        process.stdout.read()
    assert found, f"{argv[0]} said nothing"
    return seconds


def run_s(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds that a program takes."""
    started = time.perf_counter()
    subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return time.perf_counter() - started


def peak_mb(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """The most resident memory that a program had, in MB."""
    command = (sys.executable, "-c", PEAK, *argv)
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return int(done.stdout) * MAXRSS_UNIT / 1e6
