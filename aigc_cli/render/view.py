"""What every renderer of events offers, and which renderer a stream gets."""

import os
from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

from aigc_cli.config import Settings
from aigc_cli.events import Event


class View(Protocol):
    """Consumes the events of one reply."""

    def show(self, event: Event) -> None:
        """Show one event at once: nothing is kept back that a person could already read."""
        ...

    def close(self) -> None:
        """End the reply: the cursor stands at the start of a line, no style is left on. Harmless twice."""
        ...


def open_view(
    stdout: TextIO,
    env: Mapping[str, str],
    settings: Settings,
    *,
    raw: bool = False,
    size: Callable[[], os.terminal_size] | None = None,
    clock: Callable[[], float] | None = None,
) -> View:
    """The view for one reply on `stdout`.

    A terminal that moves its cursor gets rendered Markdown; so does a pipe for which colour was asked
    outright, without cursor movement. Everything else, and `raw`, gets the text as it is. With a clock,
    rendered text on a terminal has the speed below it while it comes.
    """
    from aigc_cli.render.console import ColorDepth, background, detect_traits, window_size

    traits = detect_traits(stdout, env, settings.color)
    if raw or not (traits.moves_cursor or traits.depth is not ColorDepth.NONE):
        from aigc_cli.render.plain import PlainView

        return PlainView(stdout)
    from aigc_cli.render.progress import Speedometer
    from aigc_cli.render.terminal import TerminalView  # rich and markdown-it: 0.1 s that a pipe does not pay

    theme = background(env) if settings.theme == "auto" else settings.theme
    return TerminalView(
        stdout,
        traits=traits,
        theme=theme,
        size=size or (lambda: window_size(stdout)),
        speedometer=Speedometer(clock, traits.depth) if clock else None,
    )
