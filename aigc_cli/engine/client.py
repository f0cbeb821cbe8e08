"""Requests to one server: JSON answers and streams, with the key, the time-outs and few retries."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aigc_cli.engine.address import Address, Secret
from aigc_cli.engine.cancellation import Cancellation
from aigc_cli.engine.connection import Connection, Timeouts
from aigc_cli.engine.exchange import Answer, Call, Patience, exchange
from aigc_cli.engine.refusal import is_web_page, read_body, refusal, web_page
from aigc_cli.errors import AigcError, EngineError, ServerUnreachable

RETRY_PAUSES_S = (0.2, 0.6)  # a server that is just being started again is there after that


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks HTTP with the server at one address.

    Attributes:
        cancellation: ends whatever goes on.
        key: for the Authorization header.
        retry_pauses_s: before each new attempt to connect; none for who starts the server anew by itself.
    """

    address: Address
    key: Secret | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    cancellation: Cancellation = field(default_factory=Cancellation)
    retry_pauses_s: tuple[float, ...] = RETRY_PAUSES_S

    @contextmanager
    def ask(
        self, path: str, body: Mapping[str, Any] | None = None, patience: Patience | None = None
    ) -> Iterator[Answer]:
        """Send a request, a POST if there is a body; the connection ends with the context.

        Nothing but a connection that fails before the answer begins is tried again.

        Raises:
            Cancelled: somebody does not want to wait.
            ServerUnreachable: there is no server, or it hangs up without an answer.
            ServerGone: it fell silent.
        """
        headers = {"Authorization": f"Bearer {self.key.value}"} if self.key else {}
        call = Call(path, self.address.authority, headers, body)
        patience = patience or Patience(self.timeouts.first_byte_s)
        with self._without_key():
            connection, answer = self._begin(call, patience)
            try:
                yield answer
            finally:
                connection.close()

    def _begin(self, call: Call, patience: Patience) -> tuple[Connection, Answer]:
        for pause_s in self.retry_pauses_s:
            try:
                return self._begin_once(call, patience)
            except ServerUnreachable:
                self.cancellation.wait(pause_s)
        return self._begin_once(call, patience)

    def _begin_once(self, call: Call, patience: Patience) -> tuple[Connection, Answer]:
        connection = Connection(self.address, self.cancellation, self.timeouts.connect_s)
        try:
            return connection, exchange(connection, call, patience)
        except BaseException:
            connection.close()
            raise

    def fetch(
        self, path: str, body: Mapping[str, Any] | None = None, *, model: str = ""
    ) -> Mapping[str, Any]:
        """The JSON object that a route answers with.

        Raises:
            AigcError: the server refuses, or answers with something else.
        """
        with self.ask(path, body) as answer:
            if answer.status != HTTPStatus.OK:
                raise refusal(answer, self.address.label, model)
            value = _object(self.parse(answer))
        if value is None:
            raise (
                web_page(self.address.label)
                if is_web_page(answer)
                else EngineError(
                    f"{self.address.label}: {path} answers with no JSON object", "check base_url"
                )
            )
        return value

    def probe(self, path: str) -> tuple[Mapping[str, Any] | None, Mapping[str, str]]:
        """What a route answers with, if the server has it, and the headers."""
        with self.ask(path) as answer:
            value = _object(self.parse(answer)) if answer.status == HTTPStatus.OK else None
            return value, answer.headers

    def parse(self, answer: Answer) -> Any:
        """The JSON value that an answer holds; None for one that is no JSON."""
        try:
            return json.loads(read_body(answer))
        except (ValueError, RecursionError):
            return None

    @contextmanager
    def _without_key(self) -> Iterator[None]:
        """A server may repeat the key that it refuses; nobody else is told."""
        try:
            yield
        except AigcError as error:
            if self.key and self.key.value in f"{error.message}{error.hint}":
                error.message, error.hint = self.key.out_of(error.message), self.key.out_of(error.hint)
                error.args = (error.message,)
            raise


def _object(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None
