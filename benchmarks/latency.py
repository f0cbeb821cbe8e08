"""How long a person waits for the first byte: warm, cold, after a restart, deep in a conversation.

    python -m benchmarks.latency MODEL.gguf [--rounds N] [--only ROW,…] [--llm MODEL-OF-LLM]

Programs as a person runs them, from exec to the first byte of the answer; what is compared alternates within
a run, figures are medians. llama.cpp's own programs are found or built by `python -m benchmarks.native`;
`llm` with llm-gguf is measured where it is installed and `--llm` names its model.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.chat.prompt import system_message
from benchmarks.native import find_program

AIGC = (sys.executable, "-m", "aigc_cli")
SHORT_REPLY = ("--temperature", "0", "--max-tokens", "24")
LONG_TEXT = "def merge(first, second):\n    result = sorted(first + second)\n    return result\n\n" * 95
# The command does all that comes before the request, and ends where that would be sent.
TO_THE_REQUEST = """
import os, sys
from aigc_cli.__main__ import run_process
from aigc_cli.cli.open_engine import open_engine

class UpToTheRequest:
    def __init__(self, engine):
        self.info = engine.info
    def stream(self, request):
        os._exit(0)

run_process(sys.argv[1:], lambda app, settings: UpToTheRequest(open_engine(app, settings)))
os._exit(1)
"""
TO_THE_ENGINE = """
import os, sys
from aigc_cli.__main__ import run_process
run_process(sys.argv[1:], lambda app, settings: os._exit(0))
os._exit(1)
"""


@dataclass(frozen=True)
class Row:
    """One figure and its bar."""

    what: str
    value: float
    bar: float
    detail: str

    def __str__(self) -> str:
        verdict = "yes" if self.value <= self.bar else "NO"
        return f"| {self.what} | {self.value:.3f} | <= {self.bar:.2f} | {verdict} | {self.detail} |"


class Bench:
    """A home with one model, and the clock."""

    def __init__(self, model: Path, home: Path, rounds: int, llm: str | None) -> None:
        self.model = model.absolute()
        self.rounds = rounds
        self.llm = llm
        self.home = home
        self.env = {**os.environ, "AIGC_HOME": str(home), "AIGC_RESIDENT": "1"}
        self._n_questions = 0

    def question(self) -> str:
        """A short question that was not asked before: its own words are in no cache."""
        self._n_questions += 1
        return f"What is {self._n_questions} plus {self._n_questions + 7}? Answer in one word."

    def ask(self, *words: str) -> float:
        """Seconds to the first byte of an answer."""
        return first_byte_s((*AIGC, "-m", str(self.model), *SHORT_REPLY, *words), self.env)

    def run(self, *words: str) -> bytes:
        """Run a command of aigc to its end."""
        done = subprocess.run(
            (*AIGC, *words), env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return done.stdout

    def stop(self) -> None:
        self.run("engine", "stop")

    def forget_conversations(self) -> None:
        """So that `-c` begins a new one."""
        for session in json.loads(self.run("sessions", "list", "--json")):
            self.run("sessions", "rm", session["id"], "--yes")

    def prompt_file(self, question: str) -> Path:
        """The prompt as ChatML, for a program that takes it raw."""
        (system,) = system_message(None)
        path = self.home / "prompt.txt"
        turns = f"<|im_start|>system\n{system.content}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
        path.write_text(f"{turns}<|im_start|>assistant\n", encoding="utf-8")
        return path

    def native_cold(self) -> float:
        """llama.cpp's one-shot program; the file is in the page cache."""
        program = program_called("llama-completion")
        prompt = self.prompt_file(self.question())
        options = ("-no-cnv", "--no-display-prompt", "--temp", "0", "-n", "24", "-c", "4096")
        return first_byte_s((program, "-m", str(self.model), "-f", str(prompt), *options), self.env)


def program_called(name: str) -> str:
    found = find_program(name, os.environ)
    if found is None:
        sys.exit(f"{name} is missing: python -m benchmarks.native")
    return str(found)


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


def medians(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """Each measure's median; they take turns."""
    columns = zip(*([measure() for measure in measures] for _ in range(rounds)), strict=True)
    return [statistics.median(column) for column in columns]


@contextmanager
def llama_server(bench: Bench) -> Iterator[Callable[[], float]]:
    """A warm llama-server; yields what measures curl's first byte from it."""
    port = "18437"
    url = f"http://127.0.0.1:{port}"
    argv = [program_called("llama-server"), "-m", str(bench.model), "--port", port, "-c", "4096", "-np", "1"]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (system,) = system_message(None)

    def measure() -> float:
        """One question through curl."""
        messages = [
            {"role": "system", "content": system.content},
            {"role": "user", "content": bench.question()},
        ]
        body = {"messages": messages, "stream": True, "temperature": 0, "max_tokens": 24}
        argv = ("curl", "-sN", f"{url}/v1/chat/completions", "-d", json.dumps(body))
        return first_byte_s(argv, bench.env, is_answer=b'"content":"')

    try:
        while subprocess.run(
            ("curl", "-sf", f"{url}/health"), stdout=subprocess.DEVNULL, check=False
        ).returncode:
            assert server.poll() is None, "llama-server ended"
            time.sleep(0.2)
        measure()
        yield measure
    finally:
        server.terminate()
        server.wait()


def warm(bench: Bench) -> Iterator[Row]:
    """A one-shot question while the engine is there."""
    bench.ask(bench.question())
    with llama_server(bench) as curl:
        ours, theirs = medians(bench.rounds, lambda: bench.ask(bench.question()), curl)
    bar = 1.5 * theirs + 0.15
    yield Row(
        "warm one-shot, of 1.5 x curl from a warm llama-server + 0.15 s",
        ours / bar,
        1,
        f"{ours:.2f} s, {theirs:.2f} s",
    )
    ours, native = medians(bench.rounds, lambda: bench.ask(bench.question()), bench.native_cold)
    yield Row(
        "warm one-shot, of llama.cpp's one-shot program", ours / native, 0.25, f"{ours:.2f} s, {native:.2f} s"
    )
    if bench.llm and shutil.which("llm"):
        argv = ("llm", "-m", bench.llm, "--no-log")
        llm = lambda: first_byte_s((*argv, bench.question()), bench.env)  # noqa: E731  # a measure like the others
        ours, other = medians(bench.rounds, lambda: bench.ask(bench.question()), llm)
        yield Row("warm one-shot, of llm with llm-gguf", ours / other, 0.1, f"{ours:.2f} s, {other:.2f} s")


def cold(bench: Bench) -> Iterator[Row]:
    """A one-shot question while no engine is there."""

    def ours() -> float:
        bench.stop()
        bench.run("engine", "cache", "clear")
        return bench.ask(bench.question())

    seconds, native = medians(bench.rounds, ours, bench.native_cold)
    detail = f"{seconds:.2f} s, {native:.2f} s"
    yield Row("cold one-shot, of llama.cpp's one-shot program", seconds / native, 0.6, detail)


def restored(bench: Bench) -> Iterator[Row]:
    """A long conversation goes on after the engine was stopped."""
    long = bench.home / "long.py"
    long.write_text(LONG_TEXT, encoding="utf-8")
    read: list[float] = []

    def prefill() -> float:
        """Seconds that reading it takes; it leaves the conversation behind."""
        bench.stop()
        bench.run("engine", "cache", "clear")
        line = ("-m", str(bench.model), *SHORT_REPLY, "--json", "-f", str(long), "-c", bench.question())
        bench.forget_conversations()
        answer = json.loads(bench.run(*line))
        read.append(answer["tokens"]["prompt"])
        return float(answer["timings"]["prefill_s"])

    def go_on() -> float:
        bench.stop()
        return bench.ask("-c", bench.question())

    prefill_s, first_s = medians(max(1, bench.rounds // 3), prefill, go_on)
    detail = f"{first_s:.2f} s, {prefill_s:.2f} s for {read[-1]:,} tokens"
    yield Row("go on after a stop, of what prefilling takes", first_s / prefill_s, 0.1, detail)


def turns(bench: Bench) -> Iterator[Row]:
    """The 20th turn of a conversation and the 2nd."""
    second, twentieth = [], []
    for _ in range(max(1, bench.rounds // 3)):
        bench.forget_conversations()
        seconds = [bench.ask("-c", bench.question()) for _ in range(20)]
        second.append(seconds[1])
        twentieth.append(seconds[19])
    late, early = statistics.median(twentieth), statistics.median(second)
    yield Row("turn 20, of turn 2", late / early, 1.15, f"{late:.2f} s, {early:.2f} s")


def client(bench: Bench) -> Iterator[Row]:
    """The command's own start, with a warm engine."""
    bench.ask(bench.question())
    line = ("-m", str(bench.model), "why is my loop slow?")

    def seconds(*argv: str) -> float:
        started = time.perf_counter()
        subprocess.run((sys.executable, *argv), env=bench.env, stdin=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started

    bare, engine, request = medians(
        2 * bench.rounds,
        lambda: seconds("-c", "pass"),
        lambda: seconds("-c", TO_THE_ENGINE, *line),
        lambda: seconds("-c", TO_THE_REQUEST, *line),
    )
    parts = {"Python": bare, "command and settings": engine - bare, "engine found": request - engine}
    detail = ", ".join(f"{what} {part:.3f} s" for what, part in parts.items())
    yield Row("client's start to its request, s", request, 0.2, detail)


ROWS: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "client": client,
    "warm": warm,
    "cold": cold,
    "restored": restored,
    "turns": turns,
}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default=",".join(ROWS), help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--llm", help="the model's name in llm")
    arguments = parser.parse_args()
    print(f"| {arguments.model.name} | measured | bar | holds | |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="aigc-") as home:
        bench = Bench(arguments.model, Path(home), arguments.rounds, arguments.llm)
        try:
            for name in arguments.only.split(","):
                for row in ROWS[name](bench):
                    print(row, flush=True)
        finally:
            bench.stop()


if __name__ == "__main__":
    main()
