"""A real LoRA adapter for the tiny model: random matrices, strong enough to change what it says."""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFValueType

from tests.tiny_model import N_EMBD, N_FF, N_LAYERS

RANK = 4
WEIGHTS = {"attn_q": (N_EMBD, N_EMBD), "ffn_up": (N_EMBD, N_FF), "ffn_down": (N_FF, N_EMBD)}  # in, out


@dataclass(frozen=True, slots=True)
class Making:
    """How an adapter is written; any other way than this fits no tiny model.

    Attributes:
        n_out: the number of rows of B instead of the model's own.
        halves: those that are written.
    """

    architecture: str = "llama"
    kind: str = "adapter"
    way: str = "lora"
    alpha: object = 2.0 * RANK
    alpha_type: GGUFValueType = GGUFValueType.FLOAT32
    n_out: int | None = None
    rank_of_b: int = RANK
    halves: str = "ab"


USUAL = Making()


def write_tiny_adapter(path: Path, *, seed: int = 1, making: Making = USUAL) -> Path:
    """An adapter over three matrices of each layer."""
    writer = gguf.GGUFWriter(path, making.architecture)
    writer.add_type(making.kind)
    writer.add_string(gguf.Keys.Adapter.TYPE, making.way)
    writer.add_key_value(gguf.Keys.Adapter.LORA_ALPHA, making.alpha, making.alpha_type, GGUFValueType.FLOAT32)
    rng = np.random.default_rng(seed)
    for layer in range(N_LAYERS):
        for name, (width, height) in WEIGHTS.items():
            shapes = {"a": (RANK, width), "b": (making.n_out or height, making.rank_of_b)}
            for half in making.halves:
                matrix = (rng.standard_normal(shapes[half]) / np.sqrt(RANK)).astype(np.float32)
                writer.add_tensor(f"blk.{layer}.{name}.weight.lora_{half}", matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
