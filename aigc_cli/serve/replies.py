"""What the engine says, as JSON: one object for a whole answer, or one chunk after the other.

Three dialects: OpenAI's chat, OpenAI's older text completions, and llama-server's own for /infill.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aigc_cli import __version__
from aigc_cli.events import Delta, Done, FinishReason, Prefill, Stats, TokenLogprob
from aigc_cli.serve.counts import (
    FINISH_REASONS,
    STOP_TYPES,
    chat_logprobs,
    text_logprobs,
    timings,
    together,
    usage,
)

Json = dict[str, Any]
FINGERPRINT = f"aigc-{__version__}"


@dataclass(slots=True)
class Candidate:
    """One reply as far as it is known."""

    text: str = ""
    tokens: list[TokenLogprob] = field(default_factory=list)
    done: Done | None = None

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ended; a reply without an end was interrupted."""
        return self.done.finish_reason if self.done else FinishReason.INTERRUPTED

    @property
    def stats(self) -> Stats:
        """Its counts, none while it is not done."""
        return self.done.stats if self.done else Stats()


@dataclass(frozen=True, slots=True)
class Head:
    """What all chunks of one answer have in common; `created` in seconds since 1970."""

    id: str
    created: int
    model: str

    def chunk(self, kind: str, choices: Sequence[Json], extra: Mapping[str, Any] | None = None) -> Json:
        """A chunk of OpenAI's dialects."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
            "choices": list(choices),
            **(extra or {}),
        }


class Dialect(Protocol):
    """How answers are written."""

    @property
    def end_mark(self) -> bool:
        """Whether a stream ends with `data: [DONE]`."""
        ...

    def opening(self, n_candidates: int) -> Iterator[Json]:
        """Chunks before anything is known."""
        ...

    def waiting(self, ahead: int) -> Json:
        """A chunk that tells the place in line."""
        ...

    def progress(self, prefill: Prefill, elapsed_ms: float) -> Json:
        """A chunk that tells how far the prompt is read."""
        ...

    def delta(self, delta: Delta, before: Candidate) -> Json:
        """A chunk of text; `before` is what was said already."""
        ...

    def closing(self, candidates: Sequence[Candidate], *, include_usage: bool) -> Iterator[Json]:
        """Chunks after everything is said."""
        ...

    def whole(self, candidates: Sequence[Candidate]) -> Json:
        """The answer at once."""
        ...


def prompt_progress(prefill: Prefill, elapsed_ms: float) -> Json:
    """llama-server's object about the prompt."""
    return {
        "total": prefill.total,
        "cache": prefill.cached,
        "processed": prefill.done,
        "time_ms": round(elapsed_ms),
    }


def own_words(reason: FinishReason) -> Json:
    """What OpenAI has no word for."""
    if reason in (FinishReason.LOOP, FinishReason.INTERRUPTED):
        return {"x_aigc": {"finish_reason": reason.value}}
    return {}


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """/v1/chat/completions."""

    head: Head
    end_mark: bool = True

    def _chunk(self, index: int, delta: Json, reason: str | None = None, **extra: Any) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": extra.pop("logprobs", None)}
        return self.head.chunk("chat.completion.chunk", [choice | {"finish_reason": reason}], extra)

    def opening(self, n_candidates: int) -> Iterator[Json]:
        """The role of each candidate, as OpenAI's streams begin."""
        for index in range(n_candidates):
            yield self._chunk(index, {"role": "assistant", "content": ""})

    def waiting(self, ahead: int) -> Json:
        """A chunk without text: clients that look for text only see nothing."""
        return self._chunk(0, {}, x_aigc={"queue": ahead})

    def progress(self, prefill: Prefill, elapsed_ms: float) -> Json:
        """A chunk without text."""
        return self._chunk(0, {}, prompt_progress=prompt_progress(prefill, elapsed_ms))

    def delta(self, delta: Delta, before: Candidate) -> Json:  # noqa: ARG002  # the dialect's signature
        """A piece of text."""
        logprobs = chat_logprobs(delta.tokens) if delta.tokens else None
        x_aigc = {"n_tokens": delta.n_tokens}
        return self._chunk(delta.candidate, {"content": delta.text}, logprobs=logprobs, x_aigc=x_aigc)

    def closing(self, candidates: Sequence[Candidate], *, include_usage: bool) -> Iterator[Json]:
        """Why each candidate ended, then the counts if they are wanted."""
        for index, candidate in enumerate(candidates):
            extra = own_words(candidate.finish_reason) | {"timings": timings(candidate.stats)}
            yield self._chunk(index, {}, FINISH_REASONS[candidate.finish_reason], **extra)
        if include_usage:
            yield self.head.chunk("chat.completion.chunk", [], _counts(candidates))

    def whole(self, candidates: Sequence[Candidate]) -> Json:
        """The answer at once."""
        choices = [self._choice(index, candidate) for index, candidate in enumerate(candidates)]
        return self.head.chunk("chat.completion", choices, _counts(candidates))

    def _choice(self, index: int, candidate: Candidate) -> Json:
        return {
            "index": index,
            "message": {"role": "assistant", "content": candidate.text, "refusal": None},
            "logprobs": chat_logprobs(candidate.tokens) if candidate.tokens else None,
            "finish_reason": FINISH_REASONS[candidate.finish_reason],
            **own_words(candidate.finish_reason),
        }


class _PlainChunks(ABC):
    """What the dialects share whose chunks hold a text and no message."""

    __slots__ = ()

    @abstractmethod
    def _chunk(self, index: int, text: str, **extra: Any) -> Json:
        """A chunk of one candidate."""

    def opening(self, n_candidates: int) -> Iterator[Json]:  # noqa: ARG002  # the dialect's signature
        """Nothing."""
        yield from ()

    def waiting(self, ahead: int) -> Json:
        """A chunk without text."""
        return self._chunk(0, "", x_aigc={"queue": ahead})

    def progress(self, prefill: Prefill, elapsed_ms: float) -> Json:
        """A chunk without text."""
        return self._chunk(0, "", prompt_progress=prompt_progress(prefill, elapsed_ms))


@dataclass(frozen=True, slots=True)
class TextDialect(_PlainChunks):
    """/v1/completions."""

    head: Head
    end_mark: bool = True

    def _chunk(self, index: int, text: str, **extra: Any) -> Json:
        choice = {"index": index, "text": text, "logprobs": extra.pop("logprobs", None)}
        choice["finish_reason"] = extra.pop("finish_reason", None)
        return self.head.chunk("text_completion", [choice], extra)

    def delta(self, delta: Delta, before: Candidate) -> Json:
        """A piece of text."""
        logprobs = text_logprobs(delta.tokens, len(before.text)) if delta.tokens else None
        x_aigc = {"n_tokens": delta.n_tokens}
        return self._chunk(delta.candidate, delta.text, logprobs=logprobs, x_aigc=x_aigc)

    def closing(self, candidates: Sequence[Candidate], *, include_usage: bool) -> Iterator[Json]:
        """Why each candidate ended, then the counts if they are wanted."""
        for index, candidate in enumerate(candidates):
            extra = own_words(candidate.finish_reason) | {"timings": timings(candidate.stats)}
            yield self._chunk(index, "", finish_reason=FINISH_REASONS[candidate.finish_reason], **extra)
        if include_usage:
            yield self.head.chunk("text_completion", [], _counts(candidates))

    def whole(self, candidates: Sequence[Candidate]) -> Json:
        """The answer at once."""
        choices = [
            {
                "index": index,
                "text": candidate.text,
                "logprobs": text_logprobs(candidate.tokens, 0) if candidate.tokens else None,
                "finish_reason": FINISH_REASONS[candidate.finish_reason],
                **own_words(candidate.finish_reason),
            }
            for index, candidate in enumerate(candidates)
        ]
        return self.head.chunk("text_completion", choices, _counts(candidates))


def _counts(candidates: Sequence[Candidate]) -> Json:
    replies = [candidate.stats for candidate in candidates]
    return {"usage": usage(replies), "timings": timings(together(replies))}


@dataclass(frozen=True, slots=True)
class InfillDialect(_PlainChunks):
    """/infill, as llama-server answers it; `fields` are the only ones wanted, none: all."""

    head: Head
    fields: tuple[str, ...] = ()
    end_mark: bool = False

    def _chunk(self, index: int, text: str, **extra: Any) -> Json:
        return {"index": index, "content": text, "tokens": [], "stop": False, **extra}

    def delta(self, delta: Delta, before: Candidate) -> Json:  # noqa: ARG002  # the dialect's signature
        """A piece of text."""
        extra: Json = {"x_aigc": {"n_tokens": delta.n_tokens}}
        if delta.tokens:
            extra["completion_probabilities"] = chat_logprobs(delta.tokens)["content"]
        return self._chunk(delta.candidate, delta.text, **extra)

    def closing(
        self,
        candidates: Sequence[Candidate],
        *,
        include_usage: bool,  # noqa: ARG002  # the dialect's signature
    ) -> Iterator[Json]:
        """The counts of each candidate."""
        for index, candidate in enumerate(candidates):
            yield self._final(index, candidate, "")

    def whole(self, candidates: Sequence[Candidate]) -> Json:
        """The answer at once; several candidates stand below `results`."""
        answers = [
            self._final(index, candidate, candidate.text) for index, candidate in enumerate(candidates)
        ]
        return answers[0] if len(answers) == 1 else {"results": answers}

    def _final(self, index: int, candidate: Candidate, text: str) -> Json:
        stats, reason = candidate.stats, candidate.finish_reason
        answer: Json = {
            "index": index,
            "content": text,
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": self.head.model,
            "tokens_predicted": stats.reply_tokens,
            "tokens_evaluated": stats.prompt_tokens,
            "has_new_line": "\n" in candidate.text,
            "truncated": False,
            "stop_type": STOP_TYPES[reason],
            "stopping_word": "",
            "tokens_cached": stats.prompt_tokens + stats.reply_tokens,
            "timings": timings(stats),
            **own_words(reason),
        }
        if text and candidate.tokens:
            answer["completion_probabilities"] = chat_logprobs(candidate.tokens)["content"]
        return only(self.fields, answer) if self.fields else answer


def only(paths: Sequence[str], answer: Json) -> Json:
    """The values at these paths, each under its path; what is not there is left out."""
    found: Json = {}
    for path in paths:
        value: Any = answer
        for key in path.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            found[path] = value
    return found
