"""An engine that says what a test tells it to: the second implementation of the Engine protocol."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aigc_cli.engine.base import Chat, EngineInfo, Infill, Request, Text
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Delta, Done, Event, FinishReason, Prefill, Stats

Reply = str | Callable[[Request], str]


@dataclass
class ScriptedEngine:
    """Replies in order (the last one again and again), a word a token, like a model that counts words.

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
        self.requests.append(request)
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        text = reply(request) if callable(reply) else reply
        n_prompt = self.count(request)
        if n_prompt >= self.info.n_ctx:
            raise ContextOverflow(n_prompt, self.info.n_ctx)
        for step in range(1, self.prefill_steps + 1):
            if self._cancelled.wait(self.prefill_delay_s):
                yield Done(FinishReason.INTERRUPTED, Stats(prompt_tokens=n_prompt))
                return
            yield Prefill(done=n_prompt * step // self.prefill_steps, total=n_prompt, cached=0)
        n_reply = 0
        for word in re.findall(r"\s*\S+|\s+$", text):
            if self._cancelled.wait(self.delay_s) if self.delay_s else self._cancelled.is_set():
                yield Done(FinishReason.INTERRUPTED, Stats(n_prompt, 0, n_reply, 0.1, 0.1))
                return
            n_reply += 1
            yield Delta(word)
        yield Done(self.finish_reason, Stats(n_prompt, 0, n_reply, 0.1, 0.1))

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
