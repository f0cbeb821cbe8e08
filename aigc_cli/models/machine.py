"""What the machine offers a model: memory, cores, the GPU's memory."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_CPUINFO_BYTES = 4096  # the first processor of many
_MEMINFO_LIKE_INFINITY = 1 << 60  # cgroup v1 writes a number near 2**63 for "no limit"


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory in bytes, physical cores that this process may use.

    Attributes:
        gpu_memory_bytes: free memory of the GPU that llama.cpp would use; 0 without one.
    """

    memory_bytes: int
    available_bytes: int
    n_cores: int
    gpu_memory_bytes: int = 0


def this_machine(gpu_memory_bytes: int = 0, cgroup: Path = _CGROUP) -> Machine:
    """The machine that this process runs on, within the limits of its container."""
    import psutil  # 15 ms; --help must not pay it

    memory = psutil.virtual_memory()
    limit, used = _cgroup_memory(cgroup)
    total = min(memory.total, limit)
    available = min(memory.available, max(total - used, 0) if limit < memory.total else memory.available)
    return Machine(total, available, _cores(psutil.cpu_count, cgroup), gpu_memory_bytes)


def cpu_name(cpuinfo: Path = _CPUINFO) -> str:
    """What the processor calls itself; its architecture where it says nothing."""
    try:
        with cpuinfo.open("rb") as file:
            lines = file.read(_CPUINFO_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    import platform  # 5 ms, and on some systems it starts a program

    return platform.processor() or platform.machine()


def _cores(count: Callable[..., int | None], cgroup: Path) -> int:
    # Hyperthreads share one core's memory port: only physical cores make decoding faster.
    physical = count(logical=False) or count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed, _cgroup_cores(cgroup)))


def _cgroup_cores(cgroup: Path) -> int:
    """Whole cores of the CPU quota; a large number without one."""
    words = _read(cgroup / "cpu.max").split()  # "200000 100000", or "max 100000"
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):  # noqa: PLR2004  # quota and period
        return max(1, int(words[0]) // int(words[1]))
    return 1 << 16


def _cgroup_memory(cgroup: Path) -> tuple[int, int]:
    """Limit and use of the container's memory in bytes, version 2 or 1; no limit is a huge one."""
    for limit_file, usage_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit = _read(cgroup / limit_file)
        if limit.isdigit() and 0 < int(limit) < _MEMINFO_LIKE_INFINITY:
            usage = _read(cgroup / usage_file)
            return int(limit), int(usage) if usage.isdigit() else 0
    return _MEMINFO_LIKE_INFINITY, 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
