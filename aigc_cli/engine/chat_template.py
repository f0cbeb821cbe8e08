"""Messages to tokens: the model's own template, the exact tokens of its replies, no forged control tokens."""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any, NoReturn, Protocol

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from aigc_cli.engine.base import Chat, Message
from aigc_cli.errors import UnsupportedFeature, UsageError

REPLIES_REMEMBERED = 256
LONGEST_STOP = 16  # tokens
# Private-use characters mark where a message goes in the rendered template.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"


class Vocabulary(Protocol):
    """What this module needs of a model."""

    @property
    def chat_template(self) -> str | None:
        """Jinja source."""
        ...

    @property
    def bos_text(self) -> str:
        """Text of the begin-of-sequence token."""
        ...

    @property
    def eos_text(self) -> str:
        """Text of the end-of-sequence token."""
        ...

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Token ids of a text."""
        ...

    def has_control(self, tokens: Sequence[int]) -> bool:
        """Whether a control token is among these."""
        ...


class ReplyMemory:
    """The token ids of recent replies by their text.

    Tokenizing a reply's text again may give other tokens than the model drew, and then the KV cache no longer
    matches: every later turn would be evaluated again.
    """

    def __init__(self, look_up: Callable[[str], tuple[int, ...] | None] = lambda _text: None) -> None:
        """An empty memory; `look_up` is asked for what it does not hold."""
        self._look_up = look_up
        self._tokens: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def remember(self, text: str, tokens: Sequence[int], pieces: Sequence[bytes]) -> tuple[int, ...]:
        """Keep the tokens of a reply, as far as they spell its text: a stop string cuts the last few off.

        Returns the tokens that are kept.
        """
        if not text:
            return ()
        for count in range(len(pieces), max(0, len(pieces) - LONGEST_STOP), -1):
            if b"".join(pieces[:count]).decode("utf-8", "replace") == text:
                return self._keep(text, tuple(tokens[:count]))
        return ()

    def recall(self, text: str) -> tuple[int, ...] | None:
        """The tokens of this reply, if it was remembered."""
        known = self._tokens.get(text)
        if known is None and (found := self._look_up(text)):
            known = self._keep(text, found)
        return known

    def _keep(self, text: str, tokens: tuple[int, ...]) -> tuple[int, ...]:
        self._tokens[text] = tokens
        self._tokens.move_to_end(text)
        if len(self._tokens) > REPLIES_REMEMBERED:
            self._tokens.popitem(last=False)
        return tokens


class _Generation(Extension):
    """`{% generation %}` marks what was trained on; what it encloses is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012  # the base class says so

    def parse(self, parser: Parser) -> list[Node]:
        """Only the enclosed nodes stay."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    """What chat templates are written for: the environment of Hugging Face's `apply_chat_template`.

    Sandboxed: a template comes with the model file, and can be anything.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _to_json(value: object, **options: Any) -> str:
    return json.dumps(value, **({"ensure_ascii": False} | options))


def _refuse(reason: str) -> NoReturn:
    raise TemplateError(reason)


class ChatTemplate:
    """Renders conversations for one model."""

    def __init__(self, vocabulary: Vocabulary, replies: ReplyMemory) -> None:
        """Compile the model's template.

        Raises:
            UnsupportedFeature: the model has no chat template, or one that can't be read.
        """
        source = vocabulary.chat_template
        if not source:
            raise UnsupportedFeature(
                "this model has no chat template: it continues text and does not answer questions",
                "aigc complete 'TEXT' continues a text; aigc models list names models that answer",
            )
        try:
            self._template = _environment().from_string(source)
        except Exception as error:  # the template comes with the model file: it can be anything
            raise UnsupportedFeature(
                f"the model's chat template can't be read: {error}", "use another file of this model"
            ) from error
        self._vocabulary = vocabulary
        self._replies = replies

    def render(self, messages: Sequence[Message]) -> str:
        """The text of a conversation, up to where the model's reply starts."""
        try:
            return self._template.render(
                messages=[{"role": m.role, "content": m.content} for m in messages],
                bos_token=self._vocabulary.bos_text,
                eos_token=self._vocabulary.eos_text,
                add_generation_prompt=True,
                tools=None,
                documents=None,
            )
        except Exception as error:  # templates raise what they like, e.g. for a role they don't know
            raise UsageError(f"the model's chat template refuses this conversation: {error}") from error

    def tokens(self, chat: Chat) -> list[int]:
        """Token ids of the prompt, the reply's prefix included."""
        segments = self._segments(chat.messages)
        tokens: list[int] = []
        run = ""
        for text, message in segments:
            run += text
            if message is None:
                continue
            known = self._replies.recall(message.content) if message.role == "assistant" else None
            if known is None and not self._forges_control_tokens(message.content):
                run += message.content
                continue
            tokens += self._vocabulary.tokenize(run, special=True)
            tokens += known or self._vocabulary.tokenize(message.content, special=False)
            run = ""
        return tokens + self._vocabulary.tokenize(run + chat.reply_prefix, special=True)

    def beginning(self, chat: Chat) -> list[int]:
        """The tokens that every conversation with these system messages starts with."""
        system = tuple(takewhile(lambda message: message.role == "system", chat.messages))
        two = [self.tokens(Chat((*system, Message("user", text)))) for text in ("a", "1")]
        return [token for token, other in takewhile(lambda pair: pair[0] == pair[1], zip(*two, strict=False))]

    def _segments(self, messages: tuple[Message, ...]) -> list[tuple[str, Message | None]]:
        """The rendered text, cut at the messages: (template's text, the message after it or None at the end).

        A template may change a message (most trim it, some drop parts of old replies). Then the pieces do not
        spell what it renders, and its own text is taken as a whole.
        """
        rendered = self.render(messages)
        for strip in (False, True):
            contents = [Message(m.role, m.content.strip() if strip else m.content) for m in messages]
            segments = self._cut(contents)
            if "".join(text + (m.content if m else "") for text, m in segments) == rendered:
                return segments
        return [(rendered, None)]

    def _cut(self, messages: Sequence[Message]) -> list[tuple[str, Message | None]]:
        marked = [Message(m.role, f"{_OPEN}{index}{_CLOSE}") for index, m in enumerate(messages)]
        segments: list[tuple[str, Message | None]] = []
        rest = self.render(marked)
        while _OPEN in rest:
            before, _, rest = rest.partition(_OPEN)
            index, _, rest = rest.partition(_CLOSE)
            segments.append((before, messages[int(index)]))
        return [*segments, (rest, None)]

    def _forges_control_tokens(self, content: str) -> bool:
        """Whether a message spells a control token, as a file about chat templates would."""
        return self._vocabulary.has_control(self._vocabulary.tokenize(content, special=True))
