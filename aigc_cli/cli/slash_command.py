"""What a command of the chat is."""

from collections.abc import Callable
from dataclasses import dataclass

from aigc_cli.cli.talk import Talk


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """One command of the chat.

    Attributes:
        arguments: as the help shows them.
        action: does it; the text it returns, if any, is what the person goes on editing.
        names: what the last word of this argument can be.
    """

    name: str
    arguments: str
    help: str
    action: Callable[[Talk, str], str | None]
    aliases: tuple[str, ...] = ()
    names: Callable[[Talk, str], list[str]] | None = None

    @property
    def usage(self) -> str:
        """The command as a person types it."""
        return f"/{self.name} {self.arguments}".rstrip()
