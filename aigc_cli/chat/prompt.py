"""What the model is told: the system prompt, the files and the person's words, and how to sample."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from aigc_cli.config import Settings
from aigc_cli.engine.base import Message, Sampling

# Each token here is read before the first answer: about 60 of them, and never past 150.
SYSTEM_PROMPT = (
    "You are aigc, a coding assistant in a terminal. Answer in the language that the person writes in. "
    "Be correct and brief. Put code into fenced Markdown blocks that name their language, complete and ready "
    "to run, with nothing left out. If something is unclear, say what you assume."
)

_BACKTICKS = re.compile(r"`{3,}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """Text that goes to the model beside the person's words.

    Attributes:
        name: what the model and the person know it by: a path, or `stdin`.
        language: tag of the fence around it; empty for plain text.
    """

    name: str
    text: str
    language: str = ""


def system_message(system: str | None) -> tuple[Message, ...]:
    """The system message for the setting `system`: unset is the built-in one, empty is none."""
    content = SYSTEM_PROMPT if system is None else well_formed(system)
    return (Message("system", content),) if content.strip() else ()


def build_user_message(prompt: str, attachments: Sequence[Attachment] = ()) -> str:
    """Each attachment as a labelled block that its content can't break out of, then the person's words.

    The words come last: another question about the same files then begins with the same tokens, which the
    KV cache holds.
    """
    blocks = [*(_block(attachment) for attachment in attachments), prompt]
    return well_formed("\n\n".join(block for block in blocks if block))


def well_formed(text: str) -> str:
    """Text that can be encoded: bytes of a command line or file name that are no UTF-8 become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _block(attachment: Attachment) -> str:
    label = " ".join(attachment.name.split())  # a line break in a file name must not end the label
    return f"{label}:\n{fenced(attachment.text, attachment.language)}"


def fenced(code: str, language: str = "") -> str:
    """Code as a Markdown block; its last line ends before the closing fence in any case."""
    fence = fence_for(code)
    end = "" if not code or code.endswith("\n") else "\n"
    return f"{fence}{language}\n{code}{end}{fence}"


def fence_for(code: str) -> str:
    """A run of backticks longer than any in the code, so that no line of it closes the block."""
    longest = max((len(run) for run in _BACKTICKS.findall(code)), default=2)
    return "`" * (longest + 1)


def sampling_from(settings: Settings, recommended: Sampling, stop: Sequence[str] = ()) -> Sampling:
    """The model's own recommendation, overlaid with what the person set.

    Raises:
        UsageError: a value is outside its range.
    """
    names = {f.name for f in fields(Sampling)} & {f.name for f in fields(Settings)}
    chosen = {name: value for name in names if (value := getattr(settings, name)) is not None}
    return replace(
        recommended,
        **chosen,
        stop=(*recommended.stop, *map(well_formed, stop)),
        unset=tuple(name for name in recommended.unset if name not in chosen),
    )
