"""Measures settings in turns until it is clear which are worth having, within a time limit.

Coordinate by coordinate: first weights and flash attention together, then, for the settings that are best at
reading and at writing, threads, the KV cache and the size of a batch. What is compared runs alternately, so
that another program's work hits all of it; what is clearly worse at everything is left out early.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Protocol

from aigc_cli.engine.tuning import (
    CLOSE,
    DOUBTFUL,
    USUAL_SHAPE,
    Measured,
    Setting,
    Shape,
    Tuning,
    Use,
    best,
)
from aigc_cli.errors import ModelLoadError

LIMIT_S = 60.0
# How much better one has to be to be clearly better, after one round, two, and more.
CLEAR = (1.25, 1.10, 1.05)
# A request that is nearly all reading, and one that is nearly all writing.
LONG, SHORT = Shape(1500, 100), Shape(30, 300)
BATCHES = (4, 16, 32)  # tokens; what the other sizes cost follows from these
PROBE_PREFILL, PROBE_DECODE = 32, 3  # tokens
# A trial is to take this share of the limit, within these numbers of tokens.
TRIAL_SHARE = 1 / 40
PREFILL_TOKENS, DECODE_TOKENS = (32, 256), (4, 16)
PREFILL_STEP = 32
SMALL_UBATCH = 128
N_TRIALS = 20  # that a whole search takes as a rule, and
N_RIGS = 14  # so many contexts, each with a few tokens to begin with
REPACKED_LOAD = 5.0  # times the load of plain weights
STAGE_SHARE = 0.6  # of the time for weights and attention
MARGIN_S = 0.25  # for closing
_TICK_S = 1e-6  # no clock is finer
OnTrial = Callable[[Setting], None]


@dataclass(frozen=True, slots=True)
class Space:
    """What can be varied.

    Attributes:
        weights: plain and rearranged; where layers are on a GPU, that matters little.
        threads: numbers to try beside the default.
    """

    weights: bool = True
    threads: tuple[int, ...] = ()


class OutOfTime(Exception):
    """The time limit came in the middle of a measurement."""


class Rig(Protocol):
    """A model that was loaded with one setting, to measure it."""

    @property
    def load_s(self) -> float:
        """What its load took, context and all."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What it takes."""
        ...

    def prefill(self, n_tokens: int) -> float:
        """Seconds to read so many tokens; raises `OutOfTime`."""
        ...

    def decode(self, n_tokens: int) -> float:
        """Seconds to write so many tokens, one after the other; raises `OutOfTime`."""
        ...

    def batch(self, n_rows: int) -> float:
        """Seconds to check a draft: so many tokens with the logits of each; raises `OutOfTime`."""
        ...

    def close(self) -> None:
        """Free the context; the model may stay."""
        ...


class Workbench(Protocol):
    """Opens rigs."""

    @property
    def holds_both(self) -> bool:
        """Whether memory allows plain and rearranged weights at once."""
        ...

    @property
    def busy(self) -> float:
        """Share of the processor that other programs took so far."""
        ...

    def open(self, setting: Setting) -> Rig:
        """A model with this setting; raises `ModelLoadError`, and `OutOfTime` when the limit comes first."""
        ...


@dataclass(slots=True)
class _Entry:
    """A setting in a contest, with its runs so far: tokens per second."""

    setting: Setting
    rig: Rig
    prefill: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)


class Search:
    """One search over the settings of a model.

    Args:
        bench: opens what is measured.
        base: the default setting, which everything is compared with.
        space: what is varied beside flash attention, KV type and batch size.
        clock: monotonic seconds.
        on_gpu: whether layers are on a GPU.
        limit_s: the whole search takes no longer.
        on_trial: is told what is measured next.
    """

    def __init__(
        self,
        bench: Workbench,
        base: Setting,
        space: Space,
        clock: Callable[[], float],
        *,
        on_gpu: bool = False,
        limit_s: float = LIMIT_S,
        on_trial: OnTrial = lambda _setting: None,
    ) -> None:
        self._bench = bench
        self._base = base
        self._space = space
        self._clock = clock
        self._on_trial = on_trial
        self._started_s = clock()
        self._limit_s = limit_s
        self._on_gpu = on_gpu
        self._until_s = self._started_s + limit_s - MARGIN_S
        self._n_prefill, self._n_decode = PREFILL_TOKENS[0], DECODE_TOKENS[0]
        self._trial_s = 0.0
        self._found: dict[Setting, Measured] = {}

    def probe(self) -> float:
        """Measure a little, and tell how many seconds the search will take.

        Raises:
            ModelLoadError: the model can't be loaded as it is by default.
            OutOfTime: not even this is done within the limit.
        """
        self._on_trial(self._base)
        rig = self._bench.open(self._base)
        try:
            read_s = max(rig.prefill(PROBE_PREFILL), _TICK_S) / PROBE_PREFILL
            step_s = max(rig.decode(PROBE_DECODE), _TICK_S) / PROBE_DECODE
        finally:
            rig.close()
        budget_s = self._limit_s * TRIAL_SHARE
        self._n_prefill = _within(PREFILL_TOKENS, budget_s / read_s // PREFILL_STEP * PREFILL_STEP)
        self._n_decode = _within(DECODE_TOKENS, budget_s / 3 / step_s)
        self._trial_s = self._n_prefill * read_s + self._n_decode * step_s
        n_trials = N_TRIALS if self._space.weights else N_TRIALS / 2
        loads_s = rig.load_s * (REPACKED_LOAD if self._space.weights else 1)
        warm_s = N_RIGS * PROBE_PREFILL * read_s
        spent_s = self._clock() - self._started_s
        return min(spent_s + loads_s + warm_s + n_trials * self._trial_s, self._limit_s)

    def run(self) -> Tuning:
        """Measure, after `probe`.

        Raises:
            OutOfTime: the limit came before anything was measured.
        """
        with suppress(OutOfTime):  # what was measured counts
            self._search()
        if not self._found:
            raise OutOfTime
        took_s = self._clock() - self._started_s
        return Tuning(tuple(self._found.values()), self._on_gpu, took_s, self._bench.busy)

    def _search(self) -> None:
        stage_s = self._started_s + STAGE_SHARE * self._limit_s
        for group in self._groups(self._first_settings()):
            self._contest(group, stage_s)
        finalists = self._finalists() if self._found else []
        for setting in finalists:
            self._measure_batches(setting)
        for n, setting in enumerate(finalists):
            if n == 0:
                winner = self._tune_rest(setting)
            else:  # what was better there is probably better here
                rounded = winner.kv_type if setting.flash_attention else setting.kv_type
                weights, attention = setting.repack_weights, setting.flash_attention
                variant = replace(winner, repack_weights=weights, flash_attention=attention, kv_type=rounded)
                self._better_of(setting, variant)

    def _first_settings(self) -> list[Setting]:
        weights = (self._base.repack_weights, not self._base.repack_weights)
        return [
            replace(self._base, repack_weights=repack, flash_attention=attention)
            for repack in (weights if self._space.weights else weights[:1])
            for attention in (True, False)
        ]

    def _groups(self, settings: list[Setting]) -> list[list[Setting]]:
        """What can be compared alternately: where memory is short, one kind of weights at a time."""
        if self._bench.holds_both:
            return [settings]
        kinds = dict.fromkeys(setting.repack_weights for setting in settings)
        return [[setting for setting in settings if setting.repack_weights == kind] for kind in kinds]

    def _finalists(self) -> list[Setting]:
        """The settings that some shape of request would choose, the usual one's first."""
        found = list(self._found.values())
        shapes = (USUAL_SHAPE, LONG, SHORT)
        return list(dict.fromkeys(self._best(found, shape) for shape in shapes))

    def _tune_rest(self, setting: Setting) -> Setting:
        """Vary what is left, one after the other; each winner is what the next is compared with."""
        # beside a busy program fewer threads look better than they are
        if self._space.threads and self._bench.busy <= DOUBTFUL:
            setting = self._tune_threads(setting)
        if setting.flash_attention:
            setting = self._better_of(setting, replace(setting, kv_type="q8_0"))
        self._n_prefill = max(self._n_prefill, 2 * SMALL_UBATCH)
        return self._better_of(setting, replace(setting, n_ubatch=SMALL_UBATCH))

    def _tune_threads(self, setting: Setting) -> Setting:
        variants = [replace(setting, n_threads=n, n_threads_prefill=n) for n in self._space.threads]
        self._contest([setting, *variants], self._until_s)
        ran = [self._found[each] for each in (setting, *variants) if each in self._found]
        if not ran or ran[0].setting != setting:
            return setting
        reader = max(ran, key=lambda one: one.prefill_tokens_per_s)
        writer = max(ran, key=lambda one: one.decode_tokens_per_s)
        if reader.prefill_tokens_per_s < CLOSE * ran[0].prefill_tokens_per_s:
            reader = ran[0]
        if writer.decode_tokens_per_s < CLOSE * ran[0].decode_tokens_per_s:
            writer = ran[0]
        both = replace(
            setting,
            n_threads=writer.setting.n_threads,
            n_threads_prefill=reader.setting.n_threads_prefill,
        )
        if both not in self._found:  # reading and writing were measured each with its own number
            self._found[both] = replace(
                ran[0],
                setting=both,
                prefill_tokens_per_s=reader.prefill_tokens_per_s,
                decode_tokens_per_s=writer.decode_tokens_per_s,
            )
        return both

    def _better_of(self, setting: Setting, variant: Setting) -> Setting:
        if variant == setting:
            return setting
        self._contest([setting, variant], self._until_s)
        rivals = [self._found[each] for each in (setting, variant) if each in self._found]
        return self._best(rivals, USUAL_SHAPE) if rivals else setting

    def _best(self, measured: Sequence[Measured], shape: Shape) -> Setting:
        return best(measured, Use.RESIDENT, shape, self._base).setting

    def _contest(self, settings: Sequence[Setting], until_s: float) -> list[_Entry]:
        """Run these in turns until it is clear which is better at what; gives those that ran."""
        entries: list[_Entry] = []
        try:
            for setting in settings:
                # on a slow machine a share of the time may be too little for anything, and all of it not
                limit_s = until_s if entries or self._found else self._until_s
                if self._has_time(limit_s) and (entry := self._enter(setting)):
                    entries.append(entry)
                    self._try(entry)
            self._run_rounds(entries, until_s)
        finally:
            for entry in entries:
                entry.rig.close()
            ran = [entry for entry in entries if entry.decode]
            self._keep(ran)
        return ran

    def _enter(self, setting: Setting) -> _Entry | None:
        self._on_trial(setting)
        try:
            return _Entry(setting, self._bench.open(setting))
        except ModelLoadError:  # this model, build or memory has no such setting
            return None

    def _run_rounds(self, entries: Sequence[_Entry], until_s: float) -> None:
        """The first round is over already."""
        left = list(entries)
        for clear in CLEAR:
            left = [one for one in left if not any(_beats(other, one, clear) for other in left)]
            if all(_is_settled(one, other, clear) for one in left for other in left if one is not other):
                return
            for entry in left if clear != CLEAR[-1] else ():
                if not self._has_time(until_s):
                    return
                self._try(entry)

    def _try(self, entry: _Entry) -> None:
        self._on_trial(entry.setting)
        started_s = self._clock()
        read_s = max(entry.rig.prefill(self._n_prefill), _TICK_S)
        write_s = max(entry.rig.decode(self._n_decode), _TICK_S)
        entry.prefill.append(self._n_prefill / read_s)
        entry.decode.append(self._n_decode / write_s)
        self._trial_s = self._clock() - started_s

    def _has_time(self, until_s: float) -> bool:
        return self._clock() + self._trial_s < until_s

    def _keep(self, entries: Sequence[_Entry]) -> None:
        """Keep the speeds, as they would have been when the first of these was first measured.

        The machine may be busier now than it was then, and in one round than in another: what stays is the
        ratio between runs of the same round.
        """
        if not entries:
            return
        reference = max(entries, key=lambda entry: len(entry.decode))  # it ran in every round
        read, write = median(reference.prefill), median(reference.decode)
        if before := self._found.get(entries[0].setting):
            ratios = _ratios(reference, entries[0])
            read, write = before.prefill_tokens_per_s * ratios[0], before.decode_tokens_per_s * ratios[1]
        for entry in entries:
            if entry.setting not in self._found:
                ratios = _ratios(entry, reference)
                self._found[entry.setting] = Measured(
                    entry.setting,
                    read * ratios[0],
                    write * ratios[1],
                    entry.rig.load_s,
                    entry.rig.memory_bytes,
                    self._steps(entry.setting),
                )

    def _steps(self, setting: Setting) -> Mapping[int, float]:
        """What batches cost with the same weights, as far as it is known."""
        kin = (each for each in self._found.values() if each.setting.repack_weights == setting.repack_weights)
        return next((each.batch_steps for each in kin), {})

    def _measure_batches(self, setting: Setting) -> None:
        """What drafts of different lengths cost, in steps of one token."""
        if not self._has_time(self._until_s) or (entry := self._enter(setting)) is None:
            return
        try:
            runs = {n: [entry.rig.batch(n)] for n in (1, *BATCHES)}
            if self._has_time(self._until_s):
                for n, seconds in runs.items():
                    seconds.append(entry.rig.batch(n))
        finally:
            entry.rig.close()
        step_s = max(min(runs[1]), _TICK_S)
        steps = {n: max(1.0, min(runs[n]) / step_s) for n in BATCHES}
        self._found = {
            each: replace(found, batch_steps=steps)
            if each.repack_weights == setting.repack_weights
            else found
            for each, found in self._found.items()
        }


def _within(limits: tuple[int, int], wanted: float) -> int:
    return int(min(max(wanted, limits[0]), limits[1]))


def _beats(one: _Entry, other: _Entry, clear: float) -> bool:
    """Whether it is clearly better at something, and worse at nothing."""
    ratios = _ratios(one, other)
    return max(ratios) > clear and min(ratios) > 1 / CLOSE


def _is_settled(one: _Entry, other: _Entry, clear: float) -> bool:
    """Whether it is clear for reading and for writing which is better, or that neither is."""
    return all(
        ratio > clear or ratio < 1 / clear or 1 / CLOSE < ratio < CLOSE for ratio in _ratios(one, other)
    )


def _ratios(one: _Entry, other: _Entry) -> tuple[float, float]:
    """One's speeds over the other's, reading and writing: medians over the rounds that both ran in."""
    rounds = list(zip(one.prefill, one.decode, other.prefill, other.decode, strict=False))
    return median(run[0] / run[2] for run in rounds), median(run[1] / run[3] for run in rounds)
