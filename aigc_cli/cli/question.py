"""A question to the person on the terminal."""

from aigc_cli.cli.context import AppContext
from aigc_cli.errors import Interrupted
from aigc_cli.render.console import sanitize


def answer_to(app: AppContext, question: str) -> str:
    """One line from the person, case folded; `?` for an empty one.

    Raises:
        Interrupted: Ctrl-C, or the end of the input: nothing shall be written.
    """
    app.stderr.write(sanitize(question))
    app.stderr.flush()
    try:
        line = app.stdin.readline()
    except KeyboardInterrupt:
        app.stderr.write("\n")
        raise stopped() from None
    if not line:
        app.stderr.write("\n")
        raise stopped()
    return line.strip().casefold() or "?"


def stopped() -> Interrupted:
    """The person does not go on."""
    return Interrupted("stopped; nothing is written")
