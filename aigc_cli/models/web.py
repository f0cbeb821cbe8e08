"""A file from an HTTP server, resumed where it stopped.

Range requests with If-Range (RFC 9110, section 13.1.5): a server whose file changed since answers with the
whole new one. Bytes of a file whose SHA-256 is known need no validator: the hash decides in the end.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from aigc_cli.models.partial import Partial, held_identity
from aigc_cli.models.source import Job, SourceError

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT_S = 10.0  # "no network" is told in seconds
READ_TIMEOUT_S = 30.0
MAX_IDLE_RETRIES = 3  # attempts in a row that bring nothing
RETRY_PAUSE_S = 0.5
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file at an address."""

    url: str

    @property
    def label(self) -> str:
        """How messages name this source: without credentials or a signature."""
        return re.sub(r"//[^/@]*@", "//", self.url.partition("?")[0])


def download(url: str, headers: Mapping[str, str], job: Job) -> Partial:
    """Download a file, or the rest of it; a cut connection is taken up again.

    Raises:
        SourceError: the server can't be reached, refuses, or stops giving bytes.
        PullError: the disk can't hold the file.
    """
    import httpx2  # 0.2 s; only a pull needs it

    partial = Partial(job.directory, "web", f"sha256:{job.sha256}" if job.sha256 else _remembered(job))
    timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)
    with httpx2.Client(follow_redirects=True, timeout=timeout) as client:
        transfer = _Transfer(client, url, headers, job, partial)
        idle, received = 0, False
        while True:
            before = partial.size
            try:
                transfer.attempt()
            except httpx2.HTTPError as error:
                received = received or partial.size > before
                idle = 0 if partial.size > before else idle + 1
                if not received or idle >= MAX_IDLE_RETRIES:
                    raise SourceError(transfer.reason(error)) from error
                time.sleep(RETRY_PAUSE_S)
            except httpx2.InvalidURL as error:
                raise SourceError(f"not an address: {error}") from error
            else:
                return partial


def _remembered(job: Job) -> str:
    """The identity that unfinished bytes of this address have, if there are any."""
    held = held_identity(job.directory, "web")
    return held if held.startswith(_validated(job, "")) else ""


def _validated(job: Job, validator: str) -> str:
    return f"{job.label} {validator}"


@dataclass(slots=True)
class _Transfer:
    """One file on its way; `attempt` goes on where the last one stopped."""

    client: "httpx2.Client"
    url: str
    headers: Mapping[str, str]
    job: Job
    partial: Partial
    total: int | None = None

    def attempt(self) -> None:
        """Ask for the bytes that are missing, and keep what comes."""
        job, partial = self.job, self.partial
        if job.size_bytes is not None and partial.size == job.size_bytes:
            return  # an earlier pull stopped between the last byte and the verification
        job.report("connect", partial.size, job.size_bytes)
        with self.client.stream("GET", self.url, headers=self._request_headers()) as response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._end_or_restart(response)
                return
            if response.is_error:
                raise SourceError(_refusal(response.status_code))
            self._begin(response)
            for chunk in response.iter_raw():  # as it comes: gathered bytes would be lost with the connection
                partial.write(chunk)
                if self.total is not None and partial.size > self.total:
                    partial.discard()
                    raise SourceError(f"it gives more than the {self.total:,} bytes that the file has")
                job.report("download", partial.size, self.total)
        if self.total is not None and partial.size < self.total:
            raise SourceError(f"it gave {partial.size:,} of {self.total:,} bytes")

    def _request_headers(self) -> dict[str, str]:
        # Compression would make ranges and sizes those of the compressed bytes.
        headers = dict(self.headers) | {"Accept-Encoding": "identity"}
        if self.partial.size and self.partial.identity:
            headers["Range"] = f"bytes={self.partial.size}-"
            if not self.job.sha256:
                headers["If-Range"] = self.partial.identity.removeprefix(_validated(self.job, ""))
        return headers

    def _begin(self, response: "httpx2.Response") -> None:
        """Take up a partial answer at the right byte, or start anew with a whole one."""
        partial, job = self.partial, self.job
        length = response.headers.get("Content-Length", "")
        claimed = int(length) if length.isdigit() else None
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code == HTTPStatus.PARTIAL_CONTENT and match and match[1] == str(partial.size):
            claimed = int(match[2]) if match[2].isdigit() else None
        else:
            if response.status_code == HTTPStatus.PARTIAL_CONTENT:
                partial.restart("")
                raise SourceError("it answered with another part of the file than was asked for")
            partial.restart(self._identity(response))
        if job.size_bytes is not None and claimed not in (None, job.size_bytes):
            raise SourceError(f"its file has {claimed:,} bytes, expected {job.size_bytes:,}")
        self.total = job.size_bytes if job.size_bytes is not None else claimed
        if self.total is not None:
            job.require_space(self.total - partial.size)

    def _identity(self, response: "httpx2.Response") -> str:
        if self.job.sha256:
            return f"sha256:{self.job.sha256}"
        etag = response.headers.get("ETag", "")
        # A weak ETag ("W/") promises no equal bytes: it can't be used to resume.
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        return _validated(self.job, validator) if validator else ""

    def _end_or_restart(self, response: "httpx2.Response") -> None:
        """The server has nothing behind our last byte: we have all, or more than the file holds."""
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match and match[2] == str(self.partial.size):
            self.total = self.partial.size
            return
        if not self.partial.size:
            raise SourceError(_refusal(response.status_code))
        self.partial.restart("")
        self.attempt()

    def reason(self, error: "httpx2.HTTPError") -> str:
        """One line for a person."""
        import httpx2  # imported before this can be called

        at = f" at {self.partial.size:,}" + (f" of {self.total:,} bytes" if self.total else " bytes")
        match error:
            case httpx2.TimeoutException() if not self.partial.size:
                return f"no answer within {CONNECT_TIMEOUT_S:.0f} seconds"
            case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.ProxyError():
                return f"can't connect: {error}"
            case httpx2.TimeoutException():
                return f"it stopped answering{at}"
            case httpx2.TransportError():
                return f"the connection was cut{at}"
            case _:
                return str(error).partition("\n")[0] or type(error).__name__


def _refusal(status: int) -> str:
    meanings = {401: "it wants credentials", 403: "access is refused", 404: "no such file"}
    return meanings.get(status, "the server refuses") + f" (HTTP {status})"
