"""The GGUF reader: right about real files, clear about broken ones."""

import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from aigc_cli.errors import InvalidModelFile
from aigc_cli.models.gguf import GgufHeader, read_header
from tests.models.gguf_files import (
    MODEL_KEYS,
    TEMPLATE,
    array_key,
    container,
    string_key,
    tensor,
    text,
    u32_key,
    write_model,
)


def read_bytes(tmp_path: Path, content: bytes) -> GgufHeader:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    return read_header(path)


def problem_of(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(InvalidModelFile) as caught:
        read_bytes(tmp_path, content)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_the_facts_of_a_model_are_read(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.gguf")
    header = read_header(path)
    assert (header.architecture, header.name, header.quantization) == ("llama", "Tiny Test", "Q8_0")
    assert (header.n_ctx_train, header.n_layers, header.n_embd, header.n_vocab) == (2048, 2, 64, 40)
    assert (header.n_heads, header.n_kv_heads, header.key_length, header.value_length) == (4, 2, 16, 16)
    assert header.n_parameters == 2 * 40 * 64 + 64 * 64 + 128 * 64 + 64
    assert header.chat_template == TEMPLATE
    assert header.size_bytes == path.stat().st_size


def test_weights_are_counted_by_layer(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "tiny.gguf"))
    row = 64 // 32 * 34  # two Q8_0 blocks of 34 bytes
    assert header.layer_bytes == (64 * row, 128 * row)
    assert header.other_bytes == 2 * 40 * row + 64 * 4
    assert header.weights_bytes == sum(header.layer_bytes) + header.other_bytes


def test_tokens_are_counted_and_not_kept(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "tiny.gguf"))
    assert header.n_vocab == 40
    assert "tokenizer.ggml.tokens" not in header.metadata
    assert header.metadata["llama.block_count"] == 2


def test_kv_memory_follows_heads_lengths_and_type(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "tiny.gguf"))
    assert header.kv_bytes_per_token() == 2 * 2 * (16 + 16) * 2  # layers, KV heads, K and V, f16
    assert header.kv_bytes_per_token(1.0625) == 2 * 2 * 32 * 1.0625  # q8_0
    memory = header.memory(1024)
    assert memory.kv_bytes == 1024 * header.kv_bytes_per_token()
    assert memory.compute_bytes == 512 * (40 + 2 * 64) * 4
    assert memory.total_bytes == header.weights_bytes + memory.kv_bytes + memory.compute_bytes


def test_kv_heads_may_differ_by_layer(tmp_path: Path) -> None:
    header = read_header(write_model(tmp_path / "tiny.gguf", kv_heads=[4, 1]))
    assert header.kv_heads_by_layer == (4, 1)
    assert header.n_kv_heads == 4
    assert header.kv_bytes_per_token() == (4 + 1) * (16 + 16) * 2


def test_too_few_kv_heads_for_the_layers_are_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.gguf", kv_heads=[4])
    with pytest.raises(InvalidModelFile, match="each of 2 layers"):
        read_header(path)


def test_an_unknown_file_type_falls_back_to_the_type_of_most_weights(tmp_path: Path) -> None:
    keys = [*MODEL_KEYS, u32_key("general.file_type", 9999)]
    tensors = [tensor("a", [32], 0), tensor("b", [64], 8, 128)]
    header = read_bytes(tmp_path, container(keys, tensors, bytes(128 + 68)))
    assert header.quantization == "Q8_0"


def test_a_name_loses_its_control_characters(tmp_path: Path) -> None:
    keys = [*MODEL_KEYS, string_key("general.name", "evil\x1b]0;title\x07 model")]
    assert read_bytes(tmp_path, container(keys)).name == "evil]0;title model"


def test_version_2_is_read_too(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, container(version=2)).n_ctx_train == 512


def test_a_tensor_type_that_came_later_takes_the_room_up_to_the_next_tensor(tmp_path: Path) -> None:
    tensors = [tensor("blk.0.new", [64], 99, 0), tensor("blk.0.old", [8], 0, 96)]
    header = read_bytes(tmp_path, container(MODEL_KEYS, tensors, bytes(96 + 32)))
    assert header.layer_bytes == (96 + 32,)


@pytest.mark.parametrize("cut", [0, 3, 4, 8, 23, 24, 60, 200, 700])
def test_a_file_cut_in_its_header_is_told(tmp_path: Path, cut: int) -> None:
    whole = write_model(tmp_path / "tiny.gguf").read_bytes()
    message = problem_of(tmp_path, whole[:cut])
    assert "truncated" in message or "not a GGUF file" in message


def test_a_file_cut_in_its_weights_is_told_with_both_sizes(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "tiny.gguf").read_bytes()
    cut = len(whole) - 1000
    message = problem_of(tmp_path, whole[:cut])
    assert f"truncated: {cut:,} bytes of " in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "too few"),
        (b"PK\x03\x04" + bytes(100), "not a GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF version 1"),
        (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "GGUF version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (container(n_keys=2**63), "9,223,372,036,854,775,808 keys"),
        (container(n_tensors=2**40), "tensors; no model has so many"),
        (container([], [], b"", n_keys=5000), "truncated"),
        (container([struct.pack("<Q", 2**62) + b"x"]), "claims a length"),
        (container([struct.pack("<Q", 60_000) + b"x"]), "truncated"),
        (container([text("k") + struct.pack("<IQ", 8, 2**40)]), "claims a length"),
        (container([string_key(b"\xff\xfe", "v")]), "UTF-8"),
        (container([string_key("general.name", b"\xc3\x28")]), "UTF-8"),
        (container([u32_key("k", 1), u32_key("k", 2)]), "twice"),
        (container([text("k") + struct.pack("<I", 77)]), "unknown type 77"),
        (container([array_key("k", 8, 2**61)]), "strings"),
        (container([array_key("k", 8, 3, struct.pack("<Q", 2**63))]), "truncated"),
        (container([array_key("k", 8, 1, struct.pack("<Q", 2**63))]), "truncated"),
        (container([array_key("k", 4, 2**61)]), "truncated"),
        (container([array_key("k", 4, 100)]), "truncated"),
        (container([array_key("k", 9, 1)]), "nested arrays"),
        (container([array_key("k", 13, 1)]), "unknown type 13"),
        (container([]), "names no architecture"),
        (container([string_key("general.architecture", "\x1b[31m")]), "names no architecture"),
        (container(MODEL_KEYS[:1]), "not a language model: llama.block_count"),
        (container((*MODEL_KEYS[:3], u32_key("llama.block_count", 2**31))), "llama.block_count"),
        (container((*MODEL_KEYS[:3], string_key("llama.block_count", "2"))), "llama.block_count"),
        (container([*MODEL_KEYS, u32_key("general.alignment", 0)]), "alignment"),
        (container([*MODEL_KEYS, u32_key("general.alignment", 48)]), "alignment"),
        (container([*MODEL_KEYS, string_key("general.alignment", "x")]), "alignment"),
        (container(tensors=[]), "no weights"),
        (container(tensors=[tensor("t", [0])]), "claims the shape"),
        (container(tensors=[tensor("t", [2**40, 2**40])]), "claims the shape"),
        (container(tensors=[tensor("t", [2] * 5)]), "dimensions"),
        (container(tensors=[tensor("t", [33], 8)]), "blocks of 32"),
        (container(tensors=[tensor("t", [8], 0, 2**60)], data=bytes(32)), "truncated"),
        (container(tensors=[tensor("t", [8]), tensor("t", [8], 0, 32)], data=bytes(64)), "twice"),
        (container(tensors=[tensor("t", [8]), tensor("u", [8], 0, 16)], data=bytes(64)), "lies over"),
        (container(tensors=[tensor("n" * 300, [8])]), "claims a length"),
    ],
)
def test_a_damaged_or_hostile_header_is_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in problem_of(tmp_path, content)


def test_a_missing_file_and_a_directory_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(InvalidModelFile):
            read_header(path)


@pytest.mark.download
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_real_models_agree_with_the_reference_reader(real_model: Callable[[str], Path], name: str) -> None:
    path = real_model(name)
    header = read_header(path)
    reference = gguf.GGUFReader(path)

    def field(name: str) -> object:
        return reference.fields[name].contents()

    architecture = field("general.architecture")
    assert header.architecture == architecture
    assert header.n_ctx_train == field(f"{architecture}.context_length")
    assert header.n_layers == field(f"{architecture}.block_count")
    assert header.n_kv_heads == field(f"{architecture}.attention.head_count_kv")
    assert header.n_vocab == len(reference.fields["tokenizer.ggml.tokens"].data)
    assert header.chat_template == field("tokenizer.chat_template")
    assert header.n_parameters == sum(int(t.n_elements) for t in reference.tensors)
    assert header.weights_bytes == sum(int(t.n_bytes) for t in reference.tensors)
    assert len(header.layer_bytes) == header.n_layers
    assert all(header.layer_bytes)
