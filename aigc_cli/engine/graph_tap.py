"""Looks into a graph while llama.cpp evaluates it: named tensors, as numpy arrays."""

import ctypes
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from aigc_cli.engine.library import ggml_function, lib
from aigc_cli.errors import UnsupportedFeature

_NAME = re.compile(r"(.+)-(\d+)")
_F32 = 0  # GGML_TYPE_F32


class _TensorStart(ctypes.Structure):
    """The beginning of ggml's `struct ggml_tensor` (ggml.h)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),  # elements in each dimension, the fastest first
        ("nb", ctypes.c_size_t * 4),  # bytes from one element to the next in each dimension
    )


class GraphTap:
    """Gives the tensors of these names to a function, layer by layer, while a graph is evaluated.

    llama.cpp names a tensor of layer 3 `l_out-3`. It asks about each tensor before it computes it. One that
    is wanted is complete, and can be copied from a GPU too, when it comes.
    """

    def __init__(self, names: frozenset[str], receive: Callable[[str, int, Any], None]) -> None:
        """Prepare the callback.

        Args:
            names: of tensors, without the layer.
            receive: gets name, layer and a float32 array with the slowest dimension first, which is its own.
        """
        self._names = names
        self._receive = receive
        self._name_of = ggml_function("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
        self._n_bytes = ggml_function("ggml_nbytes", ctypes.c_size_t, ctypes.c_void_p)
        self._copy = ggml_function(
            "ggml_backend_tensor_get",
            None,
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t),
        )
        self._error: Exception | None = None
        self.callback: Any = lib.ggml_backend_sched_eval_callback(self._on_tensor)

    def raise_error(self) -> None:
        """Raise what went wrong in the callback, where nothing can be raised."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _on_tensor(self, tensor: int, is_question: bool, _user: object) -> bool:  # noqa: FBT001  # C calls it so
        try:
            match = _NAME.fullmatch(self._name_of(tensor).decode("utf-8", "replace"))
            wanted = match is not None and match[1] in self._names
            if match is not None and wanted and not is_question:
                self._receive(match[1], int(match[2]), self._read(tensor, match[0]))
        except Exception as error:  # noqa: BLE001  # raised again by raise_error: C can't pass it on
            self._error = error
            return not is_question  # False after a tensor would end the evaluation with a failure
        return wanted if is_question else True

    def _read(self, tensor: int, name: str) -> Any:
        start = _TensorStart.from_address(tensor)
        shape = tuple(start.ne)[::-1]
        array = np.empty(shape, dtype=np.float32)
        is_dense = tuple(start.nb)[::-1] == array.strides or self._n_bytes(tensor) == array.nbytes
        if start.type != _F32 or not is_dense:
            raise UnsupportedFeature(
                f"this model's tensor {name} has a form that can't be read", "inspect another model"
            )
        self._copy(tensor, array.ctypes.data, 0, array.nbytes)
        return array
