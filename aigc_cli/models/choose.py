"""Which model to run: the one that was named, or the best one for the machine.

The estimate: decoding reads every weight once a token, so its speed is memory bandwidth over file size. One
core draws about 13.5 GB/s (measured: 22-28 tokens/s of a 1.1 GB file on 2 cores), and a desktop's memory
gives about 60 GB/s in all. Below 10 tokens/s an answer comes slower than people read.
"""

import difflib
from pathlib import Path

from aigc_cli.errors import InvalidModelFile, ModelNotFound
from aigc_cli.models.catalog import Catalog, ModelSpec
from aigc_cli.models.gguf import read_header
from aigc_cli.models.machine import Machine
from aigc_cli.models.store import ModelStore, StoredModel

CORE_BANDWIDTH = 13.5e9  # bytes/s
MEMORY_BANDWIDTH = 60e9  # bytes/s
USABLE_SPEED = 10.0  # tokens/s
DEFAULT_CONTEXT = 8_192  # tokens that must fit beside the weights
SYSTEM_RESERVE = 1 << 30  # bytes left to everything else on the machine
GPU_RESERVE = 512 << 20  # bytes of a GPU's memory left to the screen and the driver


def decode_speed(size_bytes: int, machine: Machine) -> float:
    """Estimated tokens per second on the CPU for a model file of this size."""
    return min(machine.n_cores * CORE_BANDWIDTH, MEMORY_BANDWIDTH) / size_bytes


def fits(memory_bytes: int, machine: Machine) -> bool:
    """Whether this much fits into the machine's memory, or into its GPU's, beside what else must run."""
    return (
        memory_bytes + SYSTEM_RESERVE <= machine.memory_bytes
        or memory_bytes + GPU_RESERVE <= machine.gpu_memory_bytes
    )


def is_usable(spec: ModelSpec, machine: Machine) -> bool:
    """Whether the model fits with its default context and answers at a usable speed."""
    needed = spec.memory_bytes(min(DEFAULT_CONTEXT, spec.n_ctx_train))
    if needed + GPU_RESERVE <= machine.gpu_memory_bytes:
        return True
    return fits(needed, machine) and decode_speed(spec.expected_bytes, machine) >= USABLE_SPEED


def choose_default(catalog: Catalog, machine: Machine) -> ModelSpec:
    """The largest model for any use that runs well here; the smallest one where none does."""
    candidates = [spec for spec in catalog if spec.commercial_use and not spec.for_tests]
    candidates.sort(key=lambda spec: spec.expected_bytes)
    usable = [spec for spec in candidates if is_usable(spec, machine)]
    return usable[-1] if usable else candidates[0]


def locate(
    name: str | None, catalog: Catalog, store: ModelStore, machine: Machine
) -> StoredModel | ModelSpec:
    """The model to run: a `StoredModel` that is on disk, or a `ModelSpec` that must be pulled first.

    Args:
        name: a path, or the name, alias or file name of a stored or known model; None means the person's
            default (`aigc models use`), else the default for the machine. When that is not on disk but
            another usable model is, the largest such one: who has a model does not wait for a download.
        catalog: the known models.
        store: what is on disk.
        machine: what the model must run on.

    Raises:
        ModelNotFound: no file, no stored and no known model has this name.
    """
    return _locate_default(catalog, store, machine) if name is None else locate_named(name, catalog, store)


def locate_named(name: str, catalog: Catalog, store: ModelStore) -> StoredModel | ModelSpec:
    """The model of this name, as `locate` finds it; the machine does not matter.

    Raises:
        ModelNotFound: no file, no stored and no known model has this name.
    """
    if stored := store.find(name):
        return stored
    if spec := catalog.find(name):
        return spec
    path = Path(name).expanduser()
    if path.is_file():
        size_bytes = path.stat().st_size
        spec = catalog.find(path.name)
        if spec and spec.size_bytes not in (None, size_bytes):
            spec = None  # another file under a known name
        licence = spec.licence if spec else None
        return StoredModel(path.stem, path.absolute(), size_bytes, None, "a file", licence, spec)
    raise ModelNotFound(name, name_hint(name, catalog, store))


def _locate_default(catalog: Catalog, store: ModelStore, machine: Machine) -> StoredModel | ModelSpec:
    if store.default and (stored := store.find(store.default)):
        return stored
    chosen = choose_default(catalog, machine)
    if stored := store.find(chosen.name):
        return stored
    on_disk = [model for model in store.list() if _can_chat(model, machine)]
    return max(on_disk, key=lambda model: model.size_bytes, default=chosen)


def _can_chat(model: StoredModel, machine: Machine) -> bool:
    if model.spec:
        return not model.spec.for_tests and fits(model.spec.memory_bytes(DEFAULT_CONTEXT), machine)
    try:
        header = read_header(model.path)
    except InvalidModelFile:
        return False
    return header.chat_template is not None and fits(header.memory(DEFAULT_CONTEXT).total_bytes, machine)


def name_hint(name: str, catalog: Catalog, store: ModelStore) -> str:
    """What to do next when this name means nothing: the names that come close, or where to look."""
    if name.startswith(("hf:", "http://", "https://")):
        return f"aigc models pull {name}"
    if "/" in name or name.endswith(".gguf"):
        return "the file does not exist; aigc models list shows the names"
    names = {spec.name for spec in catalog} | {model.name for model in store.list()}
    aliases = {alias: spec.name for spec in catalog for alias in spec.aliases}
    close = difflib.get_close_matches(name.casefold(), [*names, *aliases], n=3, cutoff=0.5)
    found = list(dict.fromkeys(aliases.get(match, match) for match in close))
    return f"did you mean {' or '.join(found)}? aigc models list" if found else "aigc models list"
