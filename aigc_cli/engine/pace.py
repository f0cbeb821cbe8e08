"""Text at the pace of a reader: tokens that come within an eighth of a second are told together.

Each event goes through a queue, a socket and a renderer, and all of these take processor time from the
evaluation of the next token: about 1 ms, which two computing threads wait for.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from aigc_cli.events import Delta, Done, Event

FRAME_S = 0.125  # two or three words at the speed of a usual laptop


def merged(deltas: Sequence[Delta]) -> Delta:
    """Pieces of one reply that follow each other, as one."""
    if len(deltas) == 1:
        return deltas[0]
    return Delta(
        "".join(delta.text for delta in deltas),
        sum(delta.n_tokens for delta in deltas),
        deltas[0].candidate,
        tuple(token for delta in deltas for token in delta.tokens),
    )


def paced(events: Iterable[Event], clock: Callable[[], float]) -> Iterator[Event]:
    """The same events; a reply's text is held back as long as more of it is expected within `FRAME_S`.

    The first piece of a reply is told at once, and so is all that is held when something else happens to it.
    """
    replies: dict[int, _Portion] = {}
    try:
        for event in events:
            if isinstance(event, Delta):
                portion = replies.setdefault(event.candidate, _Portion())
                if portion.add(event, clock()):
                    yield portion.take()
                continue
            if isinstance(event, Done) and (portion := replies.pop(event.candidate, _Portion())).held:
                yield portion.take()
            yield event
    except Exception:
        yield from (portion.take() for portion in replies.values() if portion.held)
        raise


@dataclass(slots=True)
class _Portion:
    """What one reply has said since it was last told."""

    held: list[Delta] = field(default_factory=list)
    added_at: float = -math.inf  # when it last grew
    told_at: float = -math.inf

    def add(self, delta: Delta, now: float) -> bool:
        """Whether the text is to be told now: the next piece, after as long as this one, is too late."""
        self.held.append(delta)
        next_at = now + (now - self.added_at)
        self.added_at = now
        if next_at - self.told_at <= FRAME_S:
            return False
        self.told_at = now
        return True

    def take(self) -> Delta:
        """All that is held."""
        held, self.held = self.held, []
        return merged(held)
