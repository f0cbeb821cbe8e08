"""What a model file is and needs, read from its GGUF header without loading it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aigc_cli.errors import InvalidModelFile
from aigc_cli.models.gguf_format import Container, Scalar, Tensor, Value, read_container, refuse

MAX_LAYERS = 10_000
MAX_KEPT_TEXT = 4_096  # characters of a string in `metadata`
N_UBATCH = 512  # llama.cpp's default: tokens that one graph evaluates

# general.file_type -> quantization (llama_ftype in llama.h); numbers that are missing were withdrawn.
# fmt: off
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
    10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS",
    24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M",
    32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0",
}
# fmt: on
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BLOCK = re.compile(r"blk\.(\d{1,5})\.")


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What running a model takes, in bytes."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """Weights, KV cache and compute buffer together."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """One model file's facts.

    Attributes:
        quantization: such as "Q4_K_M"; from the header, else the type that most of the weights have.
        n_ctx_train: the context window that it was trained for, in tokens.
        n_heads, n_kv_heads: of the layer that has most.
        kv_heads_by_layer: one number a layer; all equal in most architectures.
        key_length, value_length: elements of one head's key and value.
        size_bytes: of the file.
        weights_bytes: of all tensors.
        layer_bytes: weights of each block, in order.
        other_bytes: weights outside the blocks: embeddings, output, norms.
        metadata: numbers, flags and short strings by key; no arrays, no tokens.
    """

    architecture: str
    name: str
    n_parameters: int
    quantization: str
    n_ctx_train: int
    n_layers: int
    n_embd: int
    n_heads: int
    n_kv_heads: int
    kv_heads_by_layer: tuple[int, ...]
    key_length: int
    value_length: int
    n_vocab: int
    chat_template: str | None
    size_bytes: int
    weights_bytes: int
    layer_bytes: tuple[int, ...]
    other_bytes: int
    metadata: Mapping[str, Scalar]

    def kv_bytes_per_token(self, kv_bytes_per_element: float = 2.0) -> int:
        """Bytes of the KV cache for one token; 2 bytes an element is f16.

        An upper bound: sliding windows, shared layers and compressed keys take less.
        """
        elements = sum(self.kv_heads_by_layer) * (self.key_length + self.value_length)
        return int(elements * kv_bytes_per_element)

    def memory(self, n_ctx: int, kv_bytes_per_element: float = 2.0) -> MemoryEstimate:
        """Estimate what running the model with a context window of `n_ctx` tokens takes."""
        kv_bytes = n_ctx * self.kv_bytes_per_token(kv_bytes_per_element)
        return MemoryEstimate(self.weights_bytes, kv_bytes, compute_bytes(self.n_vocab, self.n_embd, n_ctx))


def compute_bytes(n_vocab: int, n_embd: int, n_ctx: int) -> int:
    """llama.cpp's compute buffer with flash attention: logits and two activations, float32, a row a token.

    Equal to the byte to what llama.cpp reports for SmolLM2 135M and Qwen2.5-Coder 0.5B and 1.5B.
    """
    return min(N_UBATCH, n_ctx) * (n_vocab + 2 * n_embd) * 4


def read_header(path: Path) -> GgufHeader:
    """Read a GGUF file's header, in bounded time and memory whatever the file holds.

    Raises:
        InvalidModelFile: it can't be read, is no GGUF language model, or is truncated, damaged or hostile.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _interpret(read_container(file, size), path, size)
    except OSError as error:
        raise InvalidModelFile(f"{path}: {error.strerror or error}", "aigc models list") from error
    except InvalidModelFile as error:
        raise InvalidModelFile(
            f"{path.name}: {error.message}", "pull it again, or use another file: aigc models list"
        ) from None


def _interpret(container: Container, path: Path, size: int) -> GgufHeader:
    values = container.values
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
        refuse("the header names no architecture")
    if not container.tensors:
        refuse("the file holds no weights")
    keys = _ModelKeys(values, architecture)
    n_layers = keys.required("block_count", MAX_LAYERS)
    n_embd = keys.required("embedding_length")
    heads = keys.by_layer("attention.head_count", n_layers, (0,) * n_layers)
    kv_heads = keys.by_layer("attention.head_count_kv", n_layers, heads)
    head_length = n_embd // max(heads) if max(heads) else 0
    layer_bytes, other_bytes = _split_weights(container.tensors, n_layers)
    template = values.get("tokenizer.chat_template")
    return GgufHeader(
        architecture=architecture,
        name=_text(values, "general.name") or path.stem,
        n_parameters=sum(tensor.n_elements for tensor in container.tensors),
        quantization=_quantization(values, container.tensors),
        n_ctx_train=keys.required("context_length"),
        n_layers=n_layers,
        n_embd=n_embd,
        n_heads=max(heads),
        n_kv_heads=max(kv_heads),
        kv_heads_by_layer=kv_heads,
        key_length=keys.optional("attention.key_length", head_length),
        value_length=keys.optional("attention.value_length", head_length),
        n_vocab=container.array_lengths.get("tokenizer.ggml.tokens") or keys.optional("vocab_size", 0),
        chat_template=template if isinstance(template, str) and template else None,
        size_bytes=size,
        weights_bytes=sum(layer_bytes) + other_bytes,
        layer_bytes=layer_bytes,
        other_bytes=other_bytes,
        metadata=_small_scalars(values),
    )


@dataclass(frozen=True, slots=True)
class _ModelKeys:
    """The keys of one architecture: `{architecture}.block_count` and the like."""

    values: Mapping[str, Value]
    architecture: str

    def optional(self, name: str, default: int, limit: int = 2**31 - 1) -> int:
        value = self.values.get(f"{self.architecture}.{name}", default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
            refuse(f"{self.architecture}.{name} is {str(value)[:40]!r}, not a number up to {limit:,}")
        return value

    def required(self, name: str, limit: int = 2**31 - 1) -> int:
        value = self.optional(name, 0, limit)
        if value == 0:
            refuse(f"not a language model: {self.architecture}.{name} is missing")
        return value

    def by_layer(self, name: str, n_layers: int, default: tuple[int, ...]) -> tuple[int, ...]:
        """One number for every layer; the file gives one for all, or one each."""
        value = self.values.get(f"{self.architecture}.{name}")
        if value is None:
            return default
        if not isinstance(value, tuple):
            return (self.optional(name, 0, 2**16),) * n_layers
        if len(value) < n_layers or not all(_is_count(n) for n in value):
            refuse(f"{self.architecture}.{name} does not give a number for each of {n_layers:,} layers")
        return tuple(int(n) for n in value[:n_layers])


def _is_count(n: float) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= 2**16


def _text(values: Mapping[str, Value], key: str) -> str:
    """A line that a terminal can show: control characters in a foreign file are no text."""
    value = values.get(key)
    return "".join(filter(str.isprintable, value[:MAX_KEPT_TEXT])).strip() if isinstance(value, str) else ""


def _quantization(values: Mapping[str, Value], tensors: Sequence[Tensor]) -> str:
    file_type = values.get("general.file_type")
    if isinstance(file_type, int) and file_type in _FILE_TYPES:
        return _FILE_TYPES[file_type]
    weights: Counter[str] = Counter()
    for tensor in tensors:
        weights[tensor.type_name] += tensor.n_elements
    return weights.most_common(1)[0][0] if weights else "unknown"


def _split_weights(tensors: Sequence[Tensor], n_layers: int) -> tuple[tuple[int, ...], int]:
    layers, other = [0] * n_layers, 0
    for tensor in tensors:
        block = _BLOCK.match(tensor.name)
        if block and int(block[1]) < n_layers:
            layers[int(block[1])] += tensor.n_bytes
        else:
            other += tensor.n_bytes
    return tuple(layers), other


def _small_scalars(values: Mapping[str, Value]) -> Mapping[str, Scalar]:
    return MappingProxyType(
        {
            key: value
            for key, value in values.items()
            if not isinstance(value, tuple) and not (isinstance(value, str) and len(value) > MAX_KEPT_TEXT)
        }
    )
