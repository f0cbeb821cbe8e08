"""Old turns summed up by the model itself: what it is asked, and which turns go into the summary."""

from collections.abc import Sequence

from aigc_cli.chat.session import Turn
from aigc_cli.engine.base import Message

# The turns stand before it as they are, so that the engine's KV cache still holds them.
INSTRUCTION = (
    "Sum up our conversation so far for yourself, since you will not see it again. Keep what was asked, what "
    "was decided, names of files and functions, and code that is still needed, word for word. Be brief, and "
    "write nothing but the summary."
)
QUESTION = "What did we say so far?"  # stands over the summary from then on: shorter than the instruction
_LARGEST_SHARE = 8  # a summary takes at most this part of the window
_MOST_TOKENS = 512
_FEW_TURNS = 3


def n_old(turns: Sequence[Turn]) -> int:
    """How many of the turns that the model sees to sum up: all but the last two, or the last of a few."""
    n_kept = 1 if len(turns) <= _FEW_TURNS else 2
    return max(0, len(turns) - n_kept)


def summary_tokens(n_ctx: int) -> int:
    """The longest summary, in tokens."""
    return min(_MOST_TOKENS, n_ctx // _LARGEST_SHARE)


def instruction() -> Message:
    """What the model is asked after the old turns."""
    return Message("user", INSTRUCTION)
