"""Engines to serve: a scripted one, and llama.cpp with a tiny random model."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving
from tests.tiny_model import N_CTX, write_tiny_model

LONG_CONTEXT = 32_768


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(["one two three", "four five"])


@pytest.fixture
def server(engine: ScriptedEngine) -> Iterator[Running]:
    with serving(engine) as running:
        yield running


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[LlamaEngine]:
    """One whose long prompts and replies take longer than any test waits: it decodes ahead of who listens."""
    path = write_tiny_model(tmp_path / "tiny.gguf", n_ctx=LONG_CONTEXT)
    options = EngineOptions(path, "tiny", LONG_CONTEXT, n_threads=1, guard_loops=False)
    with closing(LlamaEngine(options, time.perf_counter)) as engine:
        yield engine


@pytest.fixture
def tiny(tiny_file: Path) -> Iterator[LlamaEngine]:
    options = EngineOptions(tiny_file, "tiny", N_CTX, n_threads=1, guard_loops=False)
    with closing(LlamaEngine(options, time.perf_counter)) as engine:
        yield engine
