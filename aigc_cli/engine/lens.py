"""The model's guess after each layer: the residual stream through the final norm and the output matrix.

The "logit lens" (nostalgebraist 2020). llama.cpp applies the output head to the last layer only; here it is
applied to every layer, in numpy, on the matrix as the model file holds it, dequantized piece by piece.
"""

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aigc_cli.engine.library import ggml_function
from aigc_cli.errors import UnsupportedFeature
from aigc_cli.models.gguf_format import TENSOR_TYPES, Container, Tensor, read_container

RESIDUAL = "l_out"  # the name that llama.cpp's graph gives to the output of a layer (llama-graph.cpp)
_PIECE_ROWS = 4096  # rows of the output matrix at once: 25 MB of float32 at a width of 1,536
_F32 = 0
# The same head gives the same logits, but for a few thousandths of their spread: llama.cpp quantizes the
# activations, float32 is used here.
_LEAST_CORRELATION = 0.99


class _TypeTraits(ctypes.Structure):
    """ggml's `struct ggml_type_traits` (ggml.h)."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    )


@dataclass(frozen=True, slots=True)
class Head:
    """The last step of a model: RMS norm, then one row of the output matrix a token."""

    path: Path
    data_start: int
    norm: Tensor
    matrix: Tensor
    epsilon: float

    def logits(self, streams: Any) -> Any:
        """Logits [stream, token] of residual streams [stream, width]."""
        with self.path.open("rb") as file, closing(_mapped(file.fileno())) as data:
            weights = next(_rows(data, self.data_start, self.norm, self.norm.n_elements))[0]
            rms = np.sqrt((streams.astype(np.float64) ** 2).mean(axis=-1, keepdims=True) + self.epsilon)
            normed = (streams / rms * weights).astype(np.float32).T
            pieces = _rows(data, self.data_start, self.matrix, streams.shape[1])
            return np.concatenate([rows @ normed for rows in pieces]).T


def find_head(path: Path) -> Head:
    """The output head of a model file.

    Raises:
        UnsupportedFeature: it has none of the usual form.
    """
    with path.open("rb") as file:
        container = read_container(file, path.stat().st_size)
    tensors = {tensor.name: tensor for tensor in container.tensors}
    matrix = tensors.get("output.weight") or tensors.get("token_embd.weight")
    norm, epsilon = tensors.get("output_norm.weight"), _epsilon(container)
    if matrix is None or norm is None or epsilon is None:
        raise unsupported("no RMS norm before its output matrix")
    return Head(path, container.data_start, norm, matrix, epsilon)


def unsupported(what: str) -> UnsupportedFeature:
    """The error for a model whose layers can't be read so."""
    return UnsupportedFeature(f"the layers of this model can't be shown: {what}", "inspect another model")


def require_same_head(ours: Any, theirs: Any) -> None:
    """Compare the logits of the last layer with llama.cpp's own.

    Raises:
        UnsupportedFeature: they differ: this architecture has another head.
    """
    if float(np.corrcoef(ours, theirs)[0, 1]) < _LEAST_CORRELATION:
        raise unsupported("its output head does more than a norm and a matrix")


def _epsilon(container: Container) -> float | None:
    architecture = container.values.get("general.architecture")
    value = container.values.get(f"{architecture}.attention.layer_norm_rms_epsilon")
    return float(value) if isinstance(value, int | float) else None


def _mapped(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _rows(data: mmap.mmap, data_start: int, tensor: Tensor, width: int) -> Iterator[Any]:
    """The rows of a tensor as float32, some thousand at a time."""
    type_id = next((n for n, (name, *_) in TENSOR_TYPES.items() if name == tensor.type_name), None)
    if type_id is None or tensor.n_elements % width:
        raise unsupported(f"{tensor.name} is stored as {tensor.type_name}")
    to_float = _dequantizer(type_id, tensor.type_name)
    n_rows = tensor.n_elements // width
    row_bytes = tensor.n_bytes // n_rows
    start = data_start + tensor.offset
    for first in range(0, n_rows, _PIECE_ROWS):
        count = min(_PIECE_ROWS, n_rows - first)
        at = start + first * row_bytes
        stored = np.frombuffer(data[at : at + count * row_bytes], dtype=np.uint8)
        if to_float is None:
            yield stored.view(np.float32).reshape(count, width)
            continue
        rows = np.empty((count, width), dtype=np.float32)
        to_float(stored.ctypes.data, rows.ctypes.data, rows.size)
        yield rows


def _dequantizer(type_id: int, type_name: str) -> Any:
    """The function of ggml from a stored type to float32; None for float32 itself."""
    if type_id == _F32:
        return None
    traits = ggml_function("ggml_get_type_traits", ctypes.POINTER(_TypeTraits), ctypes.c_int)(type_id)[0]
    # the structure has no binding: what it says is compared with what the functions of the library say
    size = ggml_function("ggml_type_size", ctypes.c_size_t, ctypes.c_int)(type_id)
    block = ggml_function("ggml_blck_size", ctypes.c_int64, ctypes.c_int)(type_id)
    if (traits.type_size, traits.blck_size) != (size, block) or not traits.to_float:
        raise unsupported(f"this build of llama.cpp does not unpack {type_name}")
    return traits.to_float
