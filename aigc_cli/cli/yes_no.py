"""A question on stderr, answered by a person at the terminal."""

from aigc_cli.cli.context import AppContext
from aigc_cli.errors import Interrupted
from aigc_cli.render.console import sanitize

YES = ("y", "yes", "j", "ja", "o", "oui", "s", "si", "sí", "是", "是的", "好", "はい")
NO = ("", "n", "no", "nein", "non", "否", "不", "不要", "いいえ")


def ask_line(app: AppContext, question: str) -> str | None:
    """What the person types; None where nobody is there to type, and at the end of input.

    Raises:
        Interrupted: Ctrl-C.
    """
    if not app.stdin.isatty():
        return None
    app.stderr.write(f"{sanitize(question)} ")
    app.stderr.flush()
    try:
        line = app.stdin.readline()
    except KeyboardInterrupt:
        raise Interrupted from None
    return line.strip() if line else None


def ask_yes(app: AppContext, question: str) -> bool:
    """Whether the person says yes; silence and the end of input are a no."""
    return is_yes(ask_line(app, f"{question} [y/N]"))


def is_yes(answer: str | None) -> bool:
    """Whether this answer is a yes, in one of some languages."""
    return answer is not None and answer.strip().casefold() in YES
