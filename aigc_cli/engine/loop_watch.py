"""Notices that a server's reply repeats itself: servers let a small model loop until its window is full."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aigc_cli.engine.repetition import RepetitionGuard

_SHORTEST_LOOP = 160  # pieces; the guard decides on no fewer, and most replies are over before


class LoopWatch:
    """Watches the pieces of one reply; a piece is mostly a token."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._guard: RepetitionGuard | None = None

    def push(self, piece: str) -> bool:
        """Take the next piece; True when the reply has become a loop."""
        self._waiting.append(hash(piece))
        if len(self._waiting) < _SHORTEST_LOOP and self._guard is None:
            return False
        if self._guard is None:
            from aigc_cli.engine.repetition import RepetitionGuard  # numpy, 0.1 s: after the first word

            self._guard = RepetitionGuard()
        waiting, self._waiting = self._waiting, []
        return any(self._guard.push(each) for each in waiting)
