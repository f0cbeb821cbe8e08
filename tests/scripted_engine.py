"""An engine that says what a test tells it to: the second implementation of the Engine protocol."""

import math
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aigc_cli.engine.base import Chat, EngineInfo, Infill, Request, Text
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Alternative, Delta, Done, Event, FinishReason, Prefill, Stats, TokenLogprob

Reply = str | Callable[[Request], str]


@dataclass
class ScriptedEngine:
    """Replies in order (the last one again and again), a word a token, like a model that counts words.

    Candidates take the replies one after the other and say a word each in turn. Every token has the
    probability 1/2, and its n-th alternative, spelled with n tildes, half that of the one before.

    Attributes:
        replies: what to say; a function makes it from the request.
        delay_s: pause before each token, so that a test can interrupt.
        prefill_steps: how many Prefill events come first.
        finish_reason: how an uninterrupted reply ends.
        requests: every request seen, for assertions.
    """

    replies: list[Reply]
    info: EngineInfo = field(default_factory=lambda: EngineInfo(model="scripted", n_ctx=4096))
    delay_s: float = 0.0
    prefill_delay_s: float = 0.0
    prefill_steps: int = 1
    finish_reason: FinishReason = FinishReason.STOP
    requests: list[Request] = field(default_factory=list)
    closed: bool = False
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def stream(self, request: Request) -> Iterator[Event]:
        self._cancelled.clear()
        first = sum(earlier.candidates for earlier in self.requests)
        self.requests.append(request)
        texts = [self._reply(first + n, request) for n in range(request.candidates)]
        n_prompt = self.count(request)
        if n_prompt >= self.info.n_ctx:
            raise ContextOverflow(n_prompt, self.info.n_ctx)
        for step in range(1, self.prefill_steps + 1):
            if self._cancelled.wait(self.prefill_delay_s):
                for candidate in range(request.candidates):
                    yield Done(FinishReason.INTERRUPTED, Stats(prompt_tokens=n_prompt), candidate)
                return
            yield Prefill(done=n_prompt * step // self.prefill_steps, total=n_prompt, cached=0)
        yield from self._say([re.findall(r"\s*\S+|\s+$", text) for text in texts], n_prompt, request)

    def _reply(self, index: int, request: Request) -> str:
        reply = self.replies[min(index, len(self.replies) - 1)]
        return reply(request) if callable(reply) else reply

    def _say(self, words: list[list[str]], n_prompt: int, request: Request) -> Iterator[Event]:
        live = dict(enumerate(words))
        for n_said in range(max(map(len, words)) + 1):
            for candidate in list(live):
                stats = Stats(n_prompt, 0, n_said, 0.1, 0.1)
                if n_said == len(words[candidate]):
                    del live[candidate]
                    yield Done(self.finish_reason, stats, candidate)
                elif self._cancelled.wait(self.delay_s) if self.delay_s else self._cancelled.is_set():
                    for number in live:
                        n_words = n_said + (number < candidate)
                        yield Done(FinishReason.INTERRUPTED, Stats(n_prompt, 0, n_words, 0.1, 0.1), number)
                    return
                else:
                    word = words[candidate][n_said]
                    yield Delta(word, 1, candidate, _probabilities(word, request.top_logprobs))

    def count(self, request: Request) -> int:
        match request.prompt:
            case Chat(messages, reply_prefix):
                return sum(len(m.content.split()) + 2 for m in messages) + len(reply_prefix.split())
            case Text(text):
                return len(text.split())
            case Infill(prefix, suffix, extra):
                return sum(len(part.split()) for part in (prefix, suffix, *(file.text for file in extra)))

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self.closed = True


def _probabilities(word: str, top_logprobs: int | None) -> tuple[TokenLogprob, ...]:
    if top_logprobs is None:
        return ()
    ranked = tuple(
        Alternative((word + "~" * n).encode(), (n + 1) * math.log(0.5)) for n in range(top_logprobs)
    )
    return (TokenLogprob(word.encode(), math.log(0.5), ranked),)
