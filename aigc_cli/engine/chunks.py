"""The objects of a streamed answer to events: text, probabilities, progress, counts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aigc_cli.errors import EngineError, ServerGone
from aigc_cli.events import (
    Alternative,
    Delta,
    Done,
    Event,
    FinishReason,
    Prefill,
    Queued,
    Stats,
    TokenLogprob,
)

Chunk = Mapping[str, Any]

_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "limit": FinishReason.LENGTH,  # llama-server's /infill
    "loop": FinishReason.LOOP,
    "interrupted": FinishReason.INTERRUPTED,
    "abort": FinishReason.INTERRUPTED,  # vLLM, when it is shut down
}
_CUT = {"content_filter": "its content filter", "insufficient_system_resource": "a lack of resources"}


@dataclass(slots=True)
class _Candidate:
    """One of the replies of a stream, as far as it has come."""

    n_tokens: int = 0
    reason: FinishReason | None = None
    usage: Chunk | None = None
    timings: Chunk | None = None


@dataclass(slots=True)
class ReplyReader:
    """Reads one streamed answer.

    Attributes:
        n_candidates: how many replies it holds.
        n_alternatives: how many alternatives were asked for at each token; more are left out.
        refused: what an error object in the stream means.
    """

    clock: Callable[[], float]
    n_candidates: int
    n_alternatives: int | None
    refused: Callable[[Chunk], Exception]
    _started: float = field(init=False)
    _first_text: float | None = None
    _candidates: list[_Candidate] = field(init=False)
    _shared_usage: Chunk | None = None
    # all that an interrupted reply tells of its prompt
    _read_so_far: Prefill = field(default_factory=lambda: Prefill(0, 0, 0))

    def __post_init__(self) -> None:
        """Time starts when the request was sent."""
        self._started = self.clock()
        self._candidates = [_Candidate() for _ in range(self.n_candidates)]

    def events(self, chunks: Iterable[Chunk | None]) -> Iterator[Event]:
        """The events of the answer, `Done` and all.

        Raises:
            ServerGone: it ended before the replies did.
            AigcError: the server says what went wrong.
        """
        for chunk in chunks:
            if chunk is None:
                break
            yield from self._read(chunk)
        else:
            if any(candidate.reason is None for candidate in self._candidates):
                raise ServerGone(
                    "the server broke off in the middle of its answer", "look at its log, and try again"
                )
        yield from self.ends(FinishReason.STOP)

    def ends(self, reason: FinishReason) -> Iterator[Done]:
        """The end of each candidate; `reason` is for those that the server has not ended."""
        for number, candidate in enumerate(self._candidates):
            yield Done(candidate.reason or reason, self._stats(candidate), number)

    def _read(self, chunk: Chunk) -> Iterator[Event]:
        if "error" in chunk or chunk.get("object") == "error":
            raise self.refused(chunk)
        if isinstance(ahead := _mapping(chunk, "x_aigc").get("queue"), int):
            yield Queued(ahead)
        progress = chunk.get("prompt_progress")
        # each of several candidates tells its own progress: one after another's text says nothing more
        if isinstance(progress, Mapping) and self._first_text is None:
            self._read_so_far = Prefill(
                done=_whole(progress, "processed"),
                total=_whole(progress, "total"),
                cached=_whole(progress, "cache"),
            )
            yield self._read_so_far
        for choice in _choices(chunk):
            yield from self._read_choice(choice, chunk)
        self._read_counts(chunk)

    def _read_choice(self, choice: Chunk, chunk: Chunk) -> Iterator[Event]:
        number = _whole(choice, "index")
        if not 0 <= number < self.n_candidates:
            raise EngineError(f"the server's answer holds a reply {number} that nobody asked for")
        candidate = self._candidates[number]
        text, tokens = _text(choice), self._tokens(choice)
        if text or tokens:
            if self._first_text is None:
                self._first_text = self.clock()
            n_tokens = _whole(_mapping(chunk, "x_aigc"), "n_tokens", len(tokens) or 1)
            candidate.n_tokens += n_tokens
            yield Delta(text, n_tokens, number, tokens)
        reason = _mapping(chunk, "x_aigc").get("finish_reason") or choice.get("finish_reason")
        if reason in _CUT:
            raise EngineError(f"the server cut the reply: {_CUT[reason]}", "ask in other words")
        if isinstance(reason, str):
            candidate.reason = _REASONS.get(reason, FinishReason.STOP)

    def _tokens(self, choice: Chunk) -> tuple[TokenLogprob, ...]:
        if self.n_alternatives is None:
            return ()
        logprobs = _mapping(choice, "logprobs")
        entries = logprobs.get("content") or choice.get("completion_probabilities")
        if isinstance(entries, list):
            return tuple(
                _token(entry, self.n_alternatives) for entry in entries if isinstance(entry, Mapping)
            )
        return tuple(_legacy_tokens(logprobs, self.n_alternatives))

    def _read_counts(self, chunk: Chunk) -> None:
        """Counts belong to the candidate that the chunk names, to the one that just ended, or to all."""
        usage, timings = chunk.get("usage"), chunk.get("timings")
        if not isinstance(usage, Mapping) and not isinstance(timings, Mapping):
            return
        choices = _choices(chunk)
        if choices:
            candidate = self._candidates[_whole(choices[0], "index")]
        else:
            ended = [each for each in self._candidates if each.reason is not None and each.usage is None]
            candidate = ended[-1] if ended else self._candidates[-1]
        if isinstance(usage, Mapping):
            candidate.usage = self._shared_usage = usage
        if isinstance(timings, Mapping):
            candidate.timings = timings

    def _stats(self, candidate: _Candidate) -> Stats:
        now = self.clock()
        first = self._first_text if self._first_text is not None else now
        alone = self.n_candidates == 1 or all(each.usage for each in self._candidates)
        usage = (candidate.usage if alone else self._shared_usage) or {}
        timings = candidate.timings or {}
        cached = _whole(timings, "cache_n", self._read_so_far.cached)
        cached = _whole(_mapping(usage, "prompt_tokens_details"), "cached_tokens", cached)
        prompt = _whole(usage, "prompt_tokens", self._read_so_far.total)
        counted = _whole(timings, "predicted_n", candidate.n_tokens)
        return Stats(
            prompt_tokens=prompt,
            cached_tokens=cached,
            reply_tokens=_whole(usage, "completion_tokens", counted) if alone else candidate.n_tokens,
            prefill_s=_seconds(timings, "prompt_ms", first - self._started),
            decode_s=_seconds(timings, "predicted_ms", now - first),
            drafted_tokens=_whole(timings, "draft_n"),
            accepted_tokens=_whole(timings, "draft_n_accepted"),
        )


def _choices(chunk: Chunk) -> list[Chunk]:
    choices = chunk.get("choices")
    if isinstance(choices, list):
        return [choice for choice in choices if isinstance(choice, Mapping)]
    if isinstance(chunk.get("content"), str):  # llama-server's own shape, as /infill answers
        return [{**chunk, "finish_reason": chunk.get("stop_type", "stop") if chunk.get("stop") else None}]
    return []


def _text(choice: Chunk) -> str:
    for holder in (_mapping(choice, "delta"), _mapping(choice, "message")):
        if isinstance(text := holder.get("content"), str):
            return text
    text = choice.get("text", choice.get("content"))
    return text if isinstance(text, str) else ""


def _token(entry: Chunk, n_alternatives: int) -> TokenLogprob:
    alternatives = entry.get("top_logprobs")
    listed = alternatives if isinstance(alternatives, list) else []
    best = [Alternative(_piece(each), _logprob(each)) for each in listed if isinstance(each, Mapping)]
    return TokenLogprob(_piece(entry), _logprob(entry), tuple(best[:n_alternatives]))


def _legacy_tokens(logprobs: Chunk, n_alternatives: int) -> Iterator[TokenLogprob]:
    """The shape of OpenAI's older completions: lists side by side."""
    tokens, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list):
        return
    tops = logprobs.get("top_logprobs")
    tops = tops if isinstance(tops, list) else [None] * len(tokens)
    for token, value, top in zip(tokens, values, tops, strict=False):
        pairs = sorted(top.items(), key=lambda pair: -pair[1]) if isinstance(top, Mapping) else []
        best = tuple(
            Alternative(str(text).encode(), float(number)) for text, number in pairs[:n_alternatives]
        )
        yield TokenLogprob(str(token).encode(), float(value or 0.0), best)


def _piece(entry: Chunk) -> bytes:
    spelled = entry.get("bytes")
    if isinstance(spelled, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in spelled):  # noqa: PLR2004  # a byte
        return bytes(spelled)
    return str(entry.get("token", "")).encode("utf-8", "replace")


def _logprob(entry: Chunk) -> float:
    value = entry.get("logprob")
    return float(value) if isinstance(value, int | float) else 0.0


def _mapping(holder: Chunk, name: str) -> Chunk:
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _whole(holder: Chunk, name: str, otherwise: int = 0) -> int:
    value = holder.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _seconds(timings: Chunk, name: str, otherwise: float) -> float:
    value = timings.get(name)
    return value / 1000 if isinstance(value, int | float) else otherwise
