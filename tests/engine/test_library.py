"""What this build of llama.cpp says of itself."""

import os
import subprocess
import sys

import pytest

from aigc_cli.engine import library


def test_the_cpu_is_among_the_devices_and_has_memory() -> None:
    (cpu,) = [device for device in library.list_devices() if not device.is_gpu and "CPU" in device.name]
    assert cpu.description
    assert cpu.total_bytes >= cpu.free_bytes > 0


def test_build_features_name_the_cpu_backend() -> None:
    features = library.build_features()
    assert "CPU" in features
    assert features["CPU"]


def test_the_abort_callback_reads_the_flag() -> None:
    import ctypes

    callback = library.c_abort_callback()
    flag = ctypes.create_string_buffer(2)
    assert callback(ctypes.addressof(flag)) is False
    flag[0] = b"\x01"
    assert callback(ctypes.addressof(flag)) is True


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_briefly_unless_the_person_said_otherwise(given: dict[str, str], expected: str) -> None:
    script = "import os, aigc_cli.engine.library; print(os.environ.get('GOMP_SPINCOUNT'))"
    unset = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    run = subprocess.run(
        [sys.executable, "-c", script], env=unset | given, check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == expected
