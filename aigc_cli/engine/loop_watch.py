"""Notices that a server's reply repeats itself: servers let a small model loop until its window is full."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aigc_cli.engine.repetition import RepetitionGuard

_SHORTEST_LOOP = 160  # pieces; the guard decides on no fewer, and most replies are over before


class LoopWatch:
    """Watches the pieces of one reply; a piece is mostly a token."""

    def __init__(self, copied: str = "") -> None:
        """Watch a reply that may copy this text: what repeats there may repeat as long in the reply."""
        self._copied = copied
        self._pieces: list[str] = []
        self._n_pushed = 0
        self._guard: RepetitionGuard | None = None

    def push(self, piece: str) -> bool:
        """Take the next piece; True when the reply has become a loop."""
        self._pieces.append(piece)
        if len(self._pieces) < _SHORTEST_LOOP and self._guard is None:
            return False
        if self._guard is None:
            from aigc_cli.engine.repetition import RepetitionGuard  # numpy, 0.1 s: after the first word

            self._guard = RepetitionGuard()
        waiting, self._n_pushed = self._pieces[self._n_pushed :], len(self._pieces)
        is_loop = [self._guard.push(hash(each)) for each in waiting][-1]
        return is_loop and not self._copies(self._guard.n_repeated)

    def _copies(self, n_repeated: int) -> bool:
        """Whether the copied text repeats so too; a loop may go on for a little longer than it does."""
        n_known = max(_SHORTEST_LOOP, n_repeated - _SHORTEST_LOOP)
        return "".join(self._pieces[-n_known:]) in self._copied
