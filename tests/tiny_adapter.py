"""A real LoRA adapter for the tiny model: random matrices, strong enough to change what it says."""

from pathlib import Path

import gguf
import numpy as np

from tests.tiny_model import N_EMBD, N_FF, N_LAYERS

RANK = 4
WEIGHTS = {"attn_q": (N_EMBD, N_EMBD), "ffn_up": (N_EMBD, N_FF), "ffn_down": (N_FF, N_EMBD)}  # in, out


def write_tiny_adapter(
    path: Path,
    *,
    seed: int = 1,
    architecture: str = "llama",
    kind: str = "adapter",
    way: str = "lora",
    n_out: int | None = None,
    rank_of_b: int = RANK,
    halves: str = "ab",
    dtype: type[np.generic] = np.float32,
) -> Path:
    """An adapter over three matrices of each layer; the options make one that does not fit.

    `n_out` is the number of rows of B instead of the model's own, `halves` those that are written.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(kind)
    writer.add_string(gguf.Keys.Adapter.TYPE, way)
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 2.0 * RANK)
    rng = np.random.default_rng(seed)
    for layer in range(N_LAYERS):
        for name, (width, height) in WEIGHTS.items():
            shapes = {"a": (RANK, width), "b": (n_out or height, rank_of_b)}
            for half in halves:
                matrix = (rng.standard_normal(shapes[half]) / np.sqrt(RANK)).astype(dtype)
                writer.add_tensor(f"blk.{layer}.{name}.weight.lora_{half}", matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
