"""Draft, check, repair: drafts of one file until one passes its checks. Pure but for what is injected."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from aigc_cli.engine.base import Request, Sampling
from aigc_cli.errors import ContextOverflow, UnsupportedFeature
from aigc_cli.events import FinishReason
from aigc_cli.tasks.checks import Check, Verdict
from aigc_cli.tasks.generate import FileTask, file_request, repair_request, thought_out

RETRY_TEMPERATURE = 0.8
RETRY_CANDIDATES = 6  # one row each in a batch, whose cost jumps at the eighth
_SEED_STEP = 1_000  # between tries, more than there are candidates
_MOST_SEED = 2**32 - 2
_MOST_ERROR = 2_000  # characters that go back to the model


@dataclass(frozen=True, slots=True)
class Draft:
    """One reply, as the content of a file.

    Attributes:
        code: empty if the reply holds none.
        mean_logprob: of its tokens; None when the engine was not asked.
    """

    code: str
    finish_reason: FinishReason = FinishReason.STOP
    mean_logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A draft and what the checks say of it, in their order."""

    draft: Draft
    verdicts: tuple[Verdict, ...]

    @property
    def is_passed(self) -> bool:
        """Whether it is what was asked for, as far as the checks know."""
        return all(verdict.is_passed for verdict in self.verdicts)

    @property
    def doubt(self) -> str:
        """What may be wrong."""
        return next((verdict.doubt for verdict in self.verdicts if verdict.doubt), "")

    @property
    def failure(self) -> Verdict | None:
        """The first check that failed."""
        return next((verdict for verdict in self.verdicts if not verdict.is_passed), None)

    @property
    def rank(self) -> tuple[int, float, bool, float]:
        """Higher is better: checks passed, parts of checks passed, no doubt, the model's own probability."""
        n_passed = sum(verdict.is_passed for verdict in self.verdicts)
        share = sum(verdict.passed / verdict.total for verdict in self.verdicts)
        probability = self.draft.mean_logprob if self.draft.mean_logprob is not None else float("-inf")
        return n_passed, share, not self.doubt, probability


class Way(StrEnum):
    """How a draft came about."""

    FIRST = "first"
    REPAIR = "repair"
    FRESH = "fresh"
    THOUGHT_OUT = "thought out"


# What comes after the first draft, in turns. A wrong result says little about where the mistake is, and a
# small model that sees its code mostly writes it again; an error that names a place is mended where shown.
_AFTER_WRONG_RESULT = (Way.FRESH, Way.THOUGHT_OUT, Way.REPAIR)
_AFTER_ERROR = (Way.REPAIR, Way.FRESH)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: the best of its candidates."""

    number: int
    way: Way
    judged: Judged


@dataclass(frozen=True, slots=True)
class Plan:
    """How to go about it.

    Attributes:
        sampling: what the person and the model's publisher want.
        is_temperature_set: whether the person chose the temperature, and it is not to be varied.
        tries: how many requests at most.
        private: nothing of it may be written to disk but the file.
        candidates: drafts of each request; None is one at first and RETRY_CANDIDATES later.
    """

    task: FileTask
    system: str | None
    sampling: Sampling
    is_temperature_set: bool
    tries: int = 3
    candidates: int | None = None
    private: bool = False


Sample = Callable[[FileTask, Request], Sequence[Draft]]  # the task says how to read the reply


def attempts(plan: Plan, sample: Sample, checks: Sequence[Check]) -> Generator[Attempt]:
    """Try until a draft passes without doubts. A doubt is worth one more try, and no failure."""
    known: dict[str, tuple[Verdict, ...]] = {}
    best: Judged | None = None
    for number in range(1, plan.tries + 1):
        way = _way(number, best)
        drafts, way = _drafts(plan, number, way, best, sample)
        judged = max((_judge(draft, checks, known) for draft in drafts), key=lambda each: each.rank)
        had_passed = best is not None and best.is_passed
        best = judged if best is None else max(best, judged, key=lambda each: each.rank)
        yield Attempt(number, way, judged)
        if judged.draft.finish_reason is FinishReason.LENGTH:
            return  # the next one would not fit either
        if best.is_passed and (had_passed or not best.doubt):
            return


def _way(number: int, best: Judged | None) -> Way:
    if best is None:
        return Way.FIRST
    is_wrong_result = best.failure is not None and best.failure.is_wrong_result
    turns = _AFTER_WRONG_RESULT if is_wrong_result else _AFTER_ERROR
    way = turns[(number - 2) % len(turns)]
    can_repair = best.draft.code and best.draft.finish_reason is FinishReason.STOP
    return Way.FRESH if way is Way.REPAIR and not can_repair else way


def _drafts(
    plan: Plan, number: int, way: Way, best: Judged | None, sample: Sample
) -> tuple[Sequence[Draft], Way]:
    if way is Way.REPAIR and best is not None:
        failure = best.failure
        error = failure.detail if failure else f"It may be wrong here: {best.doubt}"
        sampling = _sampling(plan, number, way)
        request = repair_request(plan.task, best.draft.code, error[:_MOST_ERROR], plan.system, sampling)
        try:
            return _sampled(plan.task, request, plan, way, sample), way
        except ContextOverflow:  # the draft takes too much of the window to be shown
            way = Way.FRESH
    task = thought_out(plan.task) if way is Way.THOUGHT_OUT else plan.task
    if task is None:
        task, way = plan.task, Way.FRESH
    request = file_request(task, plan.system, _sampling(plan, number, way))
    return _sampled(task, request, plan, way, sample), way


def _sampled(task: FileTask, request: Request, plan: Plan, way: Way, sample: Sample) -> Sequence[Draft]:
    request = replace(request, private=plan.private)
    n_candidates = plan.candidates or (1 if way is Way.FIRST else RETRY_CANDIDATES)
    if n_candidates == 1:
        return sample(task, request)
    try:
        return sample(task, replace(request, candidates=n_candidates, top_logprobs=0))
    except UnsupportedFeature:
        if plan.candidates:
            raise
        return sample(task, request)  # nobody asked for several


def _sampling(plan: Plan, number: int, way: Way) -> Sampling:
    """The first draft is the model's most probable one; each later one is drawn otherwise."""
    sampling = plan.sampling
    if sampling.seed is not None:
        sampling = replace(sampling, seed=(sampling.seed + (number - 1) * _SEED_STEP) % _MOST_SEED)
    if plan.is_temperature_set:
        return sampling
    # at 0 several would all be the same
    is_greedy = way is Way.FIRST and (plan.candidates or 1) == 1
    return replace(sampling, temperature=0.0 if is_greedy else RETRY_TEMPERATURE)


def _judge(draft: Draft, checks: Sequence[Check], known: dict[str, tuple[Verdict, ...]]) -> Judged:
    if draft.finish_reason is not FinishReason.STOP:
        return Judged(draft, (Verdict("whole", 0, 1, f"the reply was cut: {draft.finish_reason}"),))
    if not draft.code:
        return Judged(draft, (Verdict("code", 0, 1, "the reply holds no code"),))
    if draft.code not in known:
        known[draft.code] = _verdicts(draft.code, checks)
    return Judged(draft, known[draft.code])


def _verdicts(code: str, checks: Sequence[Check]) -> tuple[Verdict, ...]:
    """All checks; but nothing is run that does not even parse."""
    verdicts: list[Verdict] = []
    for check in checks:
        if verdicts and not verdicts[0].is_passed and verdicts[0].check == "syntax":
            break
        verdicts.append(check.judge(code))
    return tuple(verdicts)
