"""Gets a model file from the first source that gives it, verifies it, and puts it into the store."""

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never
from urllib.parse import unquote, urlsplit

from aigc_cli.errors import InvalidModelFile, ModelNotFound, PullError, UsageError
from aigc_cli.models import hub, package_index, web
from aigc_cli.models.catalog import Catalog, HuggingFace, PackageIndex, Source
from aigc_cli.models.choose import name_hint
from aigc_cli.models.gguf import read_header
from aigc_cli.models.local_file import bring_in
from aigc_cli.models.partial import Partial
from aigc_cli.models.source import Job, OnProgress, Progress, SourceError
from aigc_cli.models.store import ModelStore, StoredModel
from aigc_cli.models.web import WebFile

SPARE_BYTES = 64 << 20  # what must stay free beside the file
LOCK_POLL_S = 0.5
FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Target:
    """The file that a reference means, and where it can come from."""

    name: str
    filename: str
    sources: tuple[Source | WebFile, ...]
    size_bytes: int | None = None
    sha256: str | None = None
    licence: str | None = None


def free_disk_bytes(directory: Path) -> int:
    """Free space of the file system that the directory is on."""
    return shutil.disk_usage(directory).free


def pull(
    reference: str,
    *,
    catalog: Catalog,
    store: ModelStore,
    env: Mapping[str, str],
    on_progress: OnProgress,
    free_bytes: FreeBytes = free_disk_bytes,
) -> StoredModel:
    """Bring a model to the store; one that is there already is returned as it is.

    An interrupted pull keeps what it has: the same call goes on from there. Two at once are safe: the second
    waits for the first.

    Args:
        reference: a catalog name, `hf:OWNER/REPO[:FILE or QUANTIZATION]`, an http(s) address, or a file.
        catalog: the known models.
        store: where the file goes.
        env: `HF_ENDPOINT`, `HF_TOKEN`, and everything that pip looks at.
        on_progress: called often, from this thread.
        free_bytes: tells a directory's free space.

    Raises:
        ModelNotFound: the reference means nothing.
        UsageError: what follows `hf:` is no repository.
        PullError: no source gave the file; the message names each and why.
        InvalidModelFile: a local file is no usable model.
    """
    try:
        store.partial_directory.mkdir(parents=True, exist_ok=True)
        return _Pull(catalog, store, env, on_progress, free_bytes).run(reference)
    except OSError as error:
        raise _disk_error(error, store) from error


@dataclass(frozen=True, slots=True)
class _Pull:
    """The world that one pull works in."""

    catalog: Catalog
    store: ModelStore
    env: Mapping[str, str]
    on_progress: OnProgress
    free_bytes: FreeBytes

    def run(self, reference: str) -> StoredModel:
        path = Path(reference).expanduser()
        if self.catalog.find(reference) is None and _means_a_file(reference, path):
            return self.bring_in(path)
        target = self.resolve(reference)
        with _lock(self.store, target.filename, self.on_progress):
            return _already_there(self.store, target) or self.fetch(target)

    def bring_in(self, path: Path) -> StoredModel:
        """A local file; one inside the store's directory is there already."""
        if path.parent.resolve() == self.store.directory.resolve() and (stored := self.store.find(path.name)):
            return stored
        with _lock(self.store, path.name, self.on_progress):
            _refuse_clash(self.store, path.name)
            return bring_in(path, self.catalog, self.store, self.on_progress, self.require_space)

    def resolve(self, reference: str) -> Target:
        """The file that a reference means."""
        if spec := self.catalog.find(reference):
            return Target(spec.name, spec.filename, spec.sources, spec.size_bytes, spec.sha256, spec.licence)
        if on_hub := _hub_reference(reference, self.env):
            return _resolve_on_hub(*on_hub, self.env, self.on_progress)
        if not reference.startswith(("http://", "https://")):
            raise ModelNotFound(reference, name_hint(reference, self.catalog, self.store))
        filename = _safe_filename(unquote(urlsplit(reference).path.rpartition("/")[2]))
        return Target(Path(filename).stem.casefold(), filename, (WebFile(reference),))

    def fetch(self, target: Target) -> StoredModel:
        """The first source that gives a file with the right bytes."""
        directory = self.store.partial_directory / target.filename
        failures: list[str] = []
        for source in _in_order(target.sources, self.env):
            job = Job(
                directory / _kind(source),
                source.label,
                target.size_bytes,
                target.sha256,
                self.on_progress,
                self.require_space,
            )
            try:
                partial = _fetch_verified(source, job, self.env)
            except SourceError as error:
                failures.append(f"{source.label}: {error}")
                continue
            stored = self.keep(partial, target, source.label)
            shutil.rmtree(directory, ignore_errors=True)
            return stored
        raise PullError(
            f"no source gave {target.name}: {'; '.join(failures)}",
            "check the network, set HF_ENDPOINT to a mirror, or pull a file: aigc models pull FILE",
        )

    def keep(self, partial: Partial, target: Target, label: str) -> StoredModel:
        """Move the verified bytes into the store; a known hash gives a known name."""
        spec = self.catalog.find_by_sha256(partial.sha256)
        return self.store.add(
            partial.path,
            target.filename,
            name=spec.name if spec else target.name,
            source=label,
            sha256=partial.sha256,
            licence=spec.licence if spec else target.licence,
        )

    def require_space(self, n_bytes: int) -> None:
        """Raise PullError unless the disk can hold so many bytes more."""
        free = self.free_bytes(self.store.directory)
        if n_bytes + SPARE_BYTES > free:
            raise PullError(
                f"not enough disk space: {n_bytes / 1e9:.2f} GB to come, {free / 1e9:.2f} GB free "
                f"in {self.store.directory}",
                "free some space, or set AIGC_HOME to a directory on another disk",
            )


def _means_a_file(reference: str, path: Path) -> bool:
    return not reference.startswith(("hf:", "http://", "https://")) and path.is_file()


def _hub_reference(reference: str, env: Mapping[str, str]) -> tuple[str, str | None, str | None] | None:
    """Repository, file or quantization, and revision, for `hf:` and for an address on the hub itself."""
    if reference.startswith("hf:"):
        repo, _, selector = reference.removeprefix("hf:").partition(":")
        if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repo):
            raise UsageError(f"{reference!r} names no repository", "hf:OWNER/REPO, hf:OWNER/REPO:Q4_K_M")
        return repo, selector or None, None
    for base in {hub.endpoint(env), hub.DEFAULT_ENDPOINT}:
        page = re.escape(base) + r"/([^/?]+/[^/?]+)/(?:resolve|blob)/([^/?]+)/([^?]+)(?:\?.*)?"
        if match := re.fullmatch(page, reference):
            return match[1], unquote(match[3]), match[2]
    return None


def _resolve_on_hub(
    repo: str, selector: str | None, revision: str | None, env: Mapping[str, str], on_progress: OnProgress
) -> Target:
    source = HuggingFace(repo, selector or "", revision or "main")
    if revision is None:
        on_progress(Progress("connect", source.label))
        try:
            found = hub.find_file(repo, selector, env)
        except SourceError as error:
            raise PullError(f"{source.label}: {error}", "aigc models list shows the known models") from error
        target = Target("", "", (found.source,), found.size_bytes, found.sha256, found.licence)
        source = found.source
    else:
        target = Target("", "", (source,))
    filename = _safe_filename(source.filename.rpartition("/")[2])
    return replace(target, name=Path(filename).stem.casefold(), filename=filename)


def _safe_filename(name: str) -> str:
    """A plain file name: no directory, no leading dot, nothing that a terminal or shell would interpret."""
    plain = re.sub(r"[^\w.+-]", "-", name).lstrip(".-") or "model"
    return plain if plain.casefold().endswith(".gguf") else f"{plain}.gguf"


def _already_there(store: ModelStore, target: Target) -> StoredModel | None:
    models = store.list()
    if target.sha256 and (same := next((m for m in models if m.sha256 == target.sha256), None)):
        return same
    stored = next((model for model in models if model.path.name == target.filename), None)
    if stored is None or (target.size_bytes and stored.size_bytes != target.size_bytes):
        return None  # a file of another size under a known model's name is replaced
    if stored.sha256 and stored.source in {source.label for source in target.sources}:
        return stored
    if target.sha256 and store.verify(stored.name):
        return store.find(stored.name)
    _refuse_clash(store, target.filename)
    return None


def _refuse_clash(store: ModelStore, filename: str) -> None:
    if stored := next((model for model in store.list() if model.path.name == filename), None):
        raise PullError(
            f"{filename} is on disk already, from another source: {stored.source}",
            f"aigc models rm {stored.name}",
        )


def _in_order(sources: tuple[Source | WebFile, ...], env: Mapping[str, str]) -> list[Source | WebFile]:
    """As listed; but who named a Hugging Face endpoint wants it asked first."""
    if not env.get("HF_ENDPOINT"):
        return list(sources)
    return sorted(sources, key=lambda source: not isinstance(source, HuggingFace))


def _kind(source: Source | WebFile) -> str:
    return "packages" if isinstance(source, PackageIndex) else "web"


def _fetch_verified(source: Source | WebFile, job: Job, env: Mapping[str, str]) -> Partial:
    """The source's bytes, checked.

    Raises:
        SourceError: the source can't be reached, or gives other bytes than it should.
    """
    job.report("connect")
    match source:
        case HuggingFace():
            found = hub.look_up(source, env)
            if job.sha256 and found.sha256 and found.sha256 != job.sha256:
                raise SourceError(f"it has another file there: SHA-256 {found.sha256}, expected {job.sha256}")
            size, sha256 = job.size_bytes or found.size_bytes, job.sha256 or found.sha256
            job = replace(job, sha256=sha256, size_bytes=size)
            partial = web.download(found.url, found.headers, job)
        case PackageIndex():
            partial = package_index.download(source, env, job)
        case WebFile():
            partial = web.download(source.url, hub.USER_AGENT, job)
        case _:
            assert_never(source)
    job.report("verify", partial.size, partial.size)
    if problem := _problem(partial, job):
        partial.discard()
        raise SourceError(f"{problem}; the download was deleted")
    return partial


def _problem(partial: Partial, job: Job) -> str:
    """What is wrong with the downloaded bytes: their number, their hash or their header; empty if nothing."""
    if job.size_bytes is not None and partial.size != job.size_bytes:
        return f"it gave {partial.size:,} bytes, expected {job.size_bytes:,}"
    if job.sha256 and partial.sha256 != job.sha256:
        return f"wrong SHA-256 {partial.sha256}, expected {job.sha256}"
    try:
        read_header(partial.path)
    except InvalidModelFile as error:
        return error.message.removeprefix(f"{partial.path.name}: ")
    return ""


def _disk_error(error: OSError, store: ModelStore) -> PullError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return PullError(
        f"{error.filename or store.directory}: {os.strerror(error.errno) if error.errno else error}",
        "free some space; the same command resumes the pull" if full else "aigc models list",
    )


@contextmanager
def _lock(store: ModelStore, filename: str, on_progress: OnProgress) -> Iterator[None]:
    """Only one process at a time pulls a file. The lock is the kernel's: it ends with the process."""
    from filelock import FileLock, Timeout  # 20 ms; only a pull needs it

    lock = FileLock(store.partial_directory / f"{filename}.lock")
    while True:
        try:
            lock.acquire(timeout=LOCK_POLL_S)
            break
        except Timeout:
            on_progress(Progress("wait", "another pull of this file"))
    try:
        yield
    finally:
        lock.release()
