"""Real engines over the tiny random model."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from tests.tiny_model import N_CTX, write_tiny_model

OpenEngine = Callable[..., LlamaEngine]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def open_engine(tiny_model: Path) -> Iterator[OpenEngine]:
    engines: list[LlamaEngine] = []

    def open_one(
        path: Path = tiny_model,
        *,
        n_ctx: int = N_CTX,
        guard_loops: bool = False,
        speculate: bool = True,
        kv_directory: Path | None = None,
        sha256: str | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> LlamaEngine:
        options = EngineOptions(
            path,
            path.stem,
            n_ctx,
            n_threads=1,
            guard_loops=guard_loops,
            speculate=speculate,
            kv_directory=kv_directory,
            sha256=sha256,
        )
        engines.append(LlamaEngine(options, clock))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(open_engine: OpenEngine) -> LlamaEngine:
    return open_engine()
