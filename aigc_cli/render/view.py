"""What every renderer of events offers."""

from typing import Protocol

from aigc_cli.events import Event


class View(Protocol):
    """Consumes the events of one reply."""

    def show(self, event: Event) -> None:
        """Show one event at once: nothing is kept back that a person could already read."""
        ...

    def close(self) -> None:
        """End the reply: the cursor stands at the start of a line, no style is left on. Harmless twice."""
        ...
