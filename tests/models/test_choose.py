"""Which model answers: the named one, the person's default, the best one for the machine."""

from pathlib import Path

import pytest

from aigc_cli.errors import ExitCode, ModelNotFound
from aigc_cli.models.catalog import ModelSpec, load_catalog
from aigc_cli.models.choose import choose_default, decode_speed, locate
from aigc_cli.models.machine import Machine
from aigc_cli.models.store import ModelStore, StoredModel
from tests.models.gguf_files import write_model

GIB = 1 << 30
SMALL = Machine(24 * GIB, 22 * GIB, 2)
CATALOG = load_catalog()


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    (tmp_path / "models").mkdir()
    return ModelStore(tmp_path / "models", CATALOG)


@pytest.mark.parametrize(
    ("memory_gib", "n_cores", "gpu_gib", "name"),
    [
        (24, 2, 0, "1.5b"),  # the machine that the estimate was measured on
        (8, 2, 0, "1.5b"),
        (2, 2, 0, "0.5b"),  # no room for more
        (1, 1, 0, "0.5b"),  # nothing fits: the smallest is tried
        (16, 1, 0, "1.5b"),
        (16, 4, 0, "7b"),
        (6, 4, 0, "1.5b"),  # 7b would be fast enough, but does not fit
        (64, 16, 0, "7b"),  # 14b fits; the memory is too slow for it
        (512, 128, 0, "7b"),
        (16, 4, 8, "7b"),
        (16, 4, 12, "14b"),
        (16, 2, 24, "32b"),
        (8, 2, 2, "1.5b"),  # the GPU is too small to help
    ],
)
def test_the_default_is_the_largest_that_fits_and_is_fast_enough(
    memory_gib: int, n_cores: int, gpu_gib: int, name: str
) -> None:
    machine = Machine(memory_gib * GIB, memory_gib * GIB, n_cores, gpu_gib * GIB)
    assert choose_default(CATALOG, machine) == CATALOG.find(name)


def test_the_default_never_has_a_licence_that_forbids_commercial_use() -> None:
    for gib in range(1, 64):
        assert choose_default(CATALOG, Machine(gib * GIB, gib * GIB, 3)).commercial_use


def test_the_estimated_speed_is_near_what_was_measured() -> None:
    assert 22 <= decode_speed(1_117_320_768, SMALL) <= 28


def test_a_known_name_that_is_not_on_disk_gives_its_spec(store: ModelStore) -> None:
    assert locate("7b", CATALOG, store, SMALL) == CATALOG.find("7b")


def test_a_stored_name_a_file_name_and_a_path_give_the_file(store: ModelStore, tmp_path: Path) -> None:
    inside = write_model(store.directory / "Mine.gguf")
    outside = write_model(tmp_path / "other.gguf")
    for name in ("mine", "MINE", "Mine.gguf"):
        found = locate(name, CATALOG, store, SMALL)
        assert isinstance(found, StoredModel)
        assert found.path == inside
    found = locate(str(outside), CATALOG, store, SMALL)
    assert isinstance(found, StoredModel)
    assert found.path == outside


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("qwen2.5-coder-1.6b", "qwen2.5-coder-1.5b"),
        ("smolm2", "smollm2-135m"),
        ("xyzzy", "aigc models list"),
        ("./missing.gguf", "does not exist"),
        ("hf:a/b", "aigc models pull hf:a/b"),
    ],
)
def test_an_unknown_name_is_told_with_what_comes_close(store: ModelStore, typed: str, hint: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        locate(typed, CATALOG, store, SMALL)
    assert hint in caught.value.hint
    assert caught.value.exit_code == ExitCode.NO_MODEL


def test_without_a_name_and_without_files_the_machines_default_is_wanted(store: ModelStore) -> None:
    found = locate(None, CATALOG, store, SMALL)
    assert isinstance(found, ModelSpec)
    assert found.name == "qwen2.5-coder-1.5b"


def test_without_a_name_the_persons_default_comes_first(store: ModelStore) -> None:
    write_model(store.directory / "mine.gguf")
    write_model(store.directory / "yours.gguf")
    store.set_default("yours")
    found = locate(None, CATALOG, store, SMALL)
    assert isinstance(found, StoredModel)
    assert found.name == "yours"


def test_without_a_name_a_usable_model_on_disk_saves_a_download(store: ModelStore) -> None:
    write_model(store.directory / "base.gguf", template=None)  # can't chat
    (store.directory / "broken.gguf").write_bytes(b"GGUF" + bytes(1 << 20))
    write_model(store.directory / "mine.gguf")
    found = locate(None, CATALOG, store, SMALL)
    assert isinstance(found, StoredModel)
    assert found.name == "mine"


def test_a_default_that_was_deleted_by_hand_is_no_default(store: ModelStore) -> None:
    path = write_model(store.directory / "mine.gguf")
    store.set_default("mine")
    path.unlink()
    assert isinstance(locate(None, CATALOG, store, SMALL), ModelSpec)


@pytest.mark.parametrize(("missing_bytes", "known"), [(0, True), (1, False)])
def test_a_path_of_a_known_model_brings_what_its_publisher_recommends(
    store: ModelStore, tmp_path: Path, missing_bytes: int, *, known: bool
) -> None:
    spec = CATALOG.find("smollm2-135m")
    assert spec is not None
    assert spec.size_bytes is not None
    path = tmp_path / spec.filename
    with path.open("wb") as file:
        file.truncate(spec.size_bytes - missing_bytes)
    located = locate(str(path), CATALOG, store, SMALL)
    assert isinstance(located, StoredModel)
    assert (located.spec == spec) is known
