"""A server on this machine that speaks Hugging Face's protocol, serves plain files, and can be told to fail.

Two addresses, as in life: the hub answers for metadata and redirects downloads to another origin (its CDN).
A Python package index lives beside it, under /simple/.
"""

import hashlib
import io
import json
import re
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 4096


@dataclass
class Faults:
    """How the server misbehaves.

    Attributes:
        status, error_code: of every metadata answer, when set.
        cut_after: body bytes after which the connection is closed; each entry serves one download.
        claimed_extra: added to the Content-Length of downloads.
        ignores_range: always sends the whole file.
        corrupt: flips a byte of what is downloaded.
        etag: of downloads, instead of the right one; None sends none.
        hold: downloads stop after 16 KiB until this is set.
        range_lies: answers a range with another part of the file.
    """

    status: int = 0
    error_code: str = ""
    cut_after: list[int] = field(default_factory=list)
    claimed_extra: int = 0
    ignores_range: bool = False
    corrupt: bool = False
    etag: str | None = ""
    hold: threading.Event | None = None
    range_lies: bool = False


@dataclass(frozen=True)
class Seen:
    """One request, as it came."""

    method: str
    path: str
    host: str
    headers: Mapping[str, str]


@dataclass
class HubServer:
    """What it serves and what it saw.

    Attributes:
        files: content by path in the repository owner/repo.
        wheels: content by file name; the package index lists them.
    """

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    wheels: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    seen: list[Seen] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=lambda: {"license": "mit"})

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cdn(self) -> str:
        return f"http://localhost:{self.port}"

    def downloads(self) -> list[Seen]:
        return [one for one in self.seen if one.method == "GET" and one.path.startswith("/cdn/")]

    def add_wheel(self, name: str, members: Mapping[str, bytes], version: str = "1.0") -> None:
        """Publish a wheel that holds these files."""
        archive = io.BytesIO()
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
            for path, content in members.items():
                wheel.writestr(path, content)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        self.wheels[f"{name}-{version}-py3-none-any.whl"] = archive.getvalue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name for it
        """Say nothing: the test reads `seen`."""

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.partition("?")[0]
        self.hub.seen.append(Seen(self.command, path, headers.get("host", ""), headers))
        if path.startswith("/cdn/"):
            self._send_file(self.hub.files.get(path.removeprefix("/cdn/")))
        elif path.startswith("/wheels/"):
            self._send_file(self.hub.wheels.get(path.removeprefix("/wheels/")))
        elif path.startswith("/simple/"):
            self._send_index(path.split("/")[2])
        elif self.hub.faults.status:
            self._refuse(self.hub.faults.status, self.hub.faults.error_code)
        elif path.startswith("/api/models/"):
            self._send_model_info()
        elif match := re.fullmatch(r"/[^/]+/[^/]+/resolve/[^/]+/(.+)", path):
            self._redirect(match[1])
        else:
            self._refuse(404, "RepoNotFound")

    def _refuse(self, status: int, error_code: str = "") -> None:
        self.send_response(status)
        if error_code:
            self.send_header("X-Error-Code", error_code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_body(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_model_info(self) -> None:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "lfs": {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 134,
                },
            }
            for name, content in self.hub.files.items()
        ]
        answer = {
            "id": "owner/repo",
            "sha": COMMIT,
            "siblings": siblings,
            "cardData": self.hub.card,
            "tags": [],
        }
        self._send_body(json.dumps(answer).encode(), "application/json")

    def _redirect(self, name: str) -> None:
        content = self.hub.files.get(name)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        self.send_response(302)
        self.send_header("Location", f"{self.hub.cdn}/cdn/{name}")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("ETag", '"pointer"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, content: bytes | None) -> None:
        faults = self.hub.faults
        if content is None:
            self._refuse(404)
            return
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"' if faults.etag == "" else faults.etag
        if faults.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = self._range_start(etag, len(content))
        if start > len(content) or (start and start == len(content)):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            shown = start + 1 if faults.range_lies else start
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        if etag is not None:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content) - start + faults.claimed_extra))
        self.end_headers()
        if self.command == "GET":
            self._send_pieces(content[start:])

    def _range_start(self, etag: str | None, size: int) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or self.hub.faults.ignores_range or (condition is not None and condition != etag):
            return 0
        return min(int(asked[1]), size)

    def _send_pieces(self, body: bytes) -> None:
        faults = self.hub.faults
        cut = faults.cut_after.pop(0) if faults.cut_after else len(body)
        for at in range(0, min(cut, len(body)), CHUNK):
            if faults.hold is not None and at >= 4 * CHUNK:
                faults.hold.wait(30)
            try:
                self.wfile.write(body[at : min(at + CHUNK, cut)])
                self.wfile.flush()
            except OSError:  # the client went away
                return
        if cut < len(body) or faults.claimed_extra:
            self.close_connection = True

    def _send_index(self, package: str) -> None:
        names = [name for name in self.hub.wheels if name.split("-")[0].replace("_", "-") == package]
        if not names:
            self._refuse(404)
            return
        links = "".join(f'<a href="/wheels/{name}">{name}</a><br>' for name in names)
        self._send_body(f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests; any other error is not."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # the base class's own types


@contextmanager
def serving() -> Iterator[HubServer]:
    """A hub that runs until the end of the block."""
    hub = HubServer()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        if hub.faults.hold is not None:
            hub.faults.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
