"""What fits the context window: which old turns a chat drops so that the next question and its reply do.

Turns are dropped from the oldest on, and more than needed at once: the engine re-reads the whole
conversation after a drop (its KV cache matches by prefix), so a drop must pay for several turns.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from aigc_cli.engine.base import Message
from aigc_cli.errors import ContextOverflow

REPLY_TOKENS = 1024  # a long function with its explanation; the replies of a chat are rarely longer
LEAST_REPLY_TOKENS = 64  # below this a reply is a torso: better say that the question is too long


@dataclass(frozen=True, slots=True)
class Plan:
    """What the model sees of a conversation when it answers the next question.

    Attributes:
        messages: system prompt, the turns kept, the question.
        n_dropped: how many of the given turns, from the oldest on, are left out.
        n_tokens: length of `messages` in tokens.
    """

    messages: tuple[Message, ...]
    n_dropped: int
    n_tokens: int


def reply_reserve(n_ctx: int, max_tokens: int | None = None) -> int:
    """Tokens of the window to keep free for a reply."""
    reserve = min(REPLY_TOKENS, n_ctx // 4)
    return reserve if max_tokens is None else min(reserve, max_tokens)


def fit(
    system: Sequence[Message],
    turns: Sequence[Sequence[Message]],
    question: Message,
    *,
    count: Callable[[tuple[Message, ...]], int],
    n_ctx: int,
    reserve: int,
) -> Plan:
    """Choose the turns that the model sees; the system prompt and the question always stay.

    `count` costs a tokenization of all messages: it is called once when everything fits, and
    about log2 of the number of turns more when not.

    Raises:
        ContextOverflow: the question does not even fit alone.
    """

    def without(n_dropped: int) -> tuple[Message, ...]:
        return (*system, *chain.from_iterable(turns[n_dropped:]), question)

    @cache
    def length(n_dropped: int) -> int:
        return count(without(n_dropped))

    room = n_ctx - reserve
    if length(0) <= room:
        return Plan(without(0), 0, length(0))
    n_alone = length(len(turns))
    if n_alone > n_ctx - min(LEAST_REPLY_TOKENS, reserve):
        raise ContextOverflow(n_alone, n_ctx, "shorten the question, /drop a file, or raise --context")
    target = _drop_target(room, n_alone, n_ctx)
    n_dropped = bisect_left(range(len(turns)), True, key=lambda n: length(n) <= target)
    return Plan(without(n_dropped), n_dropped, length(n_dropped))


def _drop_target(room: int, n_alone: int, n_ctx: int) -> int:
    """Free a quarter of the window, but leave to old turns half of what the question leaves."""
    return max(room - n_ctx // 4, (room + n_alone) // 2)
