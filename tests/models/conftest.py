"""Fixtures for models: real files where this machine has them."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_model() -> Path:
    """A real model file: the one that AIGC_TEST_MODEL names."""
    named = os.environ.get("AIGC_TEST_MODEL")
    if not named or not Path(named).is_file():
        pytest.skip("AIGC_TEST_MODEL names no model file")
    return Path(named)
