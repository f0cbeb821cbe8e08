"""The line editor: keys, history, completion and toolbar on top of prompt_toolkit."""

import shlex
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import Condition, emacs_mode, has_focus, vi_navigation_mode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input.defaults import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.history import PrivateHistory
from aigc_cli.cli.input_colors import FenceLexer
from aigc_cli.cli.prompt import CONTINUATION, PROMPT, Leave, PromptSource, entry_text, is_open_block
from aigc_cli.cli.reply import sigint_goes_to
from aigc_cli.config import Settings
from aigc_cli.render.console import background, detect_traits
from aigc_cli.render.palette import Palette

LEAVE_HINT = "Ctrl-C again or Ctrl-D: leave"
EMPTY_HINT = "type a question; /help"
BLOCK_HINT = 'a block: """ and Enter send it'
NORMAL_MODE = "vi: normal mode"
EDITORS = ("nano", "vi")  # when neither $VISUAL nor $EDITOR says which

# How long Escape may still become Alt and a key: in vi it is a key of its own, pressed all the time.
_ESCAPE_S = {EditingMode.EMACS: 0.5, EditingMode.VI: 0.05}

STYLE = Style.from_dict(
    {
        "prompt": "bold",
        "bottom-toolbar": "noreverse fg:ansibrightblack",
        "bottom-toolbar.text": "noreverse fg:ansibrightblack",
        "hint": "bold",
        "completion-menu": "noinherit",
        "completion-menu.completion": "noinherit",
        "completion-menu.completion.current": "noinherit reverse",
        "completion-menu.meta.completion": "noinherit fg:ansibrightblack",
        "completion-menu.meta.completion.current": "noinherit reverse",
        "scrollbar.background": "noinherit",
        "scrollbar.button": "noinherit reverse",
    }
)


class LineEditor:
    """Enter sends, Alt-Enter or Ctrl-J breaks the line; see slash.KEYS for the rest."""

    def __init__(self, app: AppContext, source: PromptSource, screen: TextIO) -> None:
        settings = source.settings()
        self._env = app.env
        self._source = source
        self._hint = ""
        self._session: PromptSession[str] = PromptSession(
            message=[("class:prompt", PROMPT)],
            multiline=True,
            prompt_continuation=_continuation,
            history=_history(app, settings),
            completer=_SourceCompleter(source),
            lexer=FenceLexer(lambda: _palette(app, source.settings(), screen)),
            complete_while_typing=Condition(self._is_completing),
            bottom_toolbar=self._toolbar,
            key_bindings=self._keys(),
            style=STYLE,
            color_depth=_color_depth(app, settings),
            enable_suspend=True,
            input=create_input(app.stdin),
            output=create_output(screen),
        )
        self._answers: PromptSession[str] = PromptSession(
            style=STYLE,
            color_depth=_color_depth(app, settings),
            input=self._session.input,
            output=self._session.output,
        )
        # A terminal that does not say where its cursor is works too: no warning about it in the chat.
        for session in (self._session, self._answers):
            session.app.renderer.cpr_not_supported_callback = None
        self._session.default_buffer.on_text_changed.add_handler(self._forget_hint)

    @property
    def interactive(self) -> bool:
        """A person types."""
        return True

    def read(self, draft: str = "") -> str:
        """The next entry; Ctrl-D, or Ctrl-C twice at an empty prompt, leaves.

        Raises:
            Leave: the person wants to go.
        """
        self._hint = ""
        mode = EditingMode[self._source.settings().edit_mode.upper()]
        self._session.editing_mode = mode
        self._session.app.ttimeoutlen = _ESCAPE_S[mode]
        try:
            with sigint_goes_to(_ignore):
                return entry_text(self._session.prompt(default=draft))
        except EOFError:
            raise Leave from None
        finally:
            # a paste while the reply streams must be marked too, for the next prompt to know it as one
            self._session.output.enable_bracketed_paste()
            self._session.output.flush()

    def answer(self, question: str) -> str:
        """One line; Ctrl-C and Ctrl-D answer nothing."""
        try:
            with sigint_goes_to(_ignore):
                return self._answers.prompt([("class:prompt", f"{question} ")], handle_sigint=False).strip()
        except (EOFError, KeyboardInterrupt):
            return ""
        finally:
            self._session.output.enable_bracketed_paste()
            self._session.output.flush()

    def _is_completing(self) -> bool:
        before = self._session.default_buffer.document.text_before_cursor
        last_word = before.split()[-1] if before[-1:].strip() else ""
        return before.startswith("/") or "@" in last_word

    def _forget_hint(self, _: object) -> None:
        self._hint = ""

    def _toolbar(self) -> StyleAndTextTuples:
        hint = self._hint
        if not hint and is_open_block(self._session.default_buffer.text):
            hint = BLOCK_HINT
        if hint:
            return [("class:hint", hint)]
        mode = [NORMAL_MODE] if vi_navigation_mode() else []
        return [("", fit_parts([*mode, *self._source.status()], self._session.output.get_size().columns - 1))]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        typing = has_focus(DEFAULT_BUFFER)
        keys.add("enter", filter=typing)(self._on_enter)
        keys.add("escape", "enter", filter=typing & emacs_mode)(_on_newline)
        keys.add("c-j", filter=typing)(_on_newline)
        keys.add("c-c", filter=typing)(self._on_interrupt)
        keys.add("<sigint>")(self._on_signal)
        keys.add("c-x", "c-e", filter=typing)(self._on_editor)
        return keys

    def _give_hint(self, event: KeyPressEvent, hint: str) -> None:
        self._hint = hint
        if not event.app.renderer.height_is_known:  # then prompt_toolkit draws no toolbar
            run_in_terminal(lambda: event.app.output.write(f"{hint}\n"))

    def _on_enter(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if not buffer.text.strip():
            buffer.reset()
            self._give_hint(event, EMPTY_HINT)
        elif is_open_block(buffer.text):
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    def _on_interrupt(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text:
            buffer.append_to_history()
            buffer.reset()
        elif self._hint == LEAVE_HINT and event.app.is_running:
            event.app.exit(exception=EOFError)
        else:
            self._give_hint(event, LEAVE_HINT)

    def _on_signal(self, event: KeyPressEvent) -> None:
        if not event.app.is_running:
            return  # it came just after a line was sent, and there is nothing to stop yet
        if event.app.layout.has_focus(DEFAULT_BUFFER):
            self._on_interrupt(event)
        else:  # a search in the history
            event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")

    def _on_editor(self, event: KeyPressEvent) -> None:
        async def edit() -> None:
            buffer = event.app.current_buffer
            text = await run_in_terminal(lambda: self._edited(buffer.text), in_executor=True)
            buffer.document = Document(text)

        event.app.create_background_task(edit())

    def _edited(self, text: str) -> str:
        """The text as the person's editor leaves it; unchanged, with a hint, when no editor runs."""
        choices = [self._env.get("VISUAL"), self._env.get("EDITOR"), *EDITORS]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "question.md")
            path.write_text(text, encoding="utf-8", errors="replace")
            for editor in filter(None, choices):
                try:
                    done = subprocess.run([*shlex.split(editor), str(path)], check=False)
                except (OSError, ValueError):
                    continue
                if done.returncode == 0:
                    return path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
                self._hint = f"{editor} failed: nothing changed"
                return text
        self._hint = "no editor: set VISUAL or EDITOR"
        return text


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """While the editor runs Ctrl-C is a key; around it an exception would tear asyncio apart."""


def _continuation(_width: int, _line_number: int, wrap_count: int) -> StyleAndTextTuples:
    """Marks a new line; a line that goes on because the window ends is only indented."""
    return [("class:prompt", CONTINUATION if wrap_count == 0 else " " * len(CONTINUATION))]


def _on_newline(event: KeyPressEvent) -> None:
    event.current_buffer.newline(copy_margin=False)


class _SourceCompleter(Completer):
    """Shows the candidates of a PromptSource in prompt_toolkit's menu."""

    def __init__(self, source: PromptSource) -> None:
        self._source = source

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Completions of the text before the cursor."""
        del complete_event
        for candidate in self._source.candidates(document.text_before_cursor):
            yield Completion(candidate.text, -candidate.n_replaced, display_meta=candidate.help)


def fit_parts(parts: list[str], columns: int) -> str:
    """Join the parts that fit side by side, the most important first; CJK counts two columns."""
    line = ""
    for part in parts:
        longer = f"{line} · {part}" if line else part
        if get_cwidth(longer) > columns:
            break
        line = longer
    return line


def _history(app: AppContext, settings: Settings) -> History:
    return PrivateHistory(app.directories.state / "history") if settings.history else InMemoryHistory()


def _palette(app: AppContext, settings: Settings, screen: TextIO) -> Palette:
    """The colours that code has in a reply."""
    theme = background(app.env) if settings.theme == "auto" else settings.theme
    return Palette(detect_traits(screen, app.env, settings.color).depth, theme)


def _color_depth(app: AppContext, settings: Settings) -> ColorDepth | None:
    """Monochrome when colour is off, by the rules of stdout; None lets the terminal decide."""
    is_off = settings.color == "never" or (settings.color == "auto" and app.env.get("NO_COLOR"))
    return ColorDepth.DEPTH_1_BIT if is_off else None
