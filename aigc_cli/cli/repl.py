"""The chat's loop: read, dispatch, show."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.chat.session import Conversation
from aigc_cli.chat.store import Kept
from aigc_cli.cli import slash
from aigc_cli.cli.confidence import N_ALTERNATIVES
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.keeping import Keeping
from aigc_cli.cli.prompt import Leave, PromptSource, Reader, open_reader
from aigc_cli.cli.report import report_error
from aigc_cli.cli.resuming import go_on
from aigc_cli.cli.slash_actions import attach
from aigc_cli.cli.talk import Talk
from aigc_cli.cli.terminal_mode import keys_kept_quiet
from aigc_cli.config import Settings
from aigc_cli.errors import AigcError, ContextOverflow, ExitCode, FileError, Interrupted, UsageError
from aigc_cli.tasks.mentions import is_file

_INTERRUPTS_TO_LEAVE = 2


@dataclass(frozen=True, slots=True)
class Start:
    """What a chat begins with.

    Attributes:
        files: attached to the first question.
        stop: strings that end a reply.
        kept: the session to go on with.
        system: a system prompt for it in place of its own.
    """

    files: Sequence[str] = ()
    stop: tuple[str, ...] = ()
    kept: Kept | None = None
    system: str | None = None


def start_chat(app: AppContext, settings: Settings, start: Start) -> ExitCode:
    """Load the model, then answer until the person, or the pipe, is done.

    Raises:
        AigcError: the model or a file can't be had; or, from a pipe, something failed.
    """
    with keys_kept_quiet(app):
        conversation, keeping = Conversation(settings.system), Keeping(app, settings)
        engine = app.open_engine(settings)
        talk = Talk(
            app,
            settings,
            engine,
            stop=start.stop,
            conversation=conversation,
            keeping=keeping,
            # not every server has them: there, /why asks for them from then on
            top_logprobs=None if settings.base_url else N_ALTERNATIVES,
        )
        try:
            reader = _reader(talk)
            if start.kept:
                go_on(talk, start.kept, start.system)
            for name in start.files:
                attach(talk, shlex.quote(name))
            return run_repl(talk, reader)
        finally:
            keeping.close()
            talk.engine.close()


def _reader(talk: Talk) -> Reader:
    """Where this chat's lines come from; a person is told what they talk with."""
    source = PromptSource(lambda text: slash.candidates(talk, text), talk.status, lambda: talk.settings)
    reader = open_reader(talk.app, source)
    talk.interactive, talk.answer = reader.interactive, reader.answer
    if reader.interactive:
        info = talk.engine.info
        talk.remark(f"{info.model}, a window of {info.n_ctx:,} tokens")
        talk.remark("/help lists the commands, Ctrl-D leaves")
    return reader


def run_repl(talk: Talk, reader: Reader) -> ExitCode:
    """Answer what the person enters until they leave.

    With a person there, a failure is told and the chat goes on; otherwise the first failure ends it.

    Raises:
        AigcError: nobody is there to read of it and go on.
    """
    draft, n_interrupts = "", 0
    while True:
        try:
            entry = reader.read(draft)
            n_interrupts = 0
            draft = _dispatch_reported(talk, entry)
        except Leave:
            return ExitCode.DONE
        except KeyboardInterrupt:
            n_interrupts += 1
            if not talk.interactive:
                raise
            if n_interrupts == _INTERRUPTS_TO_LEAVE:
                return ExitCode.DONE
            talk.remark("Ctrl-C again or Ctrl-D: leave")


def _dispatch_reported(talk: Talk, entry: str) -> str:
    """Do what an entry says; returns the text to go on editing: a question that could not be sent."""
    try:
        return dispatch(talk, entry)
    except AigcError as error:
        if not talk.interactive:
            raise
        if isinstance(error, Interrupted):
            talk.remark(f"({error.message})")
            return "" if entry.startswith("/") else entry
        report_error(talk.app, error.message, error.hint)
        return entry if isinstance(error, ContextOverflow | FileError) else ""


def dispatch(talk: Talk, entry: str) -> str:
    """Run a command, or ask a question; returns the text to go on editing.

    Raises:
        AigcError: it could not be done.
    """
    if not entry.strip():
        return ""
    if command_line := slash.parse(talk, entry):
        command, argument = command_line
        draft = command.action(talk, argument) or ""
        talk.keep()  # what was taken back or dropped is so in the session too
        return draft
    if is_lone_path(talk, entry):
        return _ask_what_about(talk, entry.strip())
    talk.ask(entry)
    return ""


def is_lone_path(talk: Talk, entry: str) -> bool:
    """Whether an entry is nothing but a file's name; a plain word such as `hello` is a greeting."""
    line = entry.strip()
    return "\n" not in line and ("." in line or "/" in line) and is_file(line, talk.app.cwd)


def _ask_what_about(talk: Talk, name: str) -> str:
    mention = f'@"{name}"' if " " in name else f"@{name}"
    if not talk.interactive:
        raise UsageError(f"{name!r} is a file, not a question", f"ask about it: explain {mention}")
    talk.remark(f"{name} is a file: ask something about {mention}, or /file {name}")
    return f"{mention} "
