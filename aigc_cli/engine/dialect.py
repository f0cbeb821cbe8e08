"""What the servers that speak OpenAI's HTTP take beyond it, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from aigc_cli.engine.base import Sampling


class Constraints(StrEnum):
    """How a server is told what form a reply must have."""

    AIGC = "aigc"  # response_format, GBNF in `grammar`, choices in x_aigc
    LLAMA_SERVER = "llama-server"  # response_format or json_schema, GBNF in `grammar`
    VLLM = "vllm"  # response_format, `structured_outputs`
    OPENAI = "openai"  # response_format only


class Continuation(StrEnum):
    """How a server is made to begin its reply with a given text."""

    LAST_MESSAGE = "last message"  # a last message of the assistant is gone on with
    FLAGS = "flags"  # so too, if continue_final_message says so
    ASK = "ask"  # it can only be asked to


class Infilling(StrEnum):
    """How a server fills in the middle."""

    ROUTE = "route"  # llama-server's /infill
    SUFFIX = "suffix"  # /v1/completions with `suffix`
    NONE = "none"


class Counting(StrEnum):
    """How tokens are counted."""

    LLAMA_SERVER = "llama-server"  # /v1/chat/completions/input_tokens and /tokenize
    VLLM = "vllm"  # its own /tokenize
    ESTIMATE = "estimate"


_OPENAI_NAMES = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")
_LLAMA_NAMES = (
    *_OPENAI_NAMES,
    "top_k",
    "min_p",
    "repeat_penalty",
    "repeat_last_n",
    "dry_multiplier",
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server.

    Attributes:
        name: how messages name it.
        sampling: our names of sampling values -> the server's.
        max_tokens: what it calls the limit of a reply.
        many: whether it draws several candidates at once (`n`).
        text_logprobs: whether /v1/completions gives probabilities too.
        least_logprobs: llama-server gives none at all when asked for no alternatives.
        has_prediction: whether `prediction` may be sent.
        has_infill_sampler: whether `samplers` may name llama.cpp's for filling in the middle.
        has_adapters: whether `lora` may name LoRA adapters of the server's.
        tells_progress: whether `return_progress` and `cache_prompt` may be sent.
        cuts_silently: a prompt that is too long loses its beginning, and nobody is told.
        recommended: what to sample with where nobody chose; its `unset` is left to the server.
    """

    name: str
    sampling: Mapping[str, str]
    constraints: Constraints = Constraints.OPENAI
    continuation: Continuation = Continuation.ASK
    infilling: Infilling = Infilling.NONE
    counting: Counting = Counting.ESTIMATE
    max_tokens: str = "max_tokens"
    many: bool = True
    text_logprobs: bool = True
    least_logprobs: int = 0
    has_prediction: bool = False
    has_infill_sampler: bool = False
    has_private: bool = False
    has_adapters: bool = False
    tells_progress: bool = False
    cuts_silently: bool = False
    recommended: Sampling = field(default_factory=Sampling)


def _same(names: tuple[str, ...]) -> Mapping[str, str]:
    return MappingProxyType({name: name for name in names})


# A server's own defaults are those of the model's publisher or of the person who started it: they stay.
_SERVERS_OWN = Sampling(
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    unset=tuple(name for name in _LLAMA_NAMES if name != "seed"),
)

AIGC = Dialect(
    name="aigc serve",
    sampling=_same(_LLAMA_NAMES),
    constraints=Constraints.AIGC,
    continuation=Continuation.LAST_MESSAGE,
    infilling=Infilling.ROUTE,
    has_infill_sampler=True,
    counting=Counting.LLAMA_SERVER,
    has_prediction=True,
    has_private=True,
    has_adapters=True,
    tells_progress=True,
)
LLAMA_SERVER = Dialect(
    name="llama-server",
    sampling=_same(_LLAMA_NAMES),
    constraints=Constraints.LLAMA_SERVER,
    continuation=Continuation.FLAGS,
    infilling=Infilling.ROUTE,
    has_infill_sampler=True,
    counting=Counting.LLAMA_SERVER,
    least_logprobs=1,
    has_adapters=True,
    tells_progress=True,
)
VLLM = Dialect(
    name="vLLM",
    sampling=MappingProxyType(
        {**_same((*_OPENAI_NAMES, "top_k", "min_p")), "repeat_penalty": "repetition_penalty"}
    ),
    constraints=Constraints.VLLM,
    continuation=Continuation.FLAGS,
    counting=Counting.VLLM,
    recommended=_SERVERS_OWN,
)
OLLAMA = Dialect(
    name="Ollama",
    sampling=_same(_OPENAI_NAMES),
    continuation=Continuation.LAST_MESSAGE,
    infilling=Infilling.SUFFIX,
    many=False,
    text_logprobs=False,
    cuts_silently=True,
    recommended=_SERVERS_OWN,
)
OPENAI = Dialect(
    name="OpenAI",
    sampling=_same(_OPENAI_NAMES),
    max_tokens="max_completion_tokens",
    recommended=_SERVERS_OWN,
)
GENERIC = Dialect(name="this server", sampling=_same(_OPENAI_NAMES), recommended=_SERVERS_OWN)

DIALECTS = (AIGC, LLAMA_SERVER, VLLM, OLLAMA, OPENAI, GENERIC)
# what a value is when it does nothing: a server that lacks it need not be told
NEUTRAL: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "top_k": (0,),
        "min_p": (0.0,),
        "repeat_penalty": (1.0,),
        "dry_multiplier": (0.0,),
        "repeat_last_n": (Sampling().repeat_last_n,),
    }
)
