"""The store: files are the truth, the index remembers, a broken index breaks nothing."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aigc_cli.errors import FileError, InvalidModelFile, ModelError, ModelNotFound
from aigc_cli.models.store import ModelStore, StoredModel, hash_file
from tests.models.gguf_files import write_model


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def add(store: ModelStore, tmp_path: Path, filename: str = "tiny.gguf") -> StoredModel:
    store.directory.mkdir(exist_ok=True)
    file = write_model(tmp_path / "finished")
    sha256 = hash_file(file)
    return store.add(file, filename, name="tiny", source="a test", sha256=sha256, licence="MIT")


def test_a_directory_that_does_not_exist_holds_nothing(store: ModelStore) -> None:
    assert store.list() == ()
    assert store.default is None
    assert not store.directory.exists()


def test_an_added_file_is_remembered_by_the_next_store(store: ModelStore, tmp_path: Path) -> None:
    added = add(store, tmp_path)
    assert not (tmp_path / "finished").exists()
    again = ModelStore(store.directory).find("TINY")
    assert again == added
    assert (again.source, again.licence, again.spec) == ("a test", "MIT", None)


def test_a_file_that_vanishes_while_the_list_is_made_hides_no_other(
    store: ModelStore, tmp_path: Path
) -> None:
    add(store, tmp_path)
    (tmp_path / "busy.py").write_text(
        "import os\nnames = [f'{n}.gguf' for n in range(20)]\n"
        "while True:\n"
        "    for name in names: open(name, 'w').close()\n"
        "    for name in names: os.unlink(name)\n"
    )
    with subprocess.Popen([sys.executable, tmp_path / "busy.py"], cwd=store.directory) as busy:
        try:
            while len(store.list()) == 1:  # it has not begun
                assert busy.poll() is None
            listed = [{model.name for model in store.list()} for _ in range(300)]
        finally:
            busy.kill()
    assert all("tiny" in names for names in listed)


def test_a_file_put_there_by_hand_is_listed(store: ModelStore) -> None:
    store.directory.mkdir()
    write_model(store.directory / "Hand-Made.GGUF")
    (store.directory / "notes.txt").write_text("no model")
    (store.directory / ".hidden.gguf").write_text("no model")
    (model,) = store.list()
    assert (model.name, model.sha256) == ("hand-made", None)
    assert "by hand" in model.source


def test_a_known_models_file_put_there_by_hand_is_recognized_by_name_and_size(store: ModelStore) -> None:
    store.directory.mkdir()
    path = store.directory / "smollm2-135m-instruct-q4_1.gguf"
    with path.open("wb") as file:
        file.truncate(98_362_432)  # sparse
    model = store.find("135m")
    assert model is not None
    assert model.spec is not None
    assert model.name == "smollm2-135m"
    with path.open("wb") as file:
        file.truncate(98_362_431)
    assert store.find("135m") is None


def test_an_entry_without_its_file_is_not_listed(store: ModelStore, tmp_path: Path) -> None:
    add(store, tmp_path).path.unlink()
    assert store.list() == ()


def test_a_file_that_was_replaced_loses_what_was_known_of_the_old_one(
    store: ModelStore, tmp_path: Path
) -> None:
    path = add(store, tmp_path).path
    path.write_bytes(path.read_bytes() + b"more")
    (model,) = store.list()
    assert model.sha256 is None
    assert "by hand" in model.source


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '"text"', "null", '{"models": 5}', '{"models": {"tiny.gguf": 1}, "default": null}'],
)
def test_a_damaged_index_is_set_aside_and_the_files_are_still_listed(
    store: ModelStore, tmp_path: Path, damage: str
) -> None:
    add(store, tmp_path)
    index = store.directory / "index.json"
    index.write_text(damage)
    assert [model.name for model in store.list()] == ["tiny"]
    assert (store.directory / "index.json.damaged").read_text() == damage
    store.set_default("tiny")
    assert json.loads(index.read_text())["default"] == "tiny"


def test_an_index_that_is_no_text_is_set_aside(store: ModelStore, tmp_path: Path) -> None:
    add(store, tmp_path)
    (store.directory / "index.json").write_bytes(b"\xff\xfe{}")
    assert [model.name for model in store.list()] == ["tiny"]


def test_a_removed_model_is_gone_with_its_entry_its_rest_and_the_default(
    store: ModelStore, tmp_path: Path
) -> None:
    model = add(store, tmp_path)
    store.set_default("tiny")
    rest = store.partial_directory / model.path.name
    rest.mkdir(parents=True)
    store.remove("tiny")
    assert store.list() == ()
    assert store.default is None
    assert not model.path.exists()
    assert not rest.exists()


def test_a_verified_file_has_its_hash(store: ModelStore, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    model = add(store, tmp_path)
    assert store.verify("tiny", lambda done, total: seen.append((done, total)))
    assert seen[-1] == (model.size_bytes, model.size_bytes)


def test_a_changed_byte_is_found(store: ModelStore, tmp_path: Path) -> None:
    path = add(store, tmp_path).path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidModelFile, match="SHA-256") as caught:
        store.verify("tiny")
    assert "aigc models rm tiny" in caught.value.hint


def test_a_truncated_file_is_found_by_its_header(store: ModelStore) -> None:
    store.directory.mkdir()
    path = write_model(store.directory / "cut.gguf")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InvalidModelFile, match="truncated"):
        store.verify("cut")


def test_the_first_hash_of_a_file_put_there_by_hand_is_kept(store: ModelStore) -> None:
    store.directory.mkdir()
    path = write_model(store.directory / "mine.gguf")
    assert not store.verify("mine")
    model = store.find("mine")
    assert model is not None
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert store.verify("mine")


def test_a_model_that_is_not_there_is_told(store: ModelStore) -> None:
    for act in (store.remove, store.verify, store.set_default):
        with pytest.raises(ModelNotFound):
            act("nothing")
        with pytest.raises(ModelError, match=r"qwen2.5-coder-7b is not on disk") as caught:
            act("7b")
        assert caught.value.hint == "aigc models pull qwen2.5-coder-7b"


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        hash_file(tmp_path / "none")
