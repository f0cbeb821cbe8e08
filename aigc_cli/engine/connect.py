"""Settings and a model file to the engine to use."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from aigc_cli.config import Directories, Settings
from aigc_cli.engine.base import Sampling
from aigc_cli.engine.placement import ALL_LAYERS, USABLE_GPU, USABLE_RAM, Device, Placement, place
from aigc_cli.engine.tuning import USUAL_SHAPE, Choice, Setting, Use, choose, explicit_fields
from aigc_cli.engine.tuning_store import TuningStore, machine_facts, read_shape
from aigc_cli.models.catalog import ModelSpec
from aigc_cli.models.gguf import GgufHeader
from aigc_cli.models.known_headers import known_header
from aigc_cli.models.machine import Machine, this_machine
from aigc_cli.models.store import ModelStore, StoredModel

if TYPE_CHECKING:
    from pathlib import Path

    from aigc_cli.engine.engine_options import DraftOptions
    from aigc_cli.engine.llama import LlamaEngine

# Names of a publisher's generation_config.json -> ours.
_RECOMMENDED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}


def devices() -> tuple[Device, ...]:
    """What this build of llama.cpp can compute on."""
    from aigc_cli.engine.library import list_devices  # loads llama.cpp, 0.2 s

    return list_devices()


def machine_with(found: Sequence[Device]) -> Machine:
    """This machine, with the memory of its largest GPU."""
    return this_machine(max((device.free_bytes for device in found if device.is_gpu), default=0))


def recommended_sampling(spec: ModelSpec | None) -> Sampling:
    """What the model's publisher recommends, over general defaults."""
    if spec is None:
        return Sampling()
    values = {_RECOMMENDED[name]: value for name, value in spec.sampling.items() if name in _RECOMMENDED}
    return replace(Sampling(), **values)  # type: ignore[arg-type]  # the catalog's numbers fit their fields


def placement_of(
    settings: Settings, header: GgufHeader, found: Sequence[Device], machine: Machine
) -> Placement:
    """Context window and GPU layers for a model file under these settings."""
    return place(
        header,
        found,
        free_ram_bytes=machine.available_bytes,
        n_ctx=settings.context,
        n_gpu_layers=settings.gpu_layers,
    )


def n_threads(settings: Settings, machine: Machine) -> int:
    """CPU threads to decode with: more than there are physical cores makes it slower."""
    return min(settings.threads or machine.n_cores, os.cpu_count() or 1)


def tuning_store(directory: "Path", found: Sequence[Device], machine: Machine) -> TuningStore:
    """What was measured on this machine, as it is now."""
    return TuningStore(directory, machine_facts(machine, found))


def default_setting(settings: Settings, machine: Machine) -> Setting:
    """How a model runs that nobody tuned."""
    n = n_threads(settings, machine)
    return Setting(n_threads=n, n_threads_prefill=n)


def choice_for(
    settings: Settings,
    model: "Path",
    found: Sequence[Device],
    machine: Machine,
    *,
    on_gpu: bool,
    use: Use,
    directory: "Path | None",
) -> Choice:
    """How to run this model: as the person set, as it was tuned on this machine, or by default.

    Args:
        settings: what the person set.
        model: its file.
        found: the devices.
        machine: this one.
        on_gpu: whether layers go to a GPU.
        use: what it is loaded for.
        directory: where what was measured is; None: do without it.

    Raises:
        ConfigError: settings that do not go together.
    """
    explicit = explicit_fields(settings)
    if settings.threads:
        explicit |= dict.fromkeys(("n_threads", "n_threads_prefill"), n_threads(settings, machine))
    default = default_setting(settings, machine)
    if directory is None:
        return choose(default, explicit, None, use=use, shape=USUAL_SHAPE)
    tuning = tuning_store(directory, found, machine).read(model)
    if tuning is not None and tuning.on_gpu != on_gpu:
        tuning = None
    shape = read_shape(directory)
    return choose(default, explicit, tuning, use=use, shape=shape, free_bytes=machine.available_bytes)


def draft_options(
    settings: Settings,
    model: StoredModel,
    header: GgufHeader,
    placement: Placement,
    *,
    machine: Machine,
    directories: Directories,
) -> "DraftOptions | None":
    """The small model that guesses for this one, and where it runs; None: there is none, or no memory for it.

    Raises:
        ModelError: the one that the person named is not on disk, or its file is damaged.
    """
    if settings.draft_model is None and not (model.spec and model.spec.is_large):
        return None  # most models are small: what follows is not imported for them
    from aigc_cli.models.catalog import load_catalog
    from aigc_cli.models.draft import can_guess, find_draft_model

    catalog = load_catalog()
    small = find_draft_model(settings.draft_model, model, catalog, ModelStore(directories.models, catalog))
    if small is None:
        return None
    from aigc_cli.engine.engine_options import DraftOptions  # loads llama.cpp

    small_header = known_header(small.path, directories.headers)
    if not can_guess(small_header, header):
        return None  # the person has it for another model
    n_ctx = min(placement.n_ctx, small_header.n_ctx_train or placement.n_ctx)
    needed = header.memory(placement.n_ctx).total_bytes + small_header.memory(n_ctx).total_bytes
    on_gpu = placement.n_gpu_layers == ALL_LAYERS
    free = machine.gpu_memory_bytes * USABLE_GPU if on_gpu else machine.available_bytes * USABLE_RAM
    if settings.draft_model is None and needed > free:
        return None
    return DraftOptions(
        path=small.path,
        name=small.name,
        n_ctx=n_ctx,
        n_threads=n_threads(settings, machine),
        relative_size=small_header.weights_bytes / header.weights_bytes,
        n_gpu_layers=ALL_LAYERS if on_gpu and needed <= free else 0,
    )


def use_of(settings: Settings) -> Use:
    """What these settings load a model for."""
    return Use.RESIDENT if settings.resident else Use.ONE_SHOT


def open_engine(
    settings: Settings,
    model: StoredModel,
    found: Sequence[Device],
    machine: Machine,
    clock: Callable[[], float],
    *,
    directories: Directories,
    use: Use = Use.ONE_SHOT,
    on_reading: Callable[[], None] = lambda: None,
) -> "LlamaEngine":
    """Load a model into this process; KV prefixes and what is known of model files are kept on disk.

    What was tuned for this `use` is read there. `on_reading` is called when llama.cpp has begun to read the
    file, and Python has time for other work.

    Raises:
        ModelError: the file is damaged, or the memory does not hold it.
        ConfigError: a setting that this model can't have.
    """
    from aigc_cli.engine.loading import ModelLoading  # loads llama.cpp

    header = known_header(model.path, directories.headers)
    placement = placement_of(settings, header, found, machine)
    choice = choice_for(
        settings,
        model.path,
        found,
        machine,
        on_gpu=placement.n_gpu_layers != 0,
        use=use,
        directory=directories.tuning,
    )
    draft = draft_options(settings, model, header, placement, machine=machine, directories=directories)
    n_gpu_layers, repack = placement.n_gpu_layers, choice.setting.repack_weights
    with ModelLoading(model.path, n_gpu_layers=n_gpu_layers, repack_weights=repack) as loading:
        on_reading()
        # these import numpy and jinja2: while the file is read
        from aigc_cli.engine.engine_options import EngineOptions
        from aigc_cli.engine.llama import LlamaEngine

        options = EngineOptions(
            path=model.path,
            name=model.name,
            n_ctx=placement.n_ctx,
            n_gpu_layers=n_gpu_layers,
            **asdict(choice.setting),
            batch_steps=choice.batch_steps,
            draft=draft,
            origins=choice.origins,
            guard_loops=settings.loop_guard,
            sampling=recommended_sampling(model.spec),
            sha256=model.sha256,
            kv_directory=directories.kv,
            kv_limit_bytes=int(settings.kv_cache_gb * 1e9),
        )
        return LlamaEngine(options, clock, loading)
