"""The seam between what a person wants and what runs the model: Request in, events out.

`Engine` is implemented by the local llama.cpp engine and by a scripted one in the tests. Nothing above
this package knows a token id.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from aigc_cli.errors import UsageError
from aigc_cli.events import Event

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, as the model sees it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; the chain runs in this order.

    Attributes:
        repeat_penalty: divides the logits of tokens among the last `repeat_last_n`; 1 is off (Keskar 2019).
        dry_multiplier: strength of the DRY penalty on repeated sequences; 0 is off.
        top_k: keep the k most probable tokens; 0 is off.
        top_p: keep the smallest set with this probability mass; 1 is off (nucleus sampling, Holtzman 2019).
        min_p: drop tokens below this share of the most probable one's probability; 0 is off.
        temperature: divides the logits; 0 is greedy.
        seed: None draws one.
        max_tokens: longest reply in tokens; None is all that the context window leaves.
        stop: strings that end the reply; they are not part of it.
        frequency_penalty: taken off a token's logit for each time it occurs among the last `repeat_last_n`.
        presence_penalty: taken off the logit of each token that occurs there at all.
        infill: prefer to end, as llama.cpp's sampler for filling in the middle does: a gap is short. It looks
            at few candidates, and goes with no constraint.
        unset: names of the values above that nobody chose and that a server has its own for: they are not
            sent to it. An engine in this process has all its values from the model, and none of these.
    """

    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    dry_multiplier: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    temperature: float = 0.7
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    infill: bool = False
    unset: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that llama.cpp would crash on or silently misread."""
        limits: tuple[tuple[str, float | None, float, float], ...] = (
            ("temperature", self.temperature, 0, 10),
            ("top_k", self.top_k, 0, 2**31 - 1),
            ("top_p", self.top_p, 0, 1),
            ("min_p", self.min_p, 0, 1),
            ("repeat_penalty", self.repeat_penalty, 0.01, 10),
            ("repeat_last_n", self.repeat_last_n, 0, 2**20),
            ("dry_multiplier", self.dry_multiplier, 0, 10),
            ("seed", self.seed, 0, 2**32 - 2),
            ("max_tokens", self.max_tokens, 1, 2**31 - 1),
            ("frequency_penalty", self.frequency_penalty, -2, 2),
            ("presence_penalty", self.presence_penalty, -2, 2),
        )
        for name, value, low, high in limits:
            if value is not None and not low <= value <= high:  # NaN fails this too
                raise UsageError(f"{name} is {value}", f"use a value from {low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class Grammar:
    """The reply matches this GBNF grammar (its rule `root`)."""

    gbnf: str


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The reply is one JSON value that this JSON Schema (a JSON text) accepts."""

    schema: str


@dataclass(frozen=True, slots=True)
class Choices:
    """The reply is one of these strings."""

    options: tuple[str, ...]


Constraint = Grammar | JsonSchema | Choices


@dataclass(frozen=True, slots=True)
class Chat:
    """Answer the last message. The reply starts with `reply_prefix`, which is not repeated in the events."""

    messages: tuple[Message, ...]
    reply_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Continue this text, without a chat template."""

    text: str


@dataclass(frozen=True, slots=True)
class ContextFile:
    """A neighbouring file, or a piece of one, that the model may look at."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Infill:
    """Write what belongs between `prefix` and `suffix` (fill-in-the-middle, Bavarian 2022)."""

    prefix: str
    suffix: str
    extra: tuple[ContextFile, ...] = ()


MOST_SCALE = 10.0


@dataclass(frozen=True, slots=True)
class Adapter:
    """A low-rank adapter over the model's weights (LoRA, Hu 2021).

    Attributes:
        file: a GGUF file of this machine by its absolute path; of a server's, its file name there.
        scale: how much of it is added; 0 is none of it.
    """

    file: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a strength that is none."""
        if not -MOST_SCALE <= self.scale <= MOST_SCALE:  # NaN fails this too
            raise UsageError(
                f"the adapter {self.file} has the scale {self.scale}",
                f"use a value from {-MOST_SCALE:g} to {MOST_SCALE:g}; 1 is as it was trained",
            )


MOST_CANDIDATES = 16
MOST_ALTERNATIVES = 20  # what OpenAI's API allows for top_logprobs


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that one reply depends on.

    Attributes:
        prediction: text that the reply will mostly copy; it changes how fast a reply comes, not what it is.
        candidates: how many replies to draw; candidate i is seeded with `seed + i`.
        top_logprobs: None for no probabilities; k gives each token's, and those of the k most probable ones.
        private: nothing of it may be written to disk.
        adapters: what is added to the model's weights for this reply; None leaves it to a server, whose own
            are in force then, and is none at all elsewhere.
    """

    prompt: Chat | Text | Infill
    sampling: Sampling = field(default_factory=Sampling)
    constraint: Constraint | None = None
    prediction: str = ""
    candidates: int = 1
    top_logprobs: int | None = None
    private: bool = False
    adapters: tuple[Adapter, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what no engine can serve."""
        files = [adapter.file for adapter in self.adapters or ()]
        if twice := next((file for file in files if files.count(file) > 1), ""):
            raise UsageError(
                f"the adapter {twice} is given twice", "give it once, with the scale it should have"
            )
        if self.sampling.infill and self.constraint:
            raise UsageError("the sampler for filling in the middle and a constraint exclude each other")
        if not 1 <= self.candidates <= MOST_CANDIDATES:
            raise UsageError(f"{self.candidates} candidates", f"ask for 1 to {MOST_CANDIDATES}")
        if self.top_logprobs is not None and not 0 <= self.top_logprobs <= MOST_ALTERNATIVES:
            raise UsageError(
                f"top_logprobs is {self.top_logprobs}", f"use a value from 0 to {MOST_ALTERNATIVES}"
            )


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What a person may want to know of the engine at work.

    Attributes:
        model: the model's name.
        n_ctx: size of the context window in tokens.
        sampling: what the model's publisher recommends, or general defaults.
        has_chat_template: whether `Chat` prompts work.
        has_infill: whether `Infill` prompts work.
    """

    model: str
    n_ctx: int
    sampling: Sampling = field(default_factory=Sampling)
    has_chat_template: bool = True
    has_infill: bool = False


class Engine(Protocol):
    """Runs one request at a time. `cancel` may be called from any thread and from a signal handler."""

    @property
    def info(self) -> EngineInfo:
        """The model at work and its limits."""
        ...

    def stream(self, request: Request) -> Iterator[Event]:
        """Yield `Prefill`* `Delta`* `Done`; closing the iterator early cancels the request."""
        ...

    def count(self, request: Request) -> int:
        """Length of the request's prompt in tokens."""
        ...

    def cancel(self) -> None:
        """End the request at work within 100 ms; its stream closes with `Done(INTERRUPTED)`."""
        ...

    def close(self) -> None:
        """Free the model. Closing twice is harmless."""
        ...


@runtime_checkable
class Lingering(Protocol):
    """An engine that stays loaded after `close`, for others."""

    def retire(self) -> None:
        """Close it, and end it where nobody else has used it: it will not be asked again."""
        ...


class Tokenizer(Protocol):
    """Text to token ids and back, for tools that show or count tokens. Any thread may call it."""

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Token ids of a text; with `special`, control tokens that it spells count as such."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes of one token: not always whole characters."""
        ...


@runtime_checkable
class ModelText(Protocol):
    """What an engine with the model at hand can tell of its vocabulary and its chat template.

    Any thread may call it while the engine is open.
    """

    @property
    def n_vocab(self) -> int:
        """How many tokens there are; their ids start at 0."""
        ...

    @property
    def chat_template(self) -> str | None:
        """Jinja source of the model's chat template, if it has one."""
        ...

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Token ids of a text; with `special`, control tokens that it spells count as such."""
        ...

    def spelling(self, token: int) -> bytes:
        """The bytes of one token, control tokens included: not always whole characters."""
        ...

    def chat_text(self, chat: Chat) -> str:
        """A conversation as the chat template writes it, up to where the reply goes on.

        Raises:
            UnsupportedFeature: the model has no chat template.
        """
        ...
