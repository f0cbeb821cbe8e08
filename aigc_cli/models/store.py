"""Model files on disk: list, verify, remove, the default.

A directory of GGUF files and `index.json`, which remembers where each came from. The files are the truth: one
that was put there by hand is listed too, an entry without its file is not.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_cli.atomic import write_atomically
from aigc_cli.errors import FileError, InvalidModelFile, ModelError, ModelNotFound
from aigc_cli.models.catalog import Catalog, ModelSpec, load_catalog
from aigc_cli.models.gguf import read_header

INDEX_VERSION = 1
HASH_CHUNK = 4 << 20  # bytes; large enough that SHA-256 and not the call decides the speed
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model file.

    Attributes:
        sha256: the hash that the file had when it was pulled or last verified; None when nobody looked.
        source: where it came from, in words.
        licence: None when it is not known.
        spec: the catalog's entry, for a known model.
    """

    name: str
    path: Path
    size_bytes: int
    sha256: str | None
    source: str
    licence: str | None
    spec: ModelSpec | None


class ModelStore:
    """The models in one directory, which need not exist yet."""

    def __init__(self, directory: Path, catalog: Catalog | None = None) -> None:
        self.directory = directory
        self._catalog = catalog or load_catalog()

    @property
    def partial_directory(self) -> Path:
        """Where unfinished downloads wait to be resumed."""
        return self.directory / ".partial"

    def list(self) -> tuple[StoredModel, ...]:
        """Every model file, by name."""
        entries = self._read_index()["models"]
        models: list[StoredModel] = []
        with suppress(OSError):
            for path in self.directory.iterdir():
                with suppress(FileNotFoundError):  # another process has just removed it
                    if _is_model_file(path):
                        models.append(self._describe(path, entries.get(path.name, {})))
        return tuple(sorted(models, key=lambda model: (model.name, model.path.name)))

    def find(self, name: str) -> StoredModel | None:
        """The stored model with this name, file name or (for a known model) alias, whatever the case."""
        wanted = name.strip().casefold()
        spec = self._catalog.find(name)
        for model in self.list():
            if wanted in {model.name.casefold(), model.path.name.casefold(), model.path.stem.casefold()}:
                return model
            if spec and model.spec == spec:
                return model
        return None

    def add(
        self, file: Path, filename: str, *, name: str, source: str, sha256: str, licence: str | None
    ) -> StoredModel:
        """Move a finished and verified file from the same file system to its final name, and remember it."""
        path = self.directory / filename
        with self._changing_index() as index:
            file.replace(path)
            entry = {
                "name": name,
                "source": source,
                "sha256": sha256,
                "licence": licence,
                "size_bytes": path.stat().st_size,
            }
            index["models"][filename] = entry
        return self._describe(path, entry)

    def remove(self, name: str) -> StoredModel:
        """Delete the model's file, and its unfinished downloads.

        Raises:
            ModelError: no stored model has this name.
            FileError: the file can't be deleted.
        """
        model = self.require(name)
        with self._changing_index() as index:
            try:
                model.path.unlink(missing_ok=True)
            except OSError as error:
                raise FileError(f"{model.path}: {error.strerror}") from error
            shutil.rmtree(self.partial_directory / model.path.name, ignore_errors=True)
            index["models"].pop(model.path.name, None)
            if index["default"] == model.name:
                index["default"] = None
        return model

    def verify(self, name: str, on_bytes: OnBytes | None = None) -> bool:
        """Check a stored file's header and hash it.

        Returns:
            True when the hash is the known one; False when none was known: it is now kept for the next time.

        Raises:
            ModelError: no stored model has this name.
            InvalidModelFile: the file is damaged, or its hash is another one.
        """
        model = self.require(name)
        read_header(model.path)
        found = hash_file(model.path, on_bytes)
        known = model.spec.sha256 if model.spec and model.spec.sha256 else model.sha256
        if known and found != known:
            raise InvalidModelFile(
                f"{model.path.name}: its SHA-256 is {found}, expected {known}",
                f"aigc models rm {model.name}, then pull it again",
            )
        if model.sha256 is None:
            with self._changing_index() as index:
                entry = {"name": model.name, "source": model.source, "licence": model.licence}
                index["models"][model.path.name] = entry | {"sha256": found, "size_bytes": model.size_bytes}
        return known is not None

    @property
    def default(self) -> str | None:
        """The name that `set_default` was given."""
        value = self._read_index()["default"]
        return value if isinstance(value, str) else None

    def set_default(self, name: str) -> StoredModel:
        """Use this stored model when none is named.

        Raises:
            ModelError: no stored model has this name.
        """
        model = self.require(name)
        with self._changing_index() as index:
            index["default"] = model.name
        return model

    def require(self, name: str) -> StoredModel:
        """The stored model with this name, as `find` does.

        Raises:
            ModelError: no stored model has this name.
        """
        if model := self.find(name):
            return model
        if known := self._catalog.find(name):
            raise ModelError(f"{known.name} is not on disk", f"aigc models pull {known.name}")
        raise ModelNotFound(name)

    def _describe(self, path: Path, entry: dict[str, Any]) -> StoredModel:
        size = path.stat().st_size
        if entry.get("size_bytes") != size:  # put there by hand, or changed since: nothing is known of it
            entry = {}
        spec = self._catalog.find(entry.get("name") or path.name)
        if spec and spec.size_bytes not in (None, size):
            spec = None
        return StoredModel(
            name=entry.get("name") or (spec.name if spec else path.stem.casefold()),
            path=path,
            size_bytes=size,
            sha256=entry.get("sha256"),
            source=entry.get("source") or "put into the directory by hand",
            licence=entry.get("licence") or (spec.licence if spec else None),
            spec=spec,
        )

    @property
    def _index_path(self) -> Path:
        return self.directory / "index.json"

    def _read_index(self) -> dict[str, Any]:
        try:
            index: dict[str, Any] = json.loads(self._index_path.read_text(encoding="utf-8"))
            if _is_index(index):
                return index
        except OSError:
            return _empty_index()
        except (ValueError, RecursionError):
            pass  # no JSON: set aside below, like JSON of another shape
        # The files are listed all the same; what is lost is where they came from.
        with suppress(OSError):
            self._index_path.replace(self._index_path.with_suffix(".json.damaged"))
        return _empty_index()

    @contextmanager
    def _changing_index(self) -> Iterator[dict[str, Any]]:
        from filelock import FileLock  # 20 ms; only a change needs it

        self.directory.mkdir(parents=True, exist_ok=True)
        with FileLock(self.directory / ".index.lock"):
            index = self._read_index()
            yield index
            text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
            write_atomically(self._index_path, text.encode("utf-8"))


def _empty_index() -> dict[str, Any]:
    return {"version": INDEX_VERSION, "default": None, "models": {}}


def _is_index(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() >= {"default", "models"}
        and isinstance(value["models"], dict)
        and all(_is_entry(entry) for entry in value["models"].values())
    )


def _is_entry(value: object) -> bool:
    texts = ("name", "source", "sha256", "licence")
    return isinstance(value, dict) and all(isinstance(value.get(key), str | None) for key in texts)


def _is_model_file(path: Path) -> bool:
    return path.suffix.casefold() == ".gguf" and not path.name.startswith(".") and path.is_file()


def hash_file(path: Path, on_bytes: OnBytes | None = None) -> str:
    """SHA-256 of a file in hexadecimal, with progress in bytes.

    Raises:
        FileError: it can't be read.
    """
    digest, done = hashlib.sha256(), 0
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(HASH_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if on_bytes:
                    on_bytes(done, total)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error
    return digest.hexdigest()
