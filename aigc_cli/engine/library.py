"""llama.cpp's shared library: its log, its build, its devices.

Importing this module loads the library (0.05 s); everything outside the engine imports it late.
"""

import ctypes
import sys
from collections import deque
from enum import IntEnum
from functools import cache
from typing import Any

from aigc_cli.engine.bindings import import_bindings
from aigc_cli.engine.placement import Device

lib: Any = import_bindings()

LOG_LINES_KEPT = 40
_GPU_TYPES = (1, 2)  # GGML_BACKEND_DEVICE_TYPE_GPU, _IGPU (ggml-backend.h)
_log_lines: deque[str] = deque(maxlen=LOG_LINES_KEPT)


class LogLevel(IntEnum):
    """ggml's log levels (ggml.h: GGML_LOG_LEVEL_*)."""

    WARN = 3
    ERROR = 4
    CONTINUE = 5


@lib.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes function type
def _keep_log_line(level: int, text: bytes, _user: object) -> None:
    """Collect llama.cpp's own words; its log never reaches the screen."""
    if level == LogLevel.CONTINUE and _log_lines:
        _log_lines[-1] += text.decode("utf-8", "replace").rstrip("\n")
    elif level in (LogLevel.WARN, LogLevel.ERROR):
        _log_lines.append(text.decode("utf-8", "replace").rstrip("\n"))


@cache
def initialize() -> None:
    """Prepare the library once a process: capture the log first, so that nothing is printed."""
    lib.llama_log_set(_keep_log_line, ctypes.c_void_p(0))
    lib.llama_backend_init()


def clear_log() -> None:
    """Forget the lines kept so far, before an operation whose failure should explain itself."""
    _log_lines.clear()


def last_log_lines(n_lines: int = 3) -> str:
    """What llama.cpp said last, for an error message."""
    lines = [line.strip() for line in _log_lines if line.strip()]
    return "; ".join(lines[-n_lines:])


def list_devices() -> tuple[Device, ...]:
    """Every device of this build, the CPU included.

    The functions are part of ggml's C interface (ggml-backend.h) without a Python binding; they resolve
    through the handle of the library that links to them.
    """
    initialize()
    count = ggml_function("ggml_backend_dev_count", ctypes.c_size_t)
    get = ggml_function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    name = ggml_function("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    description = ggml_function("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    kind = ggml_function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    size = ctypes.POINTER(ctypes.c_size_t)
    memory = ggml_function("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    devices = []
    for index in range(count()):
        device = get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        memory(device, ctypes.byref(free), ctypes.byref(total))
        devices.append(
            Device(
                name=name(device).decode("utf-8", "replace"),
                description=description(device).decode("utf-8", "replace"),
                is_gpu=kind(device) in _GPU_TYPES,
                free_bytes=free.value,
                total_bytes=total.value,
            )
        )
    return tuple(devices)


def ggml_function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of ggml's C interface that has no Python binding."""
    function = getattr(lib._lib, name)  # noqa: SLF001  # the only handle that the package keeps
    function.restype = result
    function.argtypes = list(arguments)
    return function


def supports_gpu_offload() -> bool:
    """Whether this build of llama.cpp has a GPU backend."""
    initialize()
    return bool(lib.llama_supports_gpu_offload())


def build_features() -> dict[str, str]:
    """CPU features and build flags that are on, e.g. {'CPU': 'AVX2, AVX512, LLAMAFILE'}."""
    initialize()
    text: str = lib.llama_print_system_info().decode("utf-8", "replace")
    features: dict[str, list[str]] = {}
    backend = "CPU"
    for part in text.split("|"):
        name, _, value = part.rpartition("=")
        if " : " in name:
            backend, _, name = name.partition(" : ")
        if value.strip() not in ("", "0"):
            flag = name.strip() if value.strip() == "1" else f"{name.strip()}={value.strip()}"
            features.setdefault(backend.strip(), []).append(flag)
    return {backend: ", ".join(flags) for backend, flags in features.items()}


def library_version() -> str:
    """Version of the bindings, which pin the llama.cpp sources they were built from."""
    from importlib.metadata import version  # 20 ms, for reports only

    return version("llama-cpp-python")


def c_abort_callback() -> Any:
    """A C function that llama.cpp can ask whether to abort, without taking the GIL.

    `strlen` of a two-byte buffer is 0 (go on) while its first byte is 0, and 1 (abort) once it is set. A
    Python callback would take the GIL once a graph node, hundreds of times a token.
    """
    runtime = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(runtime.strlen, lib.ggml_abort_callback)
