"""Other programs that run the same model: llama.cpp's own, and `llm` with llm-gguf."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from aigc_cli.chat.prompt import system_message
from benchmarks.home import SHORT_REPLY, Home, first_byte_s
from benchmarks.native import find_program
from benchmarks.results import OURS, Row, alternate

BENCH, BENCH_SAME = "llama-bench, its defaults", "llama-bench, same settings"
ONE_SHOT, SERVER, LLM = "llama-completion", "llama-server", "llm with llm-gguf"
PORT = "18437"
N_CTX = "4096"


@dataclass(frozen=True, slots=True)
class Rival:
    """Another program's figure.

    Attributes:
        label: names it in a table.
        program: has to be there.
        measure: gives the figure; it is called with the path of the program.
    """

    label: str
    program: str
    measure: Callable[[str], float]


def find(program: str) -> str | None:
    """A program's path: llama.cpp's are looked for where they are built, too."""
    native = find_program(program, os.environ)
    return str(native) if native else shutil.which(program)


def compare(row: Row, rounds: int, ours: Callable[[], float], rivals: Sequence[Rival]) -> Row:
    """The row with figures of aigc and of those programs that are there."""
    found = {rival.label: (rival, path) for rival in rivals if (path := find(rival.program))}
    measures: dict[str, Callable[[], float]] = {OURS: ours}
    for label, (rival, path) in found.items():
        measures[label] = lambda rival=rival, path=path: rival.measure(path)  # type: ignore[misc]
    missing = [rival.label for rival in rivals if rival.label not in found]
    bars = [bar for bar in row.bars if bar.of in found]
    return Row(row.name, row.what, row.unit, alternate(rounds, measures), bars, missing, row.note)


def bench_rate(home: Home, path: str, *words: str) -> float:
    """Tokens per second by llama-bench: of reading with `-p N -n 0`, of writing with `-p 0 -n N`."""
    argv = (path, "-m", str(home.model), "-r", "1", "-o", "json", *words)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    (found,) = json.loads(done.stdout)
    return float(found["avg_ts"])


def one_shot(home: Home, path: str) -> tuple[str, ...]:
    """A command line of llama.cpp's one-shot program for a short question."""
    prompt = home.prompt_file(home.question())
    options = ("-no-cnv", "--no-display-prompt", "--temp", "0", "-n", "24", "-c", N_CTX)
    return (path, "-m", str(home.model), "-f", str(prompt), *options)


def cold_rivals(home: Home) -> list[Rival]:
    """Programs that load the model for each question: seconds to the first byte."""
    rivals = [Rival(ONE_SHOT, ONE_SHOT, lambda path: first_byte_s(one_shot(home, path), home.env))]
    if home.llm:
        rivals.append(Rival(LLM, "llm", lambda path: first_byte_s(llm_line(home, path), home.env)))
    return rivals


def llm_line(home: Home, path: str) -> tuple[str, ...]:
    """A command line of `llm` for a short question."""
    return (path, "-m", str(home.llm), "--no-log", home.question())


@contextmanager
def llama_server(home: Home, path: str, n_ctx: str = N_CTX) -> Iterator[str]:
    """A llama-server with its defaults that has its model loaded; yields its address."""
    argv = (path, "-m", str(home.model), "--port", PORT, "-c", n_ctx, "-np", "1")
    server = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{PORT}"
    try:
        check = ("curl", "-sf", f"{url}/health")
        while subprocess.run(check, stdout=subprocess.DEVNULL, check=False).returncode:
            assert server.poll() is None, "llama-server ended"
            time.sleep(0.02)
        yield url
    finally:
        server.terminate()
        server.wait()


class Talk:
    """A conversation with a llama-server through curl."""

    def __init__(self, home: Home, url: str) -> None:
        self._home = home
        self._url = url
        (system,) = system_message(None)
        self._messages = [{"role": "system", "content": system.content}]

    def ask(self, question: str) -> float:
        """Seconds to the first byte of the answer; it stays in the conversation."""
        self._messages.append({"role": "user", "content": question})
        body = {
            "messages": self._messages,
            "stream": True,
            "temperature": 0,
            "max_tokens": int(SHORT_REPLY[-1]),
        }
        path = self._home.file(json.dumps(body), "body.json")
        argv = ("curl", "-sN", f"{self._url}/v1/chat/completions", "-d", f"@{path}")
        answer = '"content":"'
        seconds = first_byte_s(argv, self._home.env, is_answer=answer.encode())
        self._messages.append({"role": "assistant", "content": "so much"})
        return seconds


def warm_server(home: Home, stack: ExitStack) -> list[Rival]:
    """llama-server, warm until the stack ends, if it is there: seconds to the first byte through curl."""
    path = find(SERVER)
    if path is None:
        return [Rival(SERVER, SERVER, lambda _path: 0.0)]
    url = stack.enter_context(llama_server(home, path))
    Talk(home, url).ask(home.question())
    return [Rival(SERVER, SERVER, lambda _path: Talk(home, url).ask(home.question()))]
