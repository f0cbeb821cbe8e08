"""When a resident engine leaves: after a while without work, unfindable, short of memory, or told to."""

import threading
from collections.abc import Callable

GRACE_S = 10.0  # from a client's first words to its request; it may have files to read before
_LOOK_S = 2.0  # how often to look at the memory
FOREVER = -1


class Lifecycle:
    """Counts the work and says when to leave. Any thread may call it."""

    def __init__(
        self,
        keep_alive_s: float,
        clock: Callable[[], float],
        free_bytes: Callable[[], int],
        spare_bytes: int,
        *,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_lost` says that no client can find the engine any more."""
        self.keep_alive_s = keep_alive_s
        self._clock = clock
        self._free_bytes = free_bytes
        self._spare_bytes = spare_bytes
        self._is_lost = is_lost
        self._changed = threading.Condition()
        self._n_working = 0
        self._greeted_s = self._worked_s = clock()
        self._told = ""
        self.is_stopping = False  # told to leave at once, in the middle of work

    @property
    def n_working(self) -> int:
        """Requests at work or waiting."""
        return self._n_working

    @property
    def idle_s(self) -> float:
        """Seconds since the last work; 0 while there is some."""
        return 0.0 if self._n_working else self._clock() - self._worked_s

    def greet(self, keep_alive_s: float | None = None) -> None:
        """A client is there and will ask; the newest client's wish is in force."""
        with self._changed:
            self._greeted_s = self._clock()
            if keep_alive_s is not None:
                self.keep_alive_s = keep_alive_s
            self._changed.notify_all()

    def begin(self) -> None:
        """Work begins."""
        with self._changed:
            self._n_working += 1

    def end(self) -> None:
        """Work ends."""
        with self._changed:
            self._n_working -= 1
            self._worked_s = self._clock()
            self._changed.notify_all()

    def leave(self, reason: str, *, at_once: bool) -> None:
        """Leave as soon as the work is done, or in the middle of it."""
        self._told = self._told or reason
        self.is_stopping = self.is_stopping or at_once
        with self._changed:  # re-entrant: a signal handler may interrupt whoever holds it
            self._changed.notify_all()

    def wait(self) -> str:
        """Block until it is time to leave; gives the reason in a few words."""
        with self._changed:
            while not (reason := self._reason()):
                self._changed.wait(self._look_again_s())
            return reason

    def wait_for_work(self) -> None:
        """Block until the work is done, or is not to be waited for."""
        with self._changed:
            while self._n_working and not self.is_stopping:
                self._changed.wait(_LOOK_S)

    def _reason(self) -> str:
        if self._told:
            return self._told
        if self._n_working:
            return ""
        if self._left_s() <= 0:
            return f"no work for {self.keep_alive_s:g} s"
        if self._is_lost():
            return "its socket is gone"
        if self._clock() - self._greeted_s > GRACE_S and (free := self._free_bytes()) < self._spare_bytes:
            return f"memory runs short: {free / 1e6:,.0f} MB are free"
        return ""

    def _left_s(self) -> float:
        """Seconds until it has been idle for long enough."""
        if self.keep_alive_s == FOREVER:
            return float("inf")
        until_s = self._worked_s + self.keep_alive_s
        if self._greeted_s >= self._worked_s:
            until_s = max(until_s, self._greeted_s + GRACE_S)
        return until_s - self._clock()

    def _look_again_s(self) -> float:
        return max(0.0, min(self._left_s(), _LOOK_S))
