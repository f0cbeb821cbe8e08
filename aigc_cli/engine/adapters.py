"""LoRA adapters beside a loaded model: read once, put over the weights of a context, taken off again."""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from aigc_cli.engine import library
from aigc_cli.engine.base import Adapter
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.errors import InvalidModelFile, ModelLoadError
from aigc_cli.models.adapter import ONE_MODEL, read_adapter

MOST_RESTING = 8  # adapters that stay in memory although the request at work uses none of them


@dataclass(frozen=True, slots=True)
class AdapterSet:
    """Adapters in force together.

    Attributes:
        key: names them and their strengths, by content: what was read under another key is of no use here.
        natives: their `llama_adapter_lora` pointers, each with its strength.
    """

    key: str = ""
    natives: tuple[tuple[Any, float], ...] = ()


NO_ADAPTERS = AdapterSet()


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was when it was read; written anew, it is another one."""

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Loaded:
    native: Any
    digest: str


class AdapterShelf:
    """The adapters that one model has in memory. For one thread; `names` is for any."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._loaded: dict[_File, _Loaded] = {}  # the least recently used one comes first

    @property
    def names(self) -> tuple[str, ...]:
        """The paths of those in memory."""
        return tuple(file.path for file in list(self._loaded))

    def fetch(self, adapters: Sequence[Adapter]) -> AdapterSet:
        """These adapters, read where they are not in memory; a scale of 0 is no adapter.

        Raises:
            InvalidModelFile: a file is no adapter, or can't be read.
            ModelLoadError: it fits another model.
        """
        files = [(_identify(Path(adapter.file)), adapter.scale) for adapter in adapters]
        found = [(self._take(file), scale) for file, scale in files if scale]
        # in one order, whatever order they were named in: a sum of floats depends on it
        found.sort(key=lambda each: each[0].digest)
        key = " ".join(f"{loaded.digest}:{scale!r}" for loaded, scale in found)
        return AdapterSet(key, tuple((loaded.native, scale) for loaded, scale in found))

    def _take(self, file: _File) -> _Loaded:
        loaded = self._loaded.pop(file, None) or self._load(Path(file.path))
        self._loaded[file] = loaded
        return loaded

    def _load(self, path: Path) -> _Loaded:
        read_adapter(path, self._model.architecture)
        with path.open("rb") as content:
            digest = file_digest(content, "blake2b").hexdigest()[:32]
        library.clear_log()
        native = lib.llama_adapter_lora_init(self._model.handle, os.fsencode(path))
        if not native:
            raise ModelLoadError(
                f"the adapter {path.name} does not fit this model: {_reason()}",
                ONE_MODEL,
            )
        return _Loaded(native, digest)

    def trim(self, in_force: AdapterSet) -> None:
        """Free what was not used for the longest time; `in_force` says what the context still needs."""
        needed = {id(native) for native, _ in in_force.natives}
        resting = [file for file, loaded in self._loaded.items() if id(loaded.native) not in needed]
        for file in resting[: max(0, len(resting) - MOST_RESTING)]:
            lib.llama_adapter_lora_free(self._loaded.pop(file).native)

    def close(self) -> None:
        """Free all of them, before their model and after the contexts that use them."""
        while self._loaded:
            lib.llama_adapter_lora_free(self._loaded.popitem()[1].native)


def put_on(context: Any, adapters: AdapterSet) -> None:
    """Let a `llama_context` evaluate with these adapters, and no others, from now on."""
    n_adapters = len(adapters.natives)
    # typed as the bindings declare the pointer
    natives = (lib.llama_adapter_lora_p_ctypes * n_adapters)(*[native for native, _ in adapters.natives])
    scales = (ctypes.c_float * n_adapters)(*[scale for _, scale in adapters.natives])
    lib.llama_set_adapters_lora(context, natives, n_adapters, scales)


def _identify(path: Path) -> _File:
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidModelFile(
            f"the adapter {path} can't be read: {error.strerror or error}", "--lora FILE names it"
        ) from error
    return _File(str(path), status.st_size, status.st_mtime_ns)


def _reason() -> str:
    """llama.cpp's last words about it, without the name of its function and its guesses."""
    line = library.last_log_lines(1)
    return (
        line.partition("apply lora adapter: ")[2].partition(" (hint")[0] or line or "llama.cpp gave no reason"
    )
