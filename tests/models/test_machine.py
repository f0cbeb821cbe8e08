"""What the machine offers, within the limits of its container."""

from pathlib import Path

import psutil
import pytest

from aigc_cli.models.machine import this_machine


def test_without_a_container_the_whole_machine_counts(tmp_path: Path) -> None:
    machine = this_machine(cgroup=tmp_path)
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert 0 < machine.available_bytes <= machine.memory_bytes
    assert 1 <= machine.n_cores <= (psutil.cpu_count() or 1)


@pytest.mark.parametrize(
    ("limit_file", "usage_file"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_a_containers_memory_limit_counts(tmp_path: Path, limit_file: str, usage_file: str) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / limit_file).write_text("104857600\n")
    (tmp_path / usage_file).write_text("4857600\n")
    machine = this_machine(cgroup=tmp_path)
    assert machine.memory_bytes == 104_857_600
    assert machine.available_bytes == 100_000_000


@pytest.mark.parametrize("unlimited", ["max", "9223372036854771712", "", "garbage"])
def test_no_memory_limit_is_no_limit(tmp_path: Path, unlimited: str) -> None:
    (tmp_path / "memory.max").write_text(unlimited)
    assert this_machine(cgroup=tmp_path).memory_bytes == psutil.virtual_memory().total


def test_a_cpu_quota_counts_in_whole_cores_and_never_as_none(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000")
    assert this_machine(cgroup=tmp_path).n_cores == 1
    (tmp_path / "cpu.max").write_text("max 100000")
    assert this_machine(cgroup=tmp_path).n_cores >= 1


def test_the_gpus_memory_is_passed_on(tmp_path: Path) -> None:
    assert this_machine(gpu_memory_bytes=7, cgroup=tmp_path).gpu_memory_bytes == 7
