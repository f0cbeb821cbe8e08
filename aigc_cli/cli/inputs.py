"""What a one-shot command is asked: the words of its line, the files that `-f` names, standard input."""

from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.chat.prompt import Attachment, build_user_message
from aigc_cli.cli import stdin
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.report import note
from aigc_cli.errors import ContextOverflow, UsageError
from aigc_cli.tasks.attachments import is_pattern, read_attachment, read_pattern

STDIN = "-"
# Typical text has about four characters a token. No tokenizer packs sixteen times that many: such an input
# is refused by its length alone, since tokenizing it to learn the same takes minutes.
_CHARACTERS_PER_TOKEN = 4
_MOST_CHARACTERS_PER_TOKEN = 64


@dataclass(frozen=True, slots=True)
class Inputs:
    """The person's words, and the text that goes with them."""

    prompt: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def message(self) -> str:
        """All of it, as the model sees it."""
        return build_user_message(self.prompt, self.attachments)


def read_inputs(app: AppContext, words: Sequence[str], files: Sequence[str], *, no_stdin: bool) -> Inputs:
    """Collect them; standard input is the prompt itself where there are no words.

    Raises:
        UsageError: there is no prompt at all, or stdin is both asked for and excluded.
        FileError: a file or stdin can't be read.
    """
    asked_for_stdin = STDIN in (*words, *files)
    if asked_for_stdin and no_stdin:
        raise UsageError(
            f"{STDIN} asks for standard input and --no-stdin leaves it out", "choose one of them"
        )
    prompt = " ".join(word for word in words if word != STDIN).strip()
    attachments = attach_files(app, files)
    piped = "" if no_stdin or not (asked_for_stdin or not app.stdin.isatty()) else stdin.read_stdin(app)
    if not piped.strip():
        piped = ""
    if not prompt and not piped:
        raise UsageError(
            "nothing is asked", "aigc 'why is the sky blue?', or aigc < question.txt, or aigc to chat"
        )
    if not prompt:
        return Inputs(piped, tuple(attachments))
    if piped:
        attachments.append(Attachment(stdin.NAME, piped))
    return Inputs(prompt, tuple(attachments))


def attach_files(app: AppContext, names: Sequence[str]) -> list[Attachment]:
    """The files that these names and patterns stand for, each once; `-` is none.

    Raises:
        FileError: one can't be read, or a pattern matches nothing.
    """
    found = [attachment for name in names if name != STDIN for attachment in _attach(app, name)]
    return list(dict.fromkeys(found))


def _attach(app: AppContext, name: str) -> list[Attachment]:
    if not is_pattern(name, app.cwd):
        return [read_attachment(name, app.cwd)]
    found, binary = read_pattern(name, app.cwd)
    if binary:
        note(app, f"left out as no text: {', '.join(binary)}")
    return found


def refuse_oversize(n_characters: int, n_ctx: int) -> None:
    """Refuse what can't fit the context window by any count.

    Raises:
        ContextOverflow: with the number of tokens estimated.
    """
    if n_characters > n_ctx * _MOST_CHARACTERS_PER_TOKEN:
        raise ContextOverflow(n_characters // _CHARACTERS_PER_TOKEN, n_ctx)
