"""Small GGUF files: written by the `gguf` package, or byte by byte where a writer would refuse."""

import struct
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def write_model(
    path: Path, *, kv_heads: int | Sequence[int] = 2, template: str | None = TEMPLATE, rows: int = 128
) -> Path:
    """A two-layer model, a vocabulary of 40 tokens, 4 query heads of length 16; `rows` makes it larger."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny Test")
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(kv_heads)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token {n} 词" for n in range(40)])
    writer.add_token_scores([0.0] * 40)
    if template is not None:
        writer.add_chat_template(template)
    rng = np.random.default_rng(7)
    quantize = gguf.quants.quantize
    for name, shape in (
        ("token_embd.weight", (40, 64)),
        ("blk.0.attn_q.weight", (64, 64)),
        ("blk.1.attn_q.weight", (rows, 64)),
        ("output.weight", (40, 64)),
    ):
        weights = quantize(rng.standard_normal(shape, dtype=np.float32), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, weights, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("output_norm.weight", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def string_key(key: str | bytes, value: str | bytes) -> bytes:
    return text(key) + struct.pack("<I", 8) + text(value)


def u32_key(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def array_key(key: str, element: int, n: int, payload: bytes = b"") -> bytes:
    return text(key) + struct.pack("<IIQ", 9, element, n) + payload


def tensor(name: str, dimensions: Sequence[int], type_id: int = 0, offset: int = 0) -> bytes:
    return (
        text(name)
        + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        + struct.pack("<IQ", type_id, offset)
    )


MODEL_KEYS = (
    string_key("general.architecture", "llama"),
    u32_key("llama.context_length", 512),
    u32_key("llama.embedding_length", 32),
    u32_key("llama.block_count", 1),
)


def container(
    keys: Sequence[bytes] = MODEL_KEYS,
    tensors: Sequence[bytes] = (tensor("blk.0.norm", [8]),),
    data: bytes = bytes(32),
    *,
    version: int = 3,
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """A file put together from parts; the counts can lie. Tensor data starts at a multiple of 32."""
    head = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys,
    )
    body = head + b"".join(keys) + b"".join(tensors)
    return body + b"\0" * (-len(body) % 32) + data
