"""How a one-shot reply ended: the exit code, and what a person should know of it."""

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.reply import Reply
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.errors import AigcError, EngineError, Interrupted
from aigc_cli.events import FinishReason

_LOOP_HINT = "raise --repeat-penalty or --temperature, or say it in other words"
_FULL_HINT = "raise --context, attach less, or ask for less at once"


def cut_short(reply: Reply) -> AigcError | None:
    """The error of a reply that is not whole; None for one that is."""
    return cut_short_by(reply.done.finish_reason)


def cut_short_by(reason: FinishReason) -> AigcError | None:
    """The error of a reply that ended for this reason; None for a whole one."""
    match reason:
        case FinishReason.STOP:
            return None
        case FinishReason.INTERRUPTED:
            return Interrupted()
        case FinishReason.LOOP:
            return EngineError("the reply was stopped: the model repeated itself", _LOOP_HINT)
        case FinishReason.LENGTH:
            return EngineError("the reply was cut: the context window is full", _FULL_HINT)


def raise_unless_whole(app: AppContext, reply: Reply, settings: Settings, n_ctx: int) -> None:
    """End a command whose reply was cut; a length that the person asked for is no failure, and only noted."""
    error = cut_short(reply)
    asked_for = reached_max_tokens(reply, settings, n_ctx)
    if error and not asked_for:
        raise error
    if asked_for:
        note(app, f"stopped at --max-tokens {settings.max_tokens}")


def reached_max_tokens(reply: Reply, settings: Settings, n_ctx: int) -> bool:
    """Whether the person's own limit, and not the context window, ended the reply."""
    room = n_ctx - reply.done.stats.prompt_tokens
    is_cut = reply.done.finish_reason is FinishReason.LENGTH
    return is_cut and settings.max_tokens is not None and settings.max_tokens < room
