"""How fast kept conversations are found again among many.

usage: python benchmarks/sessions.py [SESSIONS]

Bar: with 10,000 sessions, `list` and `search` answer in less than 0.3 s. Medians of seven, and what the whole
command takes as a process. Filling the file first takes about two minutes.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aigc_cli.chat.entries import Entry, State
from aigc_cli.chat.session import Conversation, Question
from aigc_cli.chat.store import FILE_NAME, SessionStore
from aigc_cli.events import FinishReason

if TYPE_CHECKING:
    from collections.abc import Callable

BAR_S = 0.3
N_SESSIONS = 10_000
N_TURNS = 4
ROUNDS = 7
LATIN = (
    "function list of rows raises an error when the file is missing parser token stream buffer index value"
)
CHINESE = "快速 排序 文件 读取 函数 返回 列表 测试 错误 a in"
WORDS = f"{LATIN} {CHINESE}".split()
# the last two are in one session only, which makes a search look everywhere
QUERIES = ("function", "快速 排序", "文件", "in", "a", "xylophone", "玫瑰", "no-such-word", "龘")


def fill(store: SessionStore, n_sessions: int) -> None:
    """Sessions of four turns with about a thousand characters each."""
    rng = random.Random(7)
    for n in range(n_sessions):
        rare = " xylophone 玫瑰" if n == n_sessions // 3 else ""
        entries = [
            Entry(
                Question(f"question {n}-{turn}: {' '.join(rng.choices(WORDS, k=12))}"),
                " ".join(rng.choices(WORDS, k=180)) + rare,
                State.DONE,
                FinishReason.STOP,
            )
            for turn in range(N_TURNS)
        ]
        store.create(Conversation(), entries, "bench")


def n_found_by(store: SessionStore, query: str) -> int:
    return len(store.search(query, 30))


def command_s(home: Path, *words: str) -> float:
    start = time.perf_counter()
    env = {**os.environ, "AIGC_HOME": str(home)}
    argv = [sys.executable, "-m", "aigc_cli", "sessions", *words]
    subprocess.run(argv, env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    n_sessions = int(sys.argv[1]) if len(sys.argv) > 1 else N_SESSIONS
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = SessionStore(home / "data" / FILE_NAME, time.time)
        fill(store, n_sessions)
        size_mb = store.path.stat().st_size / 1e6
        print(f"{n_sessions:,} sessions of {N_TURNS} turns, {size_mb:,.0f} MB")
        jobs: dict[str, Callable[[], int]] = {
            "list": lambda: len(store.summaries(30)),
            "list all": lambda: len(store.summaries()),
        }
        for query in QUERIES:
            jobs[f"search {query!r}"] = partial(n_found_by, store, query)
        failed = False
        for name, job in jobs.items():
            times = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                n_found = job()
                times.append(time.perf_counter() - start)
            median = statistics.median(times)
            failed |= median > BAR_S
            print(f"{name:24} {median * 1000:7.1f} ms, {n_found:,} found (bar {BAR_S * 1000:.0f} ms)")
        store.close()
        for words in (("list",), ("search", "function"), ("search", "玫瑰")):
            times = [command_s(home, *words) for _ in range(ROUNDS)]
            print(
                f"aigc sessions {' '.join(words):17} {statistics.median(times) * 1000:7.1f} ms as a process"
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
