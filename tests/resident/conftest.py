"""A home for resident engines, emptied after each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resident.engines import LONG_CONTEXT, World
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token is a byte: a text has one tokenization, so a reply can go on from its own text exactly.

    llama.cpp wants a merge; no text here has this one.
    """
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf", ascii_only=True, merges=("ÿ þ",))


@pytest.fixture(scope="session")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a window of `LONG_CONTEXT`."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    return write_tiny_model(path, ascii_only=True, merges=("ÿ þ",), n_ctx=LONG_CONTEXT)


@pytest.fixture
def world(tmp_path: Path, byte_model: Path) -> Iterator[World]:
    world = World(tmp_path / "home", byte_model)
    yield world
    world.close()


@pytest.fixture
def long_world(tmp_path: Path, long_model: Path) -> Iterator[World]:
    """A home for `World.endless`."""
    world = World(tmp_path / "home", long_model)
    yield world
    world.close()
