"""Where a server is: `http://host:port`, `https://gateway/api/v1`, or the path of a Unix-domain socket."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from aigc_cli.errors import ConfigError

Scheme = Literal["http", "https", "unix"]
_PORTS = {"http": 80, "https": 443}
_WHERE = "base_url is like http://localhost:8080/v1 or unix:/run/user/1000/server.sock"
# only what can stand in a request line: a space or line break there would begin another header
_PLAIN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Address:
    """A server and the two places where its routes begin.

    Attributes:
        host: name or number, or the path of the socket.
        root: path before the server's own routes, such as /props; empty or like `/llm`.
        api: path before OpenAI's routes, such as /chat/completions; mostly `root` and `/v1`.
    """

    scheme: Scheme
    host: str
    port: int = 0
    root: str = ""
    api: str = "/v1"

    @property
    def label(self) -> str:
        """How messages name the server."""
        if self.scheme == "unix":
            return f"unix:{self.host}"
        return f"{self.scheme}://{self.authority}{self.api.removesuffix('/v1') or ''}"

    @property
    def authority(self) -> str:
        """What the Host header says."""
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_address(url: str) -> Address:
    """Read a base URL. One without a path gets OpenAI's `/v1`; a path is taken as it is.

    Raises:
        ConfigError: it is no address that can be used; its text is not repeated if it may hold a password.
    """
    text = url.strip()
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path.startswith("/"):
            raise ConfigError(f"not the path of a socket: {text}", _WHERE)
        return Address("unix", path)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("base_url is no address", _WHERE) from None
    if "@" in parts.netloc:
        raise ConfigError(
            "base_url holds a user name or password", "OPENAI_API_KEY or api_key_command gives the key"
        )
    if parts.scheme not in ("http", "https"):
        hint = f"base_url = http://{text}" if re.match(r"[\w.-]+(:\d+)?(/|$)", text) else _WHERE
        raise ConfigError(f"base_url says neither http:// nor https://: {text}", hint)
    if not host or not _PLAIN.fullmatch(text) or parts.query or parts.fragment:
        raise ConfigError(f"base_url is no address of a server: {text}", _WHERE)
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    root = path.removesuffix("/v1")
    return Address(scheme, host, port or _PORTS[scheme], root, path or "/v1")


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that no message, log or traceback shows."""

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what can't stand in a header."""
        if not _PLAIN.fullmatch(self.value):
            raise ConfigError(
                "the API key holds characters that no key has",
                "look for a space or a line break in OPENAI_API_KEY, or in what api_key_command prints",
            )

    def out_of(self, text: str) -> str:
        """A text without this key in it."""
        return text.replace(self.value, "***")
