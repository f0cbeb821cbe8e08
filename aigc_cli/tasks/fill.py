"""Fill-in-the-middle at a place of a file: what the model is asked, and which of its replies fits there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aigc_cli.chat.prompt import Attachment, build_user_message, fence_for, well_formed
from aigc_cli.engine.base import Chat, ContextFile, EngineInfo, Infill, Message, Request, Sampling
from aigc_cli.events import FinishReason
from aigc_cli.tasks.fill_end import FillEnd, versions
from aigc_cli.tasks.gap import Gap
from aigc_cli.tasks.syntax import Parsed, parse

MOST_TOKENS = 256  # of a reply, unless the person says otherwise: ten seconds on a CPU
RETRY_CANDIDATES = 3
RETRY_TEMPERATURE = 0.6
_MOST_CHARACTERS_PER_TOKEN = 16  # of text around the gap; what is further away can't fit
_SYSTEM = "You complete code. You write only what is missing."
_MARK = "<GAP>"
_ASK = "{name} has a gap at {mark}:\n{text}\n\nWrite the lines of {name} that replace the one with {mark}."


@dataclass(frozen=True, slots=True)
class Fill:
    """What may go into the gap, and what speaks against it.

    Attributes:
        problem: why the text is not in its language any more; empty if nothing is known to be wrong.
        doubt: what may be wrong.
    """

    text: str
    problem: str = ""
    doubt: str = ""


def infill_request(
    gap: Gap, extra: Sequence[ContextFile], end: FillEnd, sampling: Sampling, info: EngineInfo
) -> Request:
    """For a model with tokens for filling in."""
    most = info.n_ctx * _MOST_CHARACTERS_PER_TOKEN
    prompt = Infill(
        well_formed(gap.prefix[-most:]),
        well_formed(gap.suffix[:most]),
        tuple(ContextFile(well_formed(each.name), well_formed(each.text)) for each in extra),
    )
    return Request(prompt, replace(sampling, stop=(*sampling.stop, *end.stops())))


def chat_request(
    gap: Gap, extra: Sequence[ContextFile], end: FillEnd, sampling: Sampling, info: EngineInfo
) -> Request:
    """For a model without: it sees the text with a mark in the gap, and goes on with the gap's own line."""
    # A token is hardly ever less than a character: half of the window is for the text, a quarter for files.
    before, after = gap.prefix[-info.n_ctx // 3 :], gap.suffix[: info.n_ctx // 6]
    text = f"{before}{_MARK}{after}"
    fence = max(fence_for(text), "```")
    tag = gap.language.tag if gap.language else ""
    files: list[Attachment] = []
    room = info.n_ctx // 4
    for each in reversed(extra):
        if len(each.text) <= room:
            files.insert(0, Attachment(each.name, each.text))
            room -= len(each.text)
    block = f"{fence}{tag}\n{text}\n{fence}"
    ask = _ASK.format(name=gap.name, mark=_MARK, text=block)
    content = build_user_message("", files) + ("\n\n" if files else "") + well_formed(ask)
    messages = (Message("system", _SYSTEM), Message("user", content))
    stop = (*sampling.stop, f"\n{fence}", *end.stops())
    return Request(Chat(messages, well_formed(f"{fence}{tag}\n{gap.head}")), replace(sampling, stop=stop))


def sampling_for(sampling: Sampling, n_candidates: int, *, is_temperature_set: bool) -> Sampling:
    """A single fill is the model's most probable one; several have to differ."""
    if not is_temperature_set:
        sampling = replace(sampling, temperature=0.0 if n_candidates == 1 else RETRY_TEMPERATURE)
    return sampling if sampling.max_tokens else replace(sampling, max_tokens=MOST_TOKENS)


def fills(gap: Gap, replies: Sequence[tuple[str, FinishReason]], end: FillEnd) -> list[Fill]:
    """Different texts for the gap out of what the model said, those that parse first."""
    before = parse(gap.language, gap.filled(""))
    found: dict[str, Fill] = {}
    for reply, reason in replies:
        text, _ = end.cut(_whole_lines(reply, reason))
        judged = [_judged(gap, version, before) for version in versions(gap, text)]
        if judged:
            best = min(judged, key=_rank)
            found.setdefault(best.text.rstrip(), best)
    return sorted(found.values(), key=_rank)


def _whole_lines(reply: str, reason: FinishReason) -> str:
    """Without the line in whose middle a reply was cut, if another one came before."""
    if reason is FinishReason.STOP or "\n" not in reply.strip():
        return reply
    return reply.rpartition("\n")[0]


def _judged(gap: Gap, text: str, before: Parsed) -> Fill:
    after = parse(gap.language, gap.filled(text))
    if after.problems:
        # what did not parse before need not do so now: something else may be wrong with it
        return Fill(text, "" if before.problems else str(after.problems[0]), str(after.problems[0]))
    new = len(after.doubts) > len(before.doubts)
    return Fill(text, "", str(after.doubts[0]) if new else "")


def _rank(fill: Fill) -> tuple[bool, bool]:
    return bool(fill.problem), bool(fill.doubt)


def ways(
    gap: Gap, extra: Sequence[ContextFile], end: FillEnd, sampling: Sampling, info: EngineInfo
) -> Iterator[tuple[str, Request]]:
    """Requests for the same, the best first, each with what is to be said of it: not every engine can all."""
    if info.has_infill:
        yield "", infill_request(gap, extra, end, sampling, info)
        if extra:
            yield "this server fills in without other files", infill_request(gap, (), end, sampling, info)
    if info.has_chat_template:
        said = f"{info.model} has no tokens for filling in: it is asked in a chat, which is less exact"
        yield said, chat_request(gap, extra, end, sampling, info)
