"""A model file that is on this machine already: linked into the store, or copied."""

import shutil
from collections.abc import Callable
from pathlib import Path

from aigc_cli.models.catalog import Catalog
from aigc_cli.models.gguf import read_header
from aigc_cli.models.source import OnProgress, Progress
from aigc_cli.models.store import HASH_CHUNK, ModelStore, StoredModel, hash_file


def bring_in(
    path: Path,
    catalog: Catalog,
    store: ModelStore,
    on_progress: OnProgress,
    require_space: Callable[[int], None],
) -> StoredModel:
    """Put a local file into the store: as a hard link where the file system allows it, else as a copy.

    A link takes no space, and the original can be deleted. The model's `source` says which of the two it was.

    Raises:
        InvalidModelFile: it is no usable model.
        PullError: the disk can't hold a copy.
    """
    read_header(path)
    original = path.resolve()
    filename = path.name if path.suffix.casefold() == ".gguf" else f"{path.name}.gguf"
    directory = store.partial_directory / filename
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / "local"
    temporary.unlink(missing_ok=True)
    how = "linked"
    try:
        temporary.hardlink_to(original)
    except OSError:  # another file system, or one without links
        how = "copied"
        require_space(original.stat().st_size)
        _copy(original, temporary, on_progress)
    label = f"{how} from {original}"
    sha256 = hash_file(temporary, lambda done, total: on_progress(Progress("verify", label, done, total)))
    spec = catalog.find_by_sha256(sha256)
    stored = store.add(
        temporary,
        filename,
        name=spec.name if spec else Path(filename).stem.casefold(),
        source=label,
        sha256=sha256,
        licence=spec.licence if spec else None,
    )
    shutil.rmtree(directory, ignore_errors=True)
    return stored


def _copy(original: Path, target: Path, on_progress: OnProgress) -> None:
    done, total = 0, original.stat().st_size
    with original.open("rb") as source, target.open("wb") as copy:
        while chunk := source.read(HASH_CHUNK):
            copy.write(chunk)
            done += len(chunk)
            on_progress(Progress("download", f"copying {original}", done, total))
