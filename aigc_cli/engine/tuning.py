"""Which settings of llama.cpp finish soonest on this machine: what was measured, and the choice from it.

No setting is best at everything: rearranged weights write faster, read slower and load later. So what is kept
is the measurements, and each start of an engine chooses for its own use. Pure arithmetic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from aigc_cli.config import Settings
from aigc_cli.errors import ConfigError

# Bytes an element; q8_0 has a scale for each 32 elements.
KV_TYPES: Mapping[str, float] = {"f16": 2.0, "q8_0": 34 / 32}
EXACT_KV = "f16"
LARGEST_UBATCH = 512  # tokens evaluated at once; more would make Ctrl-C wait
CLOSE = 1.03  # within this, two are the same
# A cache of 8 bits rounds what the model remembers: for that it has to finish a tenth sooner.
TOLL_FOR_ROUNDING = 1.1
DOUBTFUL = 0.2  # of the processor
# The setting of `Settings` that decides a field of `Setting`.
_DECIDED_BY: Mapping[str, str] = {
    "repack_weights": "repack",
    "flash_attention": "flash_attention",
    "n_ubatch": "ubatch",
    "kv_type": "kv_type",
    "n_threads": "threads",
    "n_threads_prefill": "threads",
}
_THREADS = ("n_threads", "n_threads_prefill")


class Use(Enum):
    """What an engine is loaded for."""

    ONE_SHOT = "one-shot"  # a command loads the model, answers and ends
    RESIDENT = "resident"  # it is loaded once and stays


@dataclass(frozen=True, slots=True)
class Shape:
    """A request: tokens to read that no cache holds, tokens to write."""

    n_prompt: int
    n_reply: int


# A file or a diff with a question, and an answer of a screen; until the person's own requests are known.
USUAL_SHAPE = Shape(1000, 200)


@dataclass(frozen=True, slots=True)
class Setting:
    """How llama.cpp runs a model.

    Attributes:
        n_threads: for the tokens of a reply.
        n_threads_prefill: for the prompt.
        repack_weights: rearrange the weights for this CPU when they are loaded.
        flash_attention: where model and device can; False: never.
        n_ubatch: tokens that one graph evaluates.
        kv_type: of the KV cache, a name from `KV_TYPES`.
    """

    n_threads: int
    n_threads_prefill: int
    repack_weights: bool = False
    flash_attention: bool = True
    n_ubatch: int = LARGEST_UBATCH
    kv_type: str = EXACT_KV


@dataclass(frozen=True, slots=True)
class Measured:
    """A setting, and what it does here.

    Attributes:
        memory_bytes: of the process, for weights and a small context.
        batch_steps: what batches of so many tokens cost, in steps of a single one; for drafts.
    """

    setting: Setting
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    load_s: float
    memory_bytes: int
    batch_steps: Mapping[int, float] = field(default_factory=dict)

    def seconds(self, use: Use, shape: Shape) -> float:
        """How long a request of this shape takes."""
        work_s = shape.n_prompt / self.prefill_tokens_per_s + shape.n_reply / self.decode_tokens_per_s
        return work_s + (self.load_s if use is Use.ONE_SHOT else 0.0)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is known of one model on this machine.

    Attributes:
        on_gpu: whether layers of the model were on a GPU.
        took_s: how long the measuring took.
        busy: share of the processor that other programs took meanwhile, 0 to 1.
    """

    measured: tuple[Measured, ...]
    on_gpu: bool
    took_s: float
    busy: float = 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether other programs took so much that the figures say little about this machine."""
        return self.busy > DOUBTFUL


def worth_keeping(earlier: Tuning | None, new: Tuning) -> Tuning:
    """The new one, unless it is doubtful and the earlier one, which counts for the same, is not."""
    if earlier is None or earlier.is_doubtful or earlier.on_gpu != new.on_gpu:
        return new
    return earlier if new.is_doubtful else new


@dataclass(frozen=True, slots=True)
class Choice:
    """The setting to run a model with.

    Attributes:
        origins: of each field of the setting: `set` by the person, `tuned` or `default`.
        batch_steps: as in `Measured`; empty when it was not measured.
    """

    setting: Setting
    origins: Mapping[str, str]
    batch_steps: Mapping[int, float] = field(default_factory=dict)


def best(
    measured: Sequence[Measured],
    use: Use,
    shape: Shape,
    default: Setting,
    free_bytes: int | None = None,
) -> Measured:
    """The setting that finishes such a request soonest.

    Of those that are `CLOSE` to it, the one that differs least from the default. What takes more
    than `free_bytes` is left out, unless everything does.
    """
    fitting = [one for one in measured if free_bytes is None or one.memory_bytes <= free_bytes] or measured

    def cost(one: Measured) -> float:
        toll = 1.0 if one.setting.kv_type == EXACT_KV else TOLL_FOR_ROUNDING
        return one.seconds(use, shape) * toll

    least = min(map(cost, fitting))
    close = [one for one in fitting if cost(one) <= CLOSE * least]
    return min(close, key=lambda one: (_n_differing(one.setting, default), cost(one), one.memory_bytes))


def _n_differing(setting: Setting, default: Setting) -> int:
    return sum(getattr(setting, f.name) != getattr(default, f.name) for f in fields(Setting))


def explicit_fields(settings: Settings) -> dict[str, Any]:
    """The fields of `Setting` that the person decided."""
    values = {name: getattr(settings, decided_by) for name, decided_by in _DECIDED_BY.items()}
    return {name: value for name, value in values.items() if value is not None}


def choose(
    default: Setting,
    explicit: Mapping[str, Any],
    tuning: Tuning | None,
    *,
    use: Use,
    shape: Shape,
    free_bytes: int | None = None,
) -> Choice:
    """What the person set, else what was measured to be best, else the default.

    Raises:
        ConfigError: the person set what does not go together.
    """
    chosen, varied = default, set[str]()
    batch_steps: Mapping[int, float] = {}
    if tuning is not None and tuning.measured:
        winner = best(_agreeing(tuning.measured, explicit), use, shape, default, free_bytes)
        batch_steps, varied = winner.batch_steps, _varied(tuning.measured)
        # What was not compared may have been set by the person when it was measured.
        chosen = replace(default, **{name: getattr(winner.setting, name) for name in varied})
    chosen = replace(chosen, **explicit)
    if chosen.kv_type != EXACT_KV and not chosen.flash_attention:
        if explicit.get("flash_attention") is False and "kv_type" in explicit:
            raise ConfigError(
                f"a KV cache of {chosen.kv_type} needs flash attention", "leave one of the two settings out"
            )
        key = "kv_type" if explicit.get("flash_attention") is False else "flash_attention"
        chosen = replace(chosen, **{key: getattr(default, key)})
    origins = {
        f.name: "set" if f.name in explicit else "tuned" if f.name in varied else "default"
        for f in fields(Setting)
    }
    return Choice(chosen, origins, batch_steps)


def value_origins(setting: object, origins: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Each value of a setting, or of what has such fields, and where it came from, for JSON."""
    return {
        f.name: {"value": getattr(setting, f.name), "origin": origins.get(f.name, "default")}
        for f in fields(Setting)
    }


def _agreeing(measured: Sequence[Measured], explicit: Mapping[str, Any]) -> Sequence[Measured]:
    """Those that were measured with what the person set; all where none was. Threads are set over them."""
    wanted = {name: value for name, value in explicit.items() if name not in _THREADS}
    agreeing = [one for one in measured if all(getattr(one.setting, n) == v for n, v in wanted.items())]
    return agreeing or measured


def _varied(measured: Iterable[Measured]) -> set[str]:
    """The fields that were compared."""
    settings = [one.setting for one in measured]
    return {f.name for f in fields(Setting) if len({getattr(each, f.name) for each in settings}) > 1}
