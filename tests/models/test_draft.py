"""Which small model guesses for a large one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.errors import ModelNotFound
from aigc_cli.models.catalog import load_catalog
from aigc_cli.models.draft import as_told_elsewhere, can_guess, find_draft_model
from aigc_cli.models.gguf import read_header
from aigc_cli.models.store import ModelStore, StoredModel
from tests.models.gguf_files import write_model
from tests.tiny_model import write_tiny_model

CATALOG = load_catalog()
Put = Callable[[str], StoredModel]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    (tmp_path / "models").mkdir()
    return ModelStore(tmp_path / "models", CATALOG)


@pytest.fixture
def put(store: ModelStore) -> Put:
    """Puts a file where a catalog model's would be; what is in it does not matter here."""

    def put_one(name: str) -> StoredModel:
        spec = CATALOG.find(name)
        assert spec is not None
        path = store.directory / spec.filename
        with path.open("wb") as file:
            file.truncate(spec.expected_bytes)
        found = store.find(name)
        assert found is not None
        return found

    return put_one


def draft_of(model: StoredModel, store: ModelStore, wanted: str | None = None) -> str | None:
    found = find_draft_model(wanted, model, CATALOG, store)
    return found.name if found else None


def test_the_smallest_of_the_family_on_disk_guesses_for_a_large_model(store: ModelStore, put: Put) -> None:
    large = put("7b")
    assert draft_of(large, store) is None
    put("smollm2-135m")
    assert draft_of(large, store) is None  # another family
    put("1.5b")
    assert draft_of(large, store) is None  # a fifth of its size: too slow to guess
    put("0.5b")
    assert draft_of(large, store) == "qwen2.5-coder-0.5b"


@pytest.mark.parametrize("name", ["1.5b", "3b"])
def test_a_fast_model_asks_nobody(store: ModelStore, put: Put, name: str) -> None:
    put("0.5b")
    assert draft_of(put(name), store) is None


def test_an_unknown_model_asks_only_whom_it_is_told_to(store: ModelStore, put: Put) -> None:
    put("0.5b")
    mine = write_model(store.directory / "mine.gguf")
    model = store.find("mine")
    assert model is not None
    assert draft_of(model, store) is None
    assert draft_of(model, store, "0.5b") == "qwen2.5-coder-0.5b"
    assert draft_of(model, store, str(mine)) == "mine"


@pytest.mark.parametrize("wanted", ["off", "OFF", ""])
def test_nobody_is_asked_where_that_is_off(store: ModelStore, put: Put, wanted: str) -> None:
    put("0.5b")
    assert draft_of(put("7b"), store, wanted) is None


@pytest.mark.parametrize(
    ("wanted", "hint"), [("0.5b", "models pull qwen2.5-coder-0.5b"), ("xyzzy", "models list")]
)
def test_one_that_is_not_on_disk_is_told(store: ModelStore, put: Put, wanted: str, hint: str) -> None:
    with pytest.raises(ModelNotFound, match=wanted) as caught:
        draft_of(put("7b"), store, wanted)
    assert hint in caught.value.hint


def test_only_a_smaller_model_with_the_same_tokens_can_guess(tmp_path: Path) -> None:
    tiny = read_header(write_tiny_model(tmp_path / "tiny.gguf"))
    fewer = read_header(write_tiny_model(tmp_path / "fewer.gguf", merges=("h e",)))
    other = read_header(write_model(tmp_path / "other.gguf"))
    large = replace(tiny, weights_bytes=10 * tiny.weights_bytes)
    assert can_guess(tiny, large)
    assert can_guess(tiny, replace(large, n_vocab=large.n_vocab + 128))  # padded
    assert not can_guess(large, tiny)
    assert not can_guess(tiny, tiny)
    assert not can_guess(fewer, large)  # its end token has another number
    assert not can_guess(other, large)


def test_a_path_means_the_same_file_in_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    assert as_told_elsewhere("small.gguf") == str(tmp_path / "small.gguf")
    assert as_told_elsewhere("0.5b") == "0.5b"
    assert as_told_elsewhere(None) is None
