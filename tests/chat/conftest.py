"""A store of sessions in a directory of its own."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from aigc_cli.chat.store import FILE_NAME, SessionStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SessionStore]:
    ticks = count(1000)
    opened = SessionStore(tmp_path / "data" / FILE_NAME, lambda: float(next(ticks)))
    yield opened
    opened.close()
