"""Who is next: clients take turns, so one with many requests does not hold up one with a single request."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Waiting items by client, served in rotation; pure bookkeeping, no clock and no thread."""

    def __init__(self) -> None:
        self._clients: dict[str, deque[T]] = {}  # the one whose turn it is comes first

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    def join(self, client: str, item: T) -> None:
        """Queue behind the client's own items; a client that is new here comes after all others."""
        self._clients.setdefault(client, deque()).append(item)

    def waiting(self, client: str) -> int:
        """How many items a client has here."""
        return len(self._clients.get(client, ()))

    def leave(self, client: str, item: T) -> None:
        """Take an item out; harmless when it is not there."""
        own = self._clients.get(client)
        if own is None or item not in own:
            return
        own.remove(item)
        if not own:
            del self._clients[client]

    def next(self) -> T | None:
        """Take out whoever is next; its client goes to the end of the rotation."""
        if not self._clients:
            return None
        client = next(iter(self._clients))
        own = self._clients.pop(client)
        item = own.popleft()
        if own:
            self._clients[client] = own
        return item

    def in_order(self) -> list[T]:
        """All items as they will be served if nobody else comes."""
        rounds = [list(own) for own in self._clients.values()]
        longest = max(map(len, rounds), default=0)
        return [own[n] for n in range(longest) for own in rounds if n < len(own)]
