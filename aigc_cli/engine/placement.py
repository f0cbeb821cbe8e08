"""What fits where: the context window, and how many layers go to the GPU. Pure arithmetic over sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.errors import ConfigError, ModelLoadError
from aigc_cli.models.gguf import GgufHeader

CELLS = 256  # llama.cpp pads a context to a multiple of this
MIN_CONTEXT = 512  # tokens: less has no room for a question and an answer
DEFAULT_TRAINED_CONTEXT = 4096  # for files that don't say
ROOMY_CONTEXT = 8192  # tokens: when this much fits on the GPU beside the weights, everything goes there
USABLE_RAM = 0.8  # of the free memory; the rest is for whatever else the person runs
USABLE_GPU = 0.9  # of the free memory; drivers and displays take the rest
ALL_LAYERS = -1


@dataclass(frozen=True, slots=True)
class Device:
    """A compute device that llama.cpp can see; memory in bytes."""

    name: str
    description: str
    is_gpu: bool
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs.

    Attributes:
        n_ctx: limit of the context window, in tokens.
        n_gpu_layers: blocks on the GPU; -1 is everything.
        reason: one line for a person.
    """

    n_ctx: int
    n_gpu_layers: int
    reason: str


def place(
    header: GgufHeader,
    devices: Sequence[Device],
    *,
    free_ram_bytes: int,
    n_ctx: int | None = None,
    n_gpu_layers: int | None = None,
) -> Placement:
    """Decide context and GPU layers; what was asked for is kept, and refused when it can't be.

    Raises:
        ConfigError: a context window that the model was not trained for.
        ModelLoadError: the memory does not hold the model with a useful context.
    """
    gpus = [device for device in devices if device.is_gpu]
    gpu_bytes = int(sum(device.free_bytes for device in gpus) * USABLE_GPU)
    trained = header.n_ctx_train or DEFAULT_TRAINED_CONTEXT
    if n_ctx is not None and not MIN_CONTEXT <= n_ctx <= trained:
        raise ConfigError(
            f"a context of {n_ctx:,} tokens: this model takes {MIN_CONTEXT} to {trained:,}",
            f"use --context with a number up to {trained}",
        )
    wanted = min(n_ctx or ROOMY_CONTEXT, trained)
    if gpus and n_gpu_layers in (None, ALL_LAYERS) and header.memory(wanted).total_bytes <= gpu_bytes:
        return Placement(
            n_ctx=_pad(n_ctx) if n_ctx else _largest_context(header, gpu_bytes, trained),
            n_gpu_layers=ALL_LAYERS,
            reason=f"all {header.n_layers} layers on {_names(gpus)}",
        )
    context = _context_in_ram(header, int(free_ram_bytes * USABLE_RAM) + gpu_bytes, trained, n_ctx)
    if not gpus or n_gpu_layers == 0:
        return Placement(context, 0, "on the CPU" if not gpus else "on the CPU, as asked")
    if n_gpu_layers is not None:
        return Placement(context, n_gpu_layers, f"{n_gpu_layers} layers on {_names(gpus)}, as asked")
    fitting = _layers_that_fit(header, context, gpu_bytes)
    return Placement(context, fitting, f"{fitting} of {header.n_layers} layers on {_names(gpus)}")


def _names(gpus: Sequence[Device]) -> str:
    return ", ".join(gpu.description or gpu.name for gpu in gpus)


def _pad(n_ctx: int) -> int:
    return -(-n_ctx // CELLS) * CELLS


def _largest_context(header: GgufHeader, budget_bytes: int, trained: int) -> int:
    """The largest padded context whose KV cache fits beside the weights; 0 when not even the weights fit."""
    left = budget_bytes - header.memory(trained).total_bytes + header.memory(trained).kv_bytes
    per_token = header.kv_bytes_per_token()
    fits = trained if per_token == 0 else left // per_token  # recurrent models have no KV cache
    return max(0, min(trained, fits // CELLS * CELLS))


def _context_in_ram(header: GgufHeader, budget_bytes: int, trained: int, asked: int | None) -> int:
    largest = _largest_context(header, budget_bytes, trained)
    if asked is not None and asked <= largest:
        return min(_pad(asked), trained)
    if asked is None and largest >= min(MIN_CONTEXT, trained):
        return largest
    needed = header.memory(asked or MIN_CONTEXT).total_bytes
    raise ModelLoadError(
        f"{header.name} with a context of {asked or MIN_CONTEXT:,} tokens takes {needed / 1e9:.1f} GB,"
        f" and {budget_bytes / 1e9:.1f} GB are free",
        "close other programs, use a smaller --context, or a smaller model: aigc models list",
    )


def _layers_that_fit(header: GgufHeader, n_ctx: int, gpu_bytes: int) -> int:
    """Blocks that fit on the GPU with their share of the KV cache; llama.cpp takes the last ones first."""
    memory = header.memory(n_ctx)
    kv_per_layer = memory.kv_bytes // max(1, header.n_layers)
    left = gpu_bytes - memory.compute_bytes
    count = 0
    for layer_bytes in reversed(header.layer_bytes):
        left -= layer_bytes + kv_per_layer
        if left < 0:
            break
        count += 1
    return count
