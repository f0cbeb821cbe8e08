"""The local engine: a model and a context window behind the Engine protocol."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, assert_never

from aigc_cli.engine.adapters import AdapterShelf
from aigc_cli.engine.base import Adapter, Chat, EngineInfo, Infill, JsonSchema, Request, Text
from aigc_cli.engine.batch_costs import BatchCosts
from aigc_cli.engine.chat_template import ChatTemplate, ReplyMemory
from aigc_cli.engine.constrain import JSON_CLOSERS, to_gbnf
from aigc_cli.engine.context import FLASH_ATTENTION_AUTO, FLASH_ATTENTION_OFF, Context
from aigc_cli.engine.decode import Decoding
from aigc_cli.engine.engine_options import DraftOptions, EngineOptions
from aigc_cli.engine.infill import infill_tokens
from aigc_cli.engine.kv_store import KvStore
from aigc_cli.engine.loading import ModelLoading
from aigc_cli.engine.logprobs import LogprobReader
from aigc_cli.engine.model import Model
from aigc_cli.engine.pace import paced
from aigc_cli.engine.reply import Limits, Reply
from aigc_cli.engine.sampler import (
    ConstrainedSampler,
    GreedySampler,
    Sampler,
    TopSampler,
    for_candidate,
    unconstrained_sampler,
)
from aigc_cli.engine.saved_prefixes import (
    LONG_PREFILL,
    CacheReport,
    HeldSequence,
    SavedPrefixes,
    identity,
)
from aigc_cli.engine.sequence import TokenSequence
from aigc_cli.engine.speculate import Speculation
from aigc_cli.engine.tuning import EXACT_KV
from aigc_cli.errors import EngineError
from aigc_cli.events import Event

if TYPE_CHECKING:
    from aigc_cli.engine.draft_model import DraftModel
    from aigc_cli.engine.model_drafter import ModelDrafter

CLOSING_TOKENS = 32  # kept free for the end of a constrained reply, beside the tokens of the schema itself
USUAL_FILL = 512  # tokens kept free for what is filled in, when the request names no limit


@dataclass(frozen=True, slots=True)
class _Ended:
    """The worker has nothing more to say."""

    error: BaseException | None = None


class LlamaEngine:
    """Runs llama.cpp in one worker thread.

    The thread leaves the caller's own free for Ctrl-C and for drawing: while a token is evaluated, the one
    before is rendered. All native calls but `abort` and tokenizing happen in the worker.
    """

    def __init__(
        self, options: EngineOptions, clock: Callable[[], float], loading: ModelLoading | None = None
    ) -> None:
        """Load the model, or wait for the one that is being loaded. Ctrl-C gives the load up.

        Raises:
            ModelLoadError: llama.cpp refused the file, or memory ran out.
        """
        self._options = options
        self._clock = clock
        self._saved = _open_store(options)
        self._replies = ReplyMemory(self._saved.reply_tokens if self._saved else lambda _text: None)
        self._used: list[tuple[TokenSequence, Request]] = []  # by requests since something was last saved
        self._batch_costs = BatchCosts(options.batch_steps)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="llama.cpp")
        self._closing = threading.Event()
        with loading or ModelLoading(
            options.path, n_gpu_layers=options.n_gpu_layers, repack_weights=options.repack_weights
        ) as started:
            opening = self._worker.submit(self._make_context, started)
            try:
                self._model, self._context = opening.result()
            except BaseException:
                self._closing.set()
                started.give_up()
                self._worker.shutdown(wait=True)
                raise
        self._draft_model: DraftModel | None = None
        self._model_drafter: ModelDrafter | None = None
        if options.draft:
            self._add_draft_model(options.draft)
        self._adapters = AdapterShelf(self._model)
        self._template: ChatTemplate | None = None
        self.info = EngineInfo(
            model=options.name,
            n_ctx=options.n_ctx,
            sampling=options.sampling,
            has_chat_template=self._model.chat_template is not None,
            has_infill=self._model.fill_tokens is not None,
        )

    def _make_context(self, loading: ModelLoading) -> tuple[Model, Context]:
        options, model = self._options, loading.result()
        try:
            on_evict = self._saved.save if self._saved else lambda _sequence: None
            return model, Context(model, options.context, on_evict)
        except BaseException:
            model.close()
            raise

    def _add_draft_model(self, options: DraftOptions) -> None:
        # imported for the few models that have one
        from aigc_cli.engine.draft_model import DraftModel
        from aigc_cli.engine.model_drafter import ModelDrafter

        self._draft_model = DraftModel(options, self._model.n_vocab)
        self._model_drafter = ModelDrafter(self._draft_model, self._batch_costs, self._clock)

    def stream(self, request: Request) -> Iterator[Event]:
        """Yield the events of one reply; see `Engine.stream`."""
        if self._closing.is_set():
            raise EngineError("the engine is closed")
        for context in self._abortable:
            context.allow()
        return self._consume(request)

    def _consume(self, request: Request) -> Iterator[Event]:
        events: SimpleQueue[Event | _Ended] = SimpleQueue()
        job = self._worker.submit(self._produce, request, events.put)
        try:
            while not isinstance(event := events.get(), _Ended):
                yield event
            if event.error is not None:
                raise event.error
        finally:
            if not job.done():
                self.cancel()
            wait([job])

    def _produce(self, request: Request, put: Callable[[Event | _Ended], None]) -> None:
        error: BaseException | None = None
        try:
            for event in self._decode(request):
                put(event)
        except BaseException as caught:  # noqa: BLE001  # raised again in the consumer's thread
            error = caught
        put(_Ended(error))
        # After the reply, and after the requests that wait already.
        with suppress(RuntimeError):  # the engine was closed meanwhile: that saves everything
            self._worker.submit(self._save_used)

    def _decode(self, request: Request) -> Iterator[Event]:
        self._adapt(request.adapters or ())
        prompt = self._prompt_tokens(request)
        with ExitStack() as stack:
            replies = [self._reply(number, request, stack) for number in range(request.candidates)]
            sequence = stack.enter_context(self._open(prompt, request))
            try:
                speculation = self._speculation(request, prompt, stack)
                rows = self._context.evaluate_rows
                decoding = Decoding(sequence, replies, rows, self._clock, speculation)
                yield from paced(decoding.run(prompt), self._clock)
            finally:
                self._note(sequence, len(prompt), replies, request)

    def _adapt(self, adapters: Sequence[Adapter]) -> None:
        wanted = self._adapters.fetch(adapters)
        self._context.adapt(wanted)
        self._adapters.trim(wanted)

    def _open(self, prompt: Sequence[int], request: Request) -> TokenSequence:
        if self._saved and len(prompt) <= self._context.n_ctx_limit:
            self._saved.restore(self._context, prompt, private=request.private)
        return self._context.open(prompt, private=request.private)

    def _note(
        self, sequence: TokenSequence, n_prompt: int, replies: Sequence[Reply], request: Request
    ) -> None:
        """Remember the tokens of the replies, and that there is something to save."""
        sequence.last_used_s = self._clock()
        saves = self._saved is not None and not request.private
        for reply in replies:
            pieces = [self._model.piece(token) for token in reply.tokens]
            tokens = self._replies.remember(reply.text, reply.tokens, pieces)
            if self._saved and saves and tokens:
                self._saved.note_reply(n_prompt, reply.text, tokens)
        if saves:
            self._used.append((sequence, request))

    def _save_used(self) -> None:
        """Save what a crash should not cost: long prefills, and what a cold start begins with."""
        used, self._used = self._used, []
        for sequence, request in used:
            if sequence.at_work or self._saved is None:
                continue
            if sequence.n_prompt - sequence.n_reused >= LONG_PREFILL:
                self._saved.save(sequence)
            if isinstance(request.prompt, Chat) and self._template:
                self._saved.save_beginning(self._context, sequence, self._template.beginning(request.prompt))

    def _save_all(self) -> None:
        self._save_used()
        for sequence in list(self._context.sequences):
            if self._saved:
                self._saved.save(sequence)

    @property
    def options(self) -> EngineOptions:
        """What it was loaded with."""
        return self._options

    def report(self) -> CacheReport:
        """What the KV cache holds, and how much of it is on disk; any thread may ask."""
        held = [
            HeldSequence(len(sequence.held), sequence.last_used_s, sequence.private)
            for sequence in reversed(list(self._context.sequences))
            if sequence.held
        ]
        saved = self._saved.size if self._saved else None
        context, draft = self._context, self._draft_model
        return CacheReport(
            context.capacity,
            context.n_ctx_limit,
            tuple(held),
            saved,
            self._adapters.names,
            draft_model=draft.name if draft and draft.is_at_work else None,
            n_evaluated=context.n_evaluated,
            n_decodes=context.n_decodes,
        )

    def _speculation(self, request: Request, prompt: list[int], stack: ExitStack) -> Speculation | None:
        # A rejected draft has to be taken back, which recurrent models and sliding windows can't do.
        can_take_back = self._context.can_truncate and not self._model.n_sliding_window
        if request.candidates > 1 or not self._options.speculate or not can_take_back:
            return None
        prediction = self._model.tokenize(request.prediction, special=False)
        if self._draft_model:
            stack.callback(self._draft_model.end)
        return Speculation(self._batch_costs, prediction, prompt, self._model_drafter)

    def _reply(self, number: int, request: Request, stack: ExitStack) -> Reply:
        """A candidate's reply; the stack frees what it needs."""
        sampling = request.sampling
        sampler, closing_tokens = self._sampler(request, number)
        stack.callback(sampler.close)
        copied = self._model.tokenize(request.prediction, special=False)
        guards = self._options.guard_loops
        limits = Limits(sampling.max_tokens, sampling.stop, guards, closing_tokens, tuple(copied))
        asked = request.top_logprobs
        probabilities = None if asked is None else LogprobReader(self._model, asked)
        return Reply(sampler, self._model, limits, number=number, probabilities=probabilities)

    def _sampler(
        self, request: Request, number: int
    ) -> tuple[Sampler | GreedySampler | TopSampler | ConstrainedSampler, int]:
        """A candidate's sampler, and how many tokens it needs to bring its reply to an end."""
        sampling = for_candidate(request.sampling, number)
        match request.constraint:
            case None:
                return unconstrained_sampler(self._model, sampling), 0
            case JsonSchema(schema) as constraint:
                grammar = to_gbnf(constraint)
                sampler = ConstrainedSampler(self._model, sampling, grammar, closers=JSON_CLOSERS)
                needed = CLOSING_TOKENS + len(self._model.tokenize(schema, special=False))
                return sampler, min(needed, (sampling.max_tokens or self.info.n_ctx) // 2)
            case constraint:
                return ConstrainedSampler(self._model, sampling, to_gbnf(constraint)), 0

    def count(self, request: Request) -> int:
        """Length of the request's prompt in tokens."""
        return len(self._prompt_tokens(request))

    def _prompt_tokens(self, request: Request) -> list[int]:
        match request.prompt:
            case Chat() as chat:
                return self._chat_template().tokens(chat)
            case Text(text):
                return self._model.tokenize(text, special=True, add_bos=self._model.adds_bos)
            case Infill() as infill:
                n_reply = request.candidates * (request.sampling.max_tokens or USUAL_FILL)
                return infill_tokens(self._model, infill, self.info.n_ctx, n_reply)
            case _:
                assert_never(request.prompt)

    def _chat_template(self) -> ChatTemplate:
        if self._template is None:
            self._template = ChatTemplate(self._model, self._replies)
        return self._template

    @property
    def n_vocab(self) -> int:
        """How many tokens the model knows."""
        return self._model.n_vocab

    @property
    def chat_template(self) -> str | None:
        """The model's own Jinja template."""
        return self._model.chat_template

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Token ids of a text; see `ModelText`."""
        return self._model.tokenize(text, special=special, add_bos=add_bos)

    def spelling(self, token: int) -> bytes:
        """The bytes of one token; see `ModelText`."""
        return self._model.spelling(token)

    def chat_text(self, chat: Chat) -> str:
        """A conversation as the model's template writes it; see `ModelText`."""
        return self._chat_template().render(chat.messages) + chat.reply_prefix

    def cancel(self) -> None:
        """End the request at work; harmless when there is none."""
        for context in self._abortable:
            context.abort()

    @property
    def _abortable(self) -> "Sequence[Context | DraftModel]":
        return (self._context, self._draft_model) if self._draft_model else (self._context,)

    def close(self) -> None:
        """Free the model. Closing twice is harmless."""
        if self._closing.is_set():
            return
        self._closing.set()
        self.cancel()
        self._worker.submit(self._save_all)
        self._worker.shutdown(wait=True)
        if self._draft_model:
            self._draft_model.close()
        self._context.close()
        self._adapters.close()
        self._model.close()


def _open_store(options: EngineOptions) -> SavedPrefixes | None:
    if options.kv_directory is None or not options.kv_limit_bytes:
        return None
    parameters: dict[str, object] = {
        "flash_attention": FLASH_ATTENTION_AUTO if options.flash_attention else FLASH_ATTENTION_OFF,
        "on_gpu": options.n_gpu_layers != 0,
        "repack_weights": options.repack_weights,
    }
    if options.kv_type != EXACT_KV:
        parameters["kv_type"] = options.kv_type
    directory = options.kv_directory

    def open_store(adapters: str) -> KvStore:
        """The store of what was read with these adapters."""
        facts = parameters | ({"adapters": adapters} if adapters else {})
        name = identity(options.path, options.sha256, facts)
        return KvStore(directory, name, options.kv_limit_bytes)

    try:
        return SavedPrefixes(open_store)
    except OSError:  # no such file: loading it says so
        return None
