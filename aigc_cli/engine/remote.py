"""The Engine protocol over OpenAI-compatible HTTP: our own server, llama-server, Ollama, vLLM, gateways."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from aigc_cli.engine.base import Chat, Engine, EngineInfo, Request
from aigc_cli.engine.cancellation import Cancelled
from aigc_cli.engine.chunks import Chunk, ReplyReader
from aigc_cli.engine.client import Client
from aigc_cli.engine.count import count_tokens
from aigc_cli.engine.dialect import AIGC, Continuation, Dialect
from aigc_cli.engine.encode import Json, encode, shapes_choices
from aigc_cli.engine.estimate import estimate_request
from aigc_cli.engine.exchange import Answer, Patience
from aigc_cli.engine.loop_watch import LoopWatch
from aigc_cli.engine.refusal import is_web_page, read_body, refusal, streamed_error, web_page
from aigc_cli.engine.reply_shape import after_prefix, unwrapped_choice
from aigc_cli.engine.server_adapters import by_file, by_number
from aigc_cli.engine.server_info import ServerInfo, discover, model_names
from aigc_cli.engine.sse import objects, parse_object
from aigc_cli.errors import AigcError, ContextOverflow, EngineError, Interrupted
from aigc_cli.events import Delta, Event, FinishReason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a server before it is asked.

    Attributes:
        model: the name to send; None takes the server's only one.
        n_ctx: the window, where the server does not tell or a smaller one is wanted.
        server: everything, which saves asking.
        user: tells this client's requests from those of others in the server's line; empty: nothing is told.
        guard_loops: stop a reply that repeats itself; our own server does so by itself.
        reads_files: it is an engine of this person on this machine, and reads adapters by their paths.
    """

    model: str | None = None
    n_ctx: int | None = None
    server: ServerInfo | None = None
    guard_loops: bool = False
    user: str = ""
    reads_files: bool = False


class RemoteEngine(Engine):
    """Runs each request on a server, one connection each; the server sees it when one is cancelled."""

    def __init__(self, client: Client, clock: Callable[[], float], expected: Expected | None = None) -> None:
        """Nothing is sent yet: the server is asked what it is when that is first needed."""
        self._client = client
        self._clock = clock
        self._expected = expected or Expected()
        self._server = self._expected.server
        self._closed = False

    @property
    def info(self) -> EngineInfo:
        """The model at work and its limits, as the server tells them.

        Raises:
            AigcError: the server does not answer, or does not want to.
        """
        return self._asked(lambda: self._discovered().engine)

    @property
    def dialect(self) -> Dialect:
        """Which kind of server that is."""
        return self._asked(lambda: self._discovered().dialect)

    @property
    def listed_models(self) -> tuple[str, ...]:
        """The models that the server listed when it was first asked; none before that."""
        return self._server.models if self._server else ()

    def model_names(self) -> tuple[str, ...]:
        """The models that the server lists."""
        return self._asked(lambda: model_names(self._client))

    def count(self, request: Request) -> int:
        """Length of the request's prompt in tokens; where the server does not count, rather too much."""
        return self._asked(
            lambda: count_tokens(
                self._client, self._discovered().dialect, self._discovered().engine.model, request
            )
        )

    def stream(self, request: Request) -> Iterator[Event]:
        """Yield the events of one reply; see `Engine.stream`."""
        if self._closed:
            raise EngineError("the engine is closed")
        self._client.cancellation.clear()
        return self._reply(request)

    def cancel(self) -> None:
        """End the request at work; harmless when there is none."""
        self._client.cancellation.request()

    def close(self) -> None:
        """Nothing is left open. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._client.cancellation.request()
            self._client.cancellation.close()

    def _asked(self, question: Callable[[], T]) -> T:
        """An answer of the server, outside a reply."""
        self._client.cancellation.clear()
        try:
            return question()
        except Cancelled:
            raise Interrupted from None

    def _discovered(self) -> ServerInfo:
        if self._server is None:
            self._server = discover(self._client, self._expected.model, self._expected.n_ctx)
        return self._server

    def _reply(self, request: Request) -> Iterator[Event]:
        reader = ReplyReader(self._clock, request.candidates, request.top_logprobs, self._streamed)
        try:
            server = self._discovered()
            with closing(self._events(request, server, reader)) as events:
                yield from self._shaped(request, server.dialect, events)
        except Cancelled:
            yield from reader.ends(FinishReason.INTERRUPTED)

    def _shaped(self, request: Request, dialect: Dialect, events: Iterator[Event]) -> Iterator[Event]:
        """The reply in the form that the request promises, where the server can only be asked for it."""
        if shapes_choices(request.constraint, dialect):
            return unwrapped_choice(events)
        if isinstance(request.prompt, Chat) and dialect.continuation is Continuation.ASK:
            prefix = request.prompt.reply_prefix
            return after_prefix(events, prefix) if prefix else events
        return events

    def _events(
        self, request: Request, server: ServerInfo, reader: ReplyReader
    ) -> Generator[Event, None, None]:
        if server.dialect.cuts_silently:
            self._refuse_overlong(request, server)
        encoded = encode(request, server.engine.model, server.dialect)
        address = self._client.address
        path = (address.root if encoded.is_native else address.api) + encoded.route
        patience = Patience(self._client.timeouts.first_byte_s)
        named = {"user": self._expected.user} if self._expected.user else {}
        body = encoded.body | named | self._lora(request, server.dialect)
        with self._client.ask(path, body, patience) as answer:
            if answer.status != HTTPStatus.OK:
                raise refusal(answer, address.label, server.engine.model)
            watch = self._loop_watch(request, server)
            for event in reader.events(self._chunks(answer)):
                yield event
                if not isinstance(event, Delta):
                    continue
                patience.seconds = self._client.timeouts.idle_s
                if watch and watch.push(event.text):
                    yield from reader.ends(FinishReason.LOOP)
                    return

    def _lora(self, request: Request, dialect: Dialect) -> Json:
        if request.adapters is None:
            return {}
        if self._expected.reads_files:
            return by_file(request.adapters)
        return by_number(self._client, dialect, request.adapters)

    def _loop_watch(self, request: Request, server: ServerInfo) -> LoopWatch | None:
        """None where several replies come mixed: ending one would end all."""
        watches = self._expected.guard_loops and server.dialect is not AIGC and request.candidates == 1
        return LoopWatch(request.prediction) if watches else None

    def _chunks(self, answer: Answer) -> Iterable[Chunk | None]:
        if is_web_page(answer):
            raise web_page(self._client.address.label)
        if "json" in answer.headers.get("content-type", ""):  # a server that does not stream: one piece, then
            return (parse_object(read_body(answer)), None)
        return objects(answer.body)

    def _streamed(self, chunk: Chunk) -> AigcError:
        return streamed_error(chunk, self._client.address.label, self._discovered().engine.model)

    def _refuse_overlong(self, request: Request, server: ServerInfo) -> None:
        n_tokens = estimate_request(request)
        if n_tokens > server.engine.n_ctx:
            raise ContextOverflow(
                n_tokens,
                server.engine.n_ctx,
                f"{server.dialect.name} would cut it silently; --context says so if the window is larger",
            )
