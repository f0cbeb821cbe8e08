"""What a LoRA adapter's file says of itself, read before llama.cpp parses it.

llama.cpp checks which tensors of the model an adapter changes, and aborts the process on values of an
unexpected type and on matrices that don't fit each other: those are found here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.errors import InvalidModelFile, ModelLoadError
from aigc_cli.models.gguf_format import FLOAT32, Container, Tensor, read_container, refuse

ONE_MODEL = "an adapter fits the model that it was trained on"
_PART = re.compile(r"(.+)\.lora_([ab])")
_IGNORED = "_norm.weight"  # llama.cpp leaves these out
_EMBEDDING = "token_embd.weight"
_EXPERTS = "_exps."  # one matrix for each expert
_TYPES = ("F32", "F16", "BF16", "Q8_0")
_MATRIX, _STACK = 2, 3  # dimensions
_HINT = "an adapter is a GGUF file that convert_lora_to_gguf.py of llama.cpp writes"


@dataclass(frozen=True, slots=True)
class AdapterHeader:
    """One adapter's facts.

    Attributes:
        architecture: of the models that it fits.
        n_tensors: how many weight matrices it changes.
        size_bytes: of its file.
    """

    architecture: str
    n_tensors: int
    size_bytes: int


def read_adapter(path: Path, architecture: str) -> AdapterHeader:
    """Read the header of an adapter for models of this architecture.

    Raises:
        InvalidModelFile: it can't be read, is no LoRA adapter, or is damaged.
        ModelLoadError: it is for other models.
    """
    header = _read(path)
    if header.architecture != architecture:
        raise ModelLoadError(
            f"the adapter {path.name} is for {header.architecture} models, and this is a {architecture} one",
            ONE_MODEL,
        )
    return header


def _read(path: Path) -> AdapterHeader:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _interpret(read_container(file, size), size)
    except OSError as error:
        raise InvalidModelFile(
            f"the adapter {path} can't be read: {error.strerror or error}", "--lora FILE names it"
        ) from error
    except InvalidModelFile as error:
        raise InvalidModelFile(f"{path.name} is no adapter: {error.message}", _HINT) from None


def _interpret(container: Container, size: int) -> AdapterHeader:
    values = container.values
    kind = values.get("general.type", "model")
    if kind != "adapter":
        refuse("it is a whole model" if kind == "model" else f"it is of the type {str(kind)[:40]!r}")
    if values.get("adapter.type") != "lora":
        refuse(f"its type is {str(values.get('adapter.type'))[:40]!r}, not 'lora'")
    if "adapter.alora.invocation_tokens" in container.array_lengths:
        refuse("it is an activated one (aLoRA), which works on part of a text only")
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str):
        refuse("it names no architecture")
    if container.types.get("adapter.lora.alpha", FLOAT32) != FLOAT32:
        refuse("its alpha is no float32")
    pairs = _pairs(container.tensors)
    for name, (a, b) in pairs.items():
        _check_pair(name, a, b)
    return AdapterHeader(architecture, len(pairs), size)


def _pairs(tensors: tuple[Tensor, ...]) -> Mapping[str, tuple[Tensor, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for tensor in tensors:
        if match := _PART.fullmatch(tensor.name):
            parts.setdefault(match[1], {})[match[2]] = tensor
        elif not tensor.name.endswith(_IGNORED):
            refuse(f"it holds the tensor {tensor.name[:60]!r}")
    if not parts:
        refuse("it changes no weights")
    for name, found in parts.items():
        if len(found) < len("ab"):
            refuse(f"one half of {name[:60]!r} is missing")
    return {name: (found["a"], found["b"]) for name, found in parts.items()}


def _check_pair(name: str, a: Tensor, b: Tensor) -> None:
    for tensor in (a, b):
        if tensor.type_name not in _TYPES:
            refuse(f"{tensor.name[:60]!r} is {tensor.type_name}; {', '.join(_TYPES)} can be added")
    n_dimensions = _STACK if _EXPERTS in name else _MATRIX
    if len(a.shape) != n_dimensions or len(b.shape) != n_dimensions or a.shape[2:] != b.shape[2:]:
        refuse(f"the halves of {name[:60]!r} have the shapes {a.shape} and {b.shape}")
    rank = a.shape[0] if name.endswith(_EMBEDDING) else a.shape[1]
    if rank != b.shape[0]:
        refuse(f"the halves of {name[:60]!r} have the ranks {rank:,} and {b.shape[0]:,}")
