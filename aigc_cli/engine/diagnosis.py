"""What `aigc doctor` reports of the engine: library, devices, and what a model would take here."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.config import Settings
from aigc_cli.engine.connect import choice_for, devices, machine_with, placement_of, use_of
from aigc_cli.engine.placement import Device, Placement
from aigc_cli.engine.tuning import Choice
from aigc_cli.models.gguf import MemoryEstimate, read_header
from aigc_cli.models.machine import Machine
from aigc_cli.models.store import StoredModel

# How to get a build of llama.cpp for a GPU, by what the machine seems to have; see docs/install.md.
GPU_BUILDS = {
    "CUDA": ("GGML_CUDA", "an NVIDIA GPU with the CUDA toolkit"),
    "Metal": ("GGML_METAL", "an Apple GPU"),
    "Vulkan": ("GGML_VULKAN", "any GPU with a Vulkan driver and SDK"),
    "HIP": ("GGML_HIP", "an AMD GPU with ROCm"),
}
REINSTALL = "pip install --force-reinstall --no-deps --no-cache-dir llama-cpp-python"


@dataclass(frozen=True, slots=True)
class LibraryReport:
    """llama.cpp as it was built.

    Attributes:
        features: CPU features and build flags in use, by backend.
    """

    version: str
    supports_gpu: bool
    features: Mapping[str, str]
    devices: tuple[Device, ...]
    machine: Machine


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model under the settings in force: where and how it would run, and what it would take."""

    placement: Placement
    choice: Choice
    memory: MemoryEstimate


def inspect_library() -> LibraryReport:
    """Ask the library and the machine."""
    from aigc_cli.engine import library  # loads llama.cpp, 0.2 s

    found = devices()
    return LibraryReport(
        version=library.library_version(),
        supports_gpu=library.supports_gpu_offload(),
        features=library.build_features(),
        devices=found,
        machine=machine_with(found),
    )


def inspect_model(
    settings: Settings, model: StoredModel, report: LibraryReport, tuning_directory: Path | None = None
) -> ModelReport:
    """How this model would run, and what it would take, without loading it.

    Raises:
        ModelError: the file is damaged, or the memory does not hold it.
    """
    header = read_header(model.path)
    placement = placement_of(settings, header, report.devices, report.machine)
    return ModelReport(
        placement=placement,
        choice=choice_for(
            settings,
            model.path,
            report.devices,
            report.machine,
            on_gpu=placement.n_gpu_layers != 0,
            use=use_of(settings),
            directory=tuning_directory,
        ),
        memory=header.memory(placement.n_ctx),
    )


def gpu_advice(report: LibraryReport, system: str | None = None) -> tuple[str, ...]:
    """Lines: whether a GPU is in use, and what to do to get one."""
    gpus = [device for device in report.devices if device.is_gpu]
    if gpus:
        return (
            f"layers go to {', '.join(gpu.description for gpu in gpus)}; --gpu-layers 0 keeps to the CPU",
        )
    if report.supports_gpu:
        return ("this build can use a GPU, and finds none: look at its driver",)
    kinds = ("Metal",) if (system or platform.system()) == "Darwin" else ("CUDA", "Vulkan", "HIP")
    return (
        "this build of llama.cpp is for the CPU only; a build for a GPU comes from one of",
        *(
            f'CMAKE_ARGS="-D{flag}=on" {REINSTALL}  # {what}'
            for flag, what in map(GPU_BUILDS.__getitem__, kinds)
        ),
    )
