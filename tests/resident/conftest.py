"""A home for resident engines, emptied after each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resident.engines import World
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token is a byte: a text has one tokenization, so a reply can go on from its own text exactly.

    llama.cpp wants a merge; no text here has this one.
    """
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf", ascii_only=True, merges=("ÿ þ",))


@pytest.fixture
def world(tmp_path: Path, byte_model: Path) -> Iterator[World]:
    world = World(tmp_path / "home", byte_model)
    yield world
    world.close()
