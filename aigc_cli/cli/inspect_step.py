"""`aigc inspect step`: one token at a time, the model's choice or another one, and back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from aigc_cli.cli.inspect_next import CHAIN, Top, chosen_sampling, draw, summary
from aigc_cli.cli.inspecting import (
    EVALUATING,
    TEXT,
    Given,
    Screen,
    open_inspector,
    text_of,
    text_options,
)
from aigc_cli.cli.options import Flags, app_context, setting_options
from aigc_cli.cli.yes_no import ask_line
from aigc_cli.errors import ExitCode, Interrupted, UsageError
from aigc_cli.render.console import ColorDepth, detect_traits, sanitize, window_size
from aigc_cli.render.distribution import excerpt
from aigc_cli.render.token_text import label

if TYPE_CHECKING:
    from aigc_cli.cli.context import AppContext
    from aigc_cli.engine.distribution import Candidate
    from aigc_cli.engine.inspection import Walk

QUESTION = "Enter takes the choice, a number another one, u goes back, g runs on, q leaves:"
BACK, GO, QUIT = "u", "g", "q"


@setting_options(*EVALUATING, *CHAIN)
@text_options(*TEXT)
def step(
    ctx: typer.Context,
    *,
    top: Top = 8,
    given: Given,
    flags: Flags,
) -> int:
    """Generate one token at a time, at a terminal: the model's choice or another one, and back."""
    app = app_context(ctx)
    if not app.stdin.isatty():
        raise UsageError("step needs a terminal to type at", "aigc inspect next --json shows one step")
    settings = app.resolve_settings(flags).settings
    sampling = chosen_sampling(app, settings, flags)
    prompt = given.prompt(app, settings)
    with open_inspector(app, settings, prompt) as inspector:
        walk = inspector.walk(prompt, top, sampling)
        stepping = _Stepping(app, walk, text_of(prompt), settings.color)
        stepping.run()
    if not app.stdout.isatty():
        app.stdout.write(stepping.added)
    return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Stepping:
    """A walk and the person who leads it; all that is shown goes to stderr."""

    app: "AppContext"
    walk: "Walk"
    text: str
    color: str

    @property
    def added(self) -> str:
        """What follows the text so far."""
        return self.walk.said.decode("utf-8", "replace")

    def run(self) -> None:
        """Show, ask, do, until the person leaves."""
        self._show()
        while (answer := ask_line(self.app, QUESTION)) not in (QUIT, None):
            if self._do((answer or "").lower()):
                self._show()

    def _do(self, answer: str) -> bool:
        """Follow one answer; whether something changed."""
        if answer == BACK:
            return self.walk.back() or self._say("this is the beginning")
        if answer == GO:
            return self._run_on()
        if not answer:
            return self._take(self.walk.distribution.choice)
        candidates = self.walk.distribution.candidates
        if not answer.isascii() or not answer.isdigit() or not 1 <= int(answer) <= len(candidates):
            return self._say(f"{answer}: there are the numbers 1 to {len(candidates)}, u, g and q")
        return self._take(candidates[int(answer) - 1])

    def _take(self, candidate: "Candidate") -> bool:
        if self.walk.is_full:
            return self._say("the context window is full")
        self.walk.take(candidate.token)
        return True

    def _run_on(self) -> bool:
        """Take the model's choices to the end of the reply, or until Ctrl-C."""
        try:
            while not self.walk.ends(self.walk.distribution.choice.token):
                if not self._take(self.walk.distribution.choice):
                    break
                self._write(label(self.walk.piece_at(-1)).replace("↵", "↵\n"))
        except (KeyboardInterrupt, Interrupted):
            self._say("\nstopped")
        self._write("\n\n")
        return True

    def _show(self) -> None:
        traits = detect_traits(self.app.stderr, self.app.env, self.color)
        screen = Screen(traits.depth, window_size(self.app.stderr).columns)
        found = self.walk.distribution
        before = excerpt(self.text + self.added, screen.columns - 2)
        ends = " (ends the reply)" if self.walk.ends(found.choice.token) else ""
        choice = f"choice: {label(found.choice.piece)}{ends}"
        rows = [f"{before}▁", "", *draw(found, screen), "", summary(found)[0], choice]
        if screen.depth is not ColorDepth.NONE:
            rows[0] = f"\x1b[1m{rows[0]}\x1b[0m"
        self._write("".join(f"{row}\n" for row in rows))

    def _say(self, text: str) -> bool:
        """Tell the person something; nothing has changed."""
        self._write(f"{sanitize(text)}\n")
        return False

    def _write(self, text: str) -> None:
        self.app.stderr.write(text)
        self.app.stderr.flush()
