"""What happens to old turns when the window fills up: dropped, or summed up by the model; a line says so."""

from dataclasses import replace
from typing import TYPE_CHECKING

from aigc_cli.chat.budget import Plan, fit, reply_reserve
from aigc_cli.chat.compact import QUESTION, instruction, n_old, summary_tokens
from aigc_cli.cli.inputs import refuse_oversize
from aigc_cli.cli.reply import Reply, prefill_progress, run_reply
from aigc_cli.engine.base import Chat, Message, Request
from aigc_cli.errors import EngineError, Interrupted, UsageError
from aigc_cli.events import FinishReason
from aigc_cli.render.view import open_view

if TYPE_CHECKING:
    from aigc_cli.chat.session import Question
    from aigc_cli.cli.talk import Talk

_UNCHANGED = "nothing was compacted"


def plan_for(talk: "Talk", question: "Question") -> Plan:
    """What the model will see with this question; old turns make room for it by the policy in force.

    Raises:
        ContextOverflow: it does not even fit alone.
        Interrupted: Ctrl-C while old turns were summed up; nothing has changed.
    """
    refuse_oversize(len(question.message.content), talk.engine.info.n_ctx)
    plan = _fitted(talk, question)
    if plan.n_dropped and talk.settings.overflow == "compact":
        try:
            _sum_up(talk, plan.n_dropped)
        except EngineError as error:
            talk.remark(f"{error.message}; they are dropped instead")
        else:
            plan = _fitted(talk, question)
    if plan.n_dropped:
        _drop(talk, plan.n_dropped)
    return plan


def compact(talk: "Talk") -> None:
    """Have the model sum up all but the newest turns.

    Raises:
        UsageError: there are too few turns.
        EngineError: the model gave no summary that could stand for them.
        Interrupted: Ctrl-C. In each case nothing has changed.
    """
    n_turns = n_old(talk.conversation.visible_turns)
    if n_turns == 0:
        raise UsageError("there is nothing to compact yet", "/context shows what the model sees")
    _sum_up(talk, n_turns)
    talk.recount()


def _fitted(talk: "Talk", question: "Question") -> Plan:
    n_ctx = talk.engine.info.n_ctx
    return fit(
        talk.conversation.system_messages,
        [turn.messages for turn in talk.conversation.visible_turns],
        question.message,
        count=talk.count,
        n_ctx=n_ctx,
        reserve=reply_reserve(n_ctx, talk.sampling().max_tokens),
    )


def _drop(talk: "Talk", n_turns: int) -> None:
    conversation = talk.conversation
    files_before = conversation.attached_names()
    which = _which(talk, n_turns)
    conversation.n_hidden += n_turns
    lost = _lost(talk, files_before)
    talk.remark(f"the window is full: the model no longer sees {which}{lost} (/context)")


def _sum_up(talk: "Talk", n_turns: int) -> None:
    conversation = talk.conversation
    old = conversation.visible_turns[:n_turns]
    which = _which(talk, n_turns)
    talk.remark(f"the model sums up {which}:")
    reply, n_left_out = _summary(talk, n_turns)
    _refuse_unless_whole(reply)
    summary = reply.text.strip()
    size = talk.count([Message("user", QUESTION), Message("assistant", summary)])
    size_before = talk.count([message for turn in old for message in turn.messages])
    if size >= size_before:
        raise EngineError(f"the summary is no shorter than the turns: {_UNCHANGED}", "/drop FILE makes room")
    files_before = conversation.attached_names()
    conversation.replace_by_summary(n_turns, QUESTION, summary)
    left_out = f", without the oldest {n_left_out}, which did not fit" if n_left_out else ""
    talk.remark(
        f"{which} ({size_before:,} tokens) stand as this summary ({size:,} tokens){left_out}"
        f"{_lost(talk, files_before)} (/context)"
    )


def _summary(talk: "Talk", n_turns: int) -> tuple[Reply, int]:
    """The reply that sums the turns up, and how many of them, the oldest, it could not see."""
    n_ctx = talk.engine.info.n_ctx
    longest = summary_tokens(n_ctx)
    plan = fit(
        talk.conversation.system_messages,
        [turn.messages for turn in talk.conversation.visible_turns[:n_turns]],
        instruction(),
        count=talk.count,
        n_ctx=n_ctx,
        reserve=longest,
    )
    sampling = replace(talk.sampling(), max_tokens=longest)
    request = Request(Chat(plan.messages), sampling, private=not talk.settings.history)
    view = open_view(talk.app.stderr, talk.app.env, talk.settings)
    reply = run_reply(talk.app, talk.engine, request, (prefill_progress(talk.app), view))
    if not talk.app.stderr.isatty():
        talk.show("")
    return reply, plan.n_dropped


def _refuse_unless_whole(reply: Reply) -> None:
    """A summary cut at its longest will do; one that was stopped, or says nothing, will not."""
    match reply.done.finish_reason:
        case FinishReason.INTERRUPTED:
            raise Interrupted(f"interrupted: {_UNCHANGED}")
        case FinishReason.LOOP:
            raise EngineError(f"the model repeated itself: {_UNCHANGED}", "/compact tries again")
        case _ if not reply.text.strip():
            raise EngineError(f"the model said nothing: {_UNCHANGED}", "/compact tries again")
        case _:
            return


def _which(talk: "Talk", n_turns: int) -> str:
    first = talk.conversation.n_hidden + 1
    last = first + n_turns - 1
    return f"turn {first}" if first == last else f"turns {first} to {last}"


def _lost(talk: "Talk", files_before: tuple[str, ...]) -> str:
    """The files that went out of the model's sight."""
    now = talk.conversation.attached_names()
    lost = [name for name in files_before if name not in now]
    return f", with {', '.join(lost)}" if lost else ""
