"""Engines are closed when a test ends."""

from collections.abc import Iterator

import pytest

from tests.remote.engines import OPENED


@pytest.fixture(autouse=True)
def closed_engines() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
