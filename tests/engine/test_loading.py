"""A model that is read by a thread of its own."""

from pathlib import Path

import pytest

from aigc_cli.engine.loading import ModelLoading
from aigc_cli.errors import EngineError, Interrupted, ModelLoadError


def test_the_model_is_there_when_it_is_asked_for(tiny_model: Path) -> None:
    with ModelLoading(tiny_model) as loading:
        model = loading.result()
    assert model.tokenize("ab", special=False)
    model.close()


def test_a_file_that_is_refused_is_told_by_the_result(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"no model")
    loading = ModelLoading(tmp_path / "bad.gguf")
    with pytest.raises(ModelLoadError, match=r"bad\.gguf can't be loaded"):
        loading.result()


def test_an_error_meanwhile_gives_the_model_up(tiny_model: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ModelLoading(tiny_model) as loading:
        raise KeyboardInterrupt
    with pytest.raises((EngineError, Interrupted)):  # it was given up while it was read, or closed after
        _ = loading.result().handle
