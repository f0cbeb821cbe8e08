"""A change in front of the person: its diff, and the question what becomes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.editor import edited_by_hand
from aigc_cli.cli.question import answer_to, stopped
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.errors import AigcError
from aigc_cli.render.console import background, detect_traits, window_size
from aigc_cli.tasks.hunks import Change, changes_between, hunks_of, with_changes

if TYPE_CHECKING:
    from typing import TextIO

Answer = Callable[[str], str | None]
_YES = ("y", "yes", "是", "好")
_NO = ("n", "no", "否", "不")
_HELP = (
    "y  write this change",
    "n  leave this file as it is",
    "e  change the new text in your editor first",
    "s  split: say yes or no to each place",
    "q  quit: write nothing at all",
)
_PLACE_HELP = (
    "y  take the change at this place",
    "n  leave this place as it is",
    "a  take it, and all that follow",
    "d  leave it, and all that follow",
    "q  quit: write nothing at all",
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new text for a file, line ends as they will be written.

    Attributes:
        language: tag, for the colours.
    """

    name: str
    old: str
    new: str
    language: str = ""


def show_diff(app: AppContext, settings: Settings, stream: "TextIO", proposal: Proposal) -> None:
    """Draw the whole diff."""
    changes = changes_between(proposal.old, proposal.new)
    _draw(app, settings, stream, proposal, changes)


def _draw(
    app: AppContext, settings: Settings, stream: "TextIO", proposal: Proposal, changes: Sequence[Change]
) -> None:
    from aigc_cli.render.diff import draw_diff  # Rich and Pygments: 30 ms that --help does not pay
    from aigc_cli.render.palette import Palette

    traits = detect_traits(stream, app.env, settings.color)
    theme = background(app.env) if settings.theme == "auto" else settings.theme
    hunks = hunks_of(proposal.old, changes)
    width = window_size(stream).columns
    rows = draw_diff(proposal.name, hunks, proposal.language, Palette(traits.depth, theme), width)
    stream.write("".join(f"{row}\n" for row in rows))
    stream.flush()


def reviewed(
    app: AppContext, settings: Settings, proposal: Proposal, ask: Answer | None = None
) -> str | None:
    """The text to write, as the person decides; None leaves the file as it is.

    `ask` puts a question to the person; without it the answer is read from stdin.

    Raises:
        Interrupted: the person quits, presses Ctrl-C, or ends the input: nothing shall be written.
    """
    new = proposal.new
    show_diff(app, settings, app.stderr, proposal)
    while True:
        shown = Proposal(proposal.name, proposal.old, new, proposal.language)
        answer = _answer(app, ask, f"write this change to {proposal.name}? [y,n,e,s,q,?] ")
        match answer:
            case _ if answer in _YES:
                return new
            case _ if answer in _NO:
                return None
            case "e":
                new = _by_hand(app, settings, shown)
                if new == proposal.old:
                    note(app, f"{proposal.name} is what it was")
                    return None
            case "s":
                return _split(app, settings, shown, ask)
            case "q":
                raise stopped()
            case _:
                _say(app, _HELP)


def _by_hand(app: AppContext, settings: Settings, proposal: Proposal) -> str:
    try:
        new = edited_by_hand(app, proposal.new, PurePath(proposal.name).suffix)
    except AigcError as error:
        note(app, f"{error.message}{error.hint and f'; {error.hint}'}")
        return proposal.new
    edited = Proposal(proposal.name, proposal.old, new, proposal.language)
    show_diff(app, settings, app.stderr, edited)
    return new


def _split(app: AppContext, settings: Settings, proposal: Proposal, ask: Answer | None) -> str | None:
    changes = changes_between(proposal.old, proposal.new)
    chosen: set[int] = set()
    index = 0
    while index < len(changes):
        _draw(app, settings, app.stderr, proposal, changes[index : index + 1])
        question = f"place {index + 1} of {len(changes)}: take it? [y,n,a,d,q,?] "
        answer = _answer(app, ask, question)
        match answer:
            case _ if answer in _YES:
                chosen.add(index)
            case _ if answer in _NO:
                pass
            case "a":
                chosen.update(range(index, len(changes)))
                break
            case "d":
                break
            case "q":
                raise stopped()
            case _:
                _say(app, _PLACE_HELP)
                continue
        index += 1
    return with_changes(proposal.old, changes, chosen) if chosen else None


def _answer(app: AppContext, ask: Answer | None, question: str) -> str:
    if ask is not None:
        answer = ask(question.rstrip())
        if not answer:  # Ctrl-C, Ctrl-D, or nobody there
            raise stopped()
        return answer.strip().casefold() or "?"
    return answer_to(app, question)


def _say(app: AppContext, lines: Sequence[str]) -> None:
    app.stderr.write("".join(f"{line}\n" for line in lines))
    app.stderr.flush()
