"""Eight clients at once with a real engine: all answered, none mixed up, and the memory stays as it was."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from tests.serve.servers import serving

CLIENTS, REQUESTS, WARM_UP, KINDS = 8, 50, 5, 3
MOST_GROWTH = 1.05


def text_of(client: httpx2.Client, prompt: str) -> str:
    body = {"prompt": prompt, "max_tokens": 8, "temperature": 0}
    answer: dict[str, Any] = client.post("/v1/completions", json=body).json()
    return str(answer["choices"][0]["text"])


def prompt_of(name: int, number: int) -> str:
    return f"client {name} says {number % KINDS}: hello world"


def resident_bytes() -> int:
    return int(psutil.Process(os.getpid()).memory_info().rss)


def test_all_are_answered_with_their_own_answers_and_memory_stays_flat(tiny: LlamaEngine) -> None:
    with serving(tiny) as server, ThreadPoolExecutor(CLIENTS) as pool:
        with server.client() as client:
            prompts = {prompt_of(name, number) for name in range(CLIENTS) for number in range(KINDS)}
            expected = {prompt: text_of(client, prompt) for prompt in prompts}
        assert len(set(expected.values())) > CLIENTS

        def right_answers(name: int, n_requests: int) -> int:
            with server.client() as client:
                asked = [prompt_of(name, number) for number in range(n_requests)]
                return sum(text_of(client, prompt) == expected[prompt] for prompt in asked)

        def all_at_once(n_requests: int) -> int:
            return sum(pool.map(right_answers, range(CLIENTS), [n_requests] * CLIENTS))

        # threads, buffers, the window grown to its size
        assert all_at_once(WARM_UP) == CLIENTS * WARM_UP
        before = resident_bytes()
        assert all_at_once(REQUESTS) == CLIENTS * REQUESTS
        assert resident_bytes() <= MOST_GROWTH * before


@pytest.mark.download
@pytest.mark.timeout(600)
def test_a_real_model_answers_each_client_its_own_and_memory_stays_flat(
    real_model: Callable[[str], Path],
) -> None:
    """A real model's greedy reply can differ by what the cache held: here each answer names its request."""

    def answer(client: httpx2.Client, words: str) -> str:
        messages = [{"role": "user", "content": f"Say: {words}"}]
        body = {"messages": messages, "grammar": f'root ::= "{words}"', "max_tokens": 40}
        reply: dict[str, Any] = client.post("/v1/chat/completions", json=body, timeout=300).json()
        return str(reply["choices"][0]["message"]["content"])

    def all_at_once(n_requests: int) -> int:
        def right_answers(name: int) -> int:
            asked = [f"client {name} asks {number}" for number in range(n_requests)]
            with server.client() as client:
                return sum(answer(client, words) == words for words in asked)

        return sum(pool.map(right_answers, range(CLIENTS)))

    options = EngineOptions(real_model("smollm2-135m"), "smollm2", 4096, n_threads=2)
    with (
        closing(LlamaEngine(options, time.perf_counter)) as engine,
        serving(engine) as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        assert all_at_once(WARM_UP) == CLIENTS * WARM_UP
        before = resident_bytes()
        assert all_at_once(REQUESTS) == CLIENTS * REQUESTS
        assert resident_bytes() <= MOST_GROWTH * before
