"""Keeps what was measured, a file for each machine and model, and the usual shape of this person's requests.

A file that is damaged, or that another machine, another build of llama.cpp or another model wrote, counts as
none: it is measured again.
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

from aigc_cli.atomic import write_atomically
from aigc_cli.engine.installed_build import build_stamp
from aigc_cli.engine.placement import Device
from aigc_cli.engine.tuning import KV_TYPES, LARGEST_UBATCH, USUAL_SHAPE, Measured, Setting, Shape, Tuning
from aigc_cli.models.machine import Machine, cpu_name

VERSION = 1
_GIB = 1 << 30
_HEAD_BYTES, _TAIL_BYTES = 1 << 20, 1 << 16
_MOST_THREADS = 1024
_MOST_MEASURED = 256
_SHAPE_FILE = "shape.json"
LEAST_REPLIES = 20  # before that, a few odd requests would decide
MOST_REPLIES = 400  # then the old ones count half: what a person does changes


def machine_facts(machine: Machine, found: Sequence[Device]) -> dict[str, Any]:
    """What a measurement depends on beside the model."""
    return {
        "cpu": cpu_name(),
        "cores": machine.n_cores,
        "memory_gib": round(machine.memory_bytes / _GIB),
        "gpus": [device.description or device.name for device in found if device.is_gpu],
        "llama_cpp": build_stamp(),
    }


def model_digest(path: Path) -> str:
    """Names a model by the size, the start and the end of its file.

    Raises:
        OSError: it can't be read.
    """
    size = path.stat().st_size
    digest = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_HEAD_BYTES))
        file.seek(max(0, size - _TAIL_BYTES))
        digest.update(file.read())
    return digest.hexdigest()


class TuningStore:
    """The measurements on one machine."""

    def __init__(self, directory: Path, machine: Mapping[str, Any]) -> None:
        self._directory = directory
        self._machine = dict(machine)

    def path(self, model: Path) -> Path:
        """The file for this model.

        Raises:
            OSError: the model can't be read.
        """
        text = json.dumps([self._machine, model_digest(model)], sort_keys=True)
        return self._directory / f"{blake2b(text.encode(), digest_size=12).hexdigest()}.json"

    def read(self, model: Path) -> Tuning | None:
        """What is known of this model; None when there is nothing, or nothing that can be trusted."""
        if not self._directory.is_dir():
            return None
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            fact = json.loads(self.path(model).read_text(encoding="utf-8"))
            if fact["version"] == VERSION and fact["machine"] == self._machine:
                return _tuning(fact)
        return None

    def write(self, model: Path, name: str, tuning: Tuning) -> None:
        """Keep what was measured.

        Raises:
            OSError: it can't be written.
        """
        fact = {"version": VERSION, "machine": self._machine, "model": name, **asdict(tuning)}
        _write_json(self.path(model), fact)

    def forget(self, model: Path) -> bool:
        """Delete what is known of this model; False when there was nothing.

        Raises:
            OSError: it can't be deleted.
        """
        path = self.path(model)
        existed = path.exists()
        path.unlink(missing_ok=True)
        return existed


def _write_json(path: Path, fact: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(fact, indent=2) + "\n").encode())


def _tuning(fact: Mapping[str, Any]) -> Tuning:
    rows = fact["measured"][:_MOST_MEASURED]
    if not isinstance(fact["on_gpu"], bool) or not rows:
        raise ValueError
    measured = tuple(_measured(row) for row in rows)
    return Tuning(measured, fact["on_gpu"], _positive(fact["took_s"]), float(fact["busy"]))


def _measured(row: Mapping[str, Any]) -> Measured:
    return Measured(
        _setting(row["setting"]),
        _positive(row["prefill_tokens_per_s"]),
        _positive(row["decode_tokens_per_s"]),
        _positive(row["load_s"]),
        int(_positive(row["memory_bytes"])),
        {int(n_rows): _positive(steps) for n_rows, steps in row["batch_steps"].items()},
    )


def _setting(values: Mapping[str, Any]) -> Setting:
    setting = Setting(**{f.name: values[f.name] for f in fields(Setting)})
    counts = (setting.n_threads, setting.n_threads_prefill, setting.n_ubatch)
    flags = (setting.repack_weights, setting.flash_attention)
    if not all(type(count) is int for count in counts) or not all(type(flag) is bool for flag in flags):
        raise TypeError
    fits = min(counts) > 0 and max(counts[:2]) <= _MOST_THREADS and setting.n_ubatch <= LARGEST_UBATCH
    if not fits or setting.kv_type not in KV_TYPES:
        raise ValueError
    return setting


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError
    return float(value)


def read_shape(directory: Path) -> Shape:
    """The usual request of this person; the usual one of all until enough are known."""
    n_replies, n_prompt, n_reply = _read_counts(directory)
    if n_replies < LEAST_REPLIES:
        return USUAL_SHAPE
    return Shape(round(n_prompt / n_replies), round(n_reply / n_replies))


def add_to_shape(directory: Path, n_replies: int, n_prompt: int, n_reply: int) -> None:
    """Count an engine's replies, the prompt tokens that it had to read for them, and those it wrote."""
    if not n_replies:
        return
    before = _read_counts(directory)
    after = [old + new for old, new in zip(before, (n_replies, n_prompt, n_reply), strict=True)]
    while after[0] > MOST_REPLIES:
        after = [count // 2 for count in after]
    fact = dict(zip(("replies", "read_tokens", "written_tokens"), after, strict=True))
    with suppress(OSError):  # a full disk: the next engine chooses by what was known before
        _write_json(directory / _SHAPE_FILE, fact)


def _read_counts(directory: Path) -> tuple[int, int, int]:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        fact = json.loads((directory / _SHAPE_FILE).read_text(encoding="utf-8"))
        counts = (fact["replies"], fact["read_tokens"], fact["written_tokens"])
        if all(type(count) is int and 0 <= count < 1 << 53 for count in counts):
            return counts
    return 0, 0, 0
