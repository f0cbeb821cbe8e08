"""How sure the model was of a reply: `aigc ask --confidence`, and `/why` in a chat."""

from typing import TYPE_CHECKING

from aigc_cli.cli.report import note
from aigc_cli.errors import UsageError
from aigc_cli.render.confidence import ConfidenceView, colored, draw_doubts, legend
from aigc_cli.render.console import ColorDepth, detect_traits
from aigc_cli.render.plain import PlainView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigc_cli.cli.context import AppContext
    from aigc_cli.cli.talk import Talk
    from aigc_cli.config import Settings
    from aigc_cli.events import TokenLogprob
    from aigc_cli.render.view import View

N_ALTERNATIVES = 5  # asked for with each token


def confidence_view(app: "AppContext", settings: "Settings") -> "View":
    """The reply in colours where there are any, and as it is elsewhere."""
    if detect_traits(app.stdout, app.env, settings.color).depth is ColorDepth.NONE:
        return PlainView(app.stdout)
    return ConfidenceView(app.stdout)


def tell_doubts(app: "AppContext", tokens: "Sequence[TokenLogprob]") -> None:
    """List the doubtful spots of a reply on stderr."""
    if not tokens:
        note(app, "the server gave no probabilities")
        return
    app.stderr.write("".join(f"{row}\n" for row in draw_doubts(tokens)))
    app.stderr.flush()


def show_why(talk: "Talk", _argument: str) -> None:
    """Show how sure the model was of its last reply.

    Raises:
        UsageError: there is none, or it came without probabilities.
    """
    if not talk.conversation.turns:
        raise UsageError("there is no reply yet", "ask something; /why shows how sure the model was")
    text, tokens = talk.why
    if not tokens or text != talk.conversation.turns[-1].reply:
        talk.top_logprobs = N_ALTERNATIVES
        raise UsageError(
            "the last reply came without probabilities", "they are asked for from the next one on; /retry"
        )
    stderr = talk.app.stderr
    if detect_traits(stderr, talk.app.env, talk.settings.color).depth is not ColorDepth.NONE:
        reply = colored(tokens)
        stderr.write(f"{legend()}\n{reply}\n\n")
    tell_doubts(talk.app, tokens)
