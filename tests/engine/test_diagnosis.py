"""The doctor's findings, with devices that the test describes and with the real ones."""

from pathlib import Path

import pytest

from aigc_cli.config import Settings
from aigc_cli.engine.diagnosis import LibraryReport, gpu_advice, inspect_library, inspect_model
from aigc_cli.engine.placement import Device
from aigc_cli.models.machine import Machine
from aigc_cli.models.store import StoredModel
from tests.tiny_model import N_CTX

GB = 10**9
GPU = Device("CUDA0", "a card", is_gpu=True, free_bytes=8 * GB, total_bytes=8 * GB)


def report(*, supports_gpu: bool, devices: tuple[Device, ...] = ()) -> LibraryReport:
    return LibraryReport("0.3.36", supports_gpu, {"CPU": "AVX2"}, devices, Machine(16 * GB, 8 * GB, 4))


def test_a_gpu_in_use_is_named() -> None:
    (line,) = gpu_advice(report(supports_gpu=True, devices=(GPU,)))
    assert "a card" in line


def test_a_gpu_build_without_a_gpu_points_to_the_driver() -> None:
    (line,) = gpu_advice(report(supports_gpu=True))
    assert "driver" in line


@pytest.mark.parametrize(
    ("system", "flags"), [("Darwin", ("GGML_METAL",)), ("Linux", ("GGML_CUDA", "GGML_VULKAN", "GGML_HIP"))]
)
def test_a_cpu_build_is_told_how_to_get_a_gpu_build(system: str, flags: tuple[str, ...]) -> None:
    advice = "\n".join(gpu_advice(report(supports_gpu=False), system))
    assert all(f'CMAKE_ARGS="-D{flag}=on"' in advice for flag in flags)
    assert "pip install" in advice


def test_the_library_reports_its_version_devices_and_machine() -> None:
    library = inspect_library()
    assert library.version
    assert library.devices
    assert library.machine.n_cores >= 1
    assert library.machine.memory_bytes >= library.machine.available_bytes > 0


def test_a_model_is_placed_without_being_loaded(tiny_model: Path) -> None:
    model = StoredModel("tiny", tiny_model, tiny_model.stat().st_size, None, "a file", None, None)
    found = inspect_model(Settings(threads=1), model, report(supports_gpu=True, devices=(GPU,)))
    assert found.placement.n_ctx == N_CTX
    assert found.placement.n_gpu_layers == -1
    assert found.choice.setting.n_threads == 1
    assert 0 < found.memory.weights_bytes < found.memory.total_bytes
