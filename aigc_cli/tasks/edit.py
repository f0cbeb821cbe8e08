"""A change to one file: what the model is asked, and the file out of what it says."""

import re
from dataclasses import dataclass, replace

from aigc_cli.chat.prompt import Attachment, build_user_message, fence_for, well_formed
from aigc_cli.engine.base import Chat, Message, Request, Sampling
from aigc_cli.tasks.hunks import lines_of
from aigc_cli.tasks.languages import Language, language_called
from aigc_cli.tasks.reindent import as_before, dedented, indented
from aigc_cli.tasks.text_file import TextFile

SYSTEM_PROMPT = "You edit files. You make the change that is asked for and copy all other lines exactly."
_WHOLE = (
    "Reply with the complete changed {name} in one fenced block: every line, those that stay the same too."
)
_PART = (
    "Reply with these lines of {name} as they are after the change, in one fenced block, and no other lines."
)
COMPLAINT = "Your last attempt was refused"
_MARKDOWN = language_called("markdown")
_FENCE_LINE = re.compile(r"^ {0,3}(`{3,})[ \t]*(\S*)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EditTask:
    """What to change.

    Attributes:
        part: first and last line, counted from 1; None for the whole file.
        context: other texts that the model may look at.
    """

    file: TextFile
    instruction: str
    language: Language | None
    part: tuple[int, int] | None = None
    context: tuple[Attachment, ...] = ()

    @property
    def old(self) -> str:
        """The text that is rewritten: the file, or the lines of the part without their common indentation."""
        return self._cut()[1] if self.part is None else dedented(self._cut()[1])[0]

    @property
    def fence(self) -> str:
        """What opens and closes the reply: longer than any fence in the text."""
        return max(fence_for(self.old), "````" if self.language is _MARKDOWN else "```")

    @property
    def tag(self) -> str:
        """The info string of the fence."""
        return self.language.tag if self.language else ""

    def with_reply(self, reply: str) -> str:
        """The whole new text, lines ended by line feeds, out of what the model said after the opening fence.

        The end of the old text, its trailing white space and its kind of indentation are kept.
        """
        before, old, after = self._cut()
        new = _unfenced(reply, self.fence, self.language).replace("\r\n", "\n")
        if not new.strip():
            return ""
        body, indent = dedented(old) if self.part else (old, "")
        new = as_before(body, _with_ends_of(body, new), self.instruction)
        return before + indented(new, indent) + after

    def _cut(self) -> tuple[str, str, str]:
        """The text before the part, the part, and the text after it."""
        lines = lines_of(self.file.text)
        first, last = self.part or (1, len(lines))
        return "".join(lines[: first - 1]), "".join(lines[first - 1 : last]), "".join(lines[last:])


def edit_request(task: EditTask, system: str | None, sampling: Sampling, complaint: str = "") -> Request:
    """The request for one file; `complaint` is why the last attempt was refused."""
    name = well_formed(task.file.path.name)
    first, last = task.part or (0, 0)
    label = f"{name}, lines {first} to {last}" if task.part else name
    ending = (_PART if task.part else _WHOLE).format(name=name)
    words = [
        build_user_message("", task.context),
        f"{label}:\n{_fenced_by(task)}",
        well_formed(task.instruction),
        f"{COMPLAINT}: {complaint}. Do it right this time." if complaint else "",
        ending,
    ]
    content = SYSTEM_PROMPT if system is None else well_formed(system)
    messages = [Message("system", content)] if content.strip() else []
    messages.append(Message("user", "\n\n".join(word for word in words if word)))
    prompt = Chat(tuple(messages), f"{task.fence}{task.tag}\n")
    # the line break after the fence lets one that opens a block (```python) go by
    stop = (*sampling.stop, f"\n{task.fence}\n")
    return Request(prompt, replace(sampling, stop=stop), prediction=task.old)


def _fenced_by(task: EditTask) -> str:
    end = "" if not task.old or task.old.endswith("\n") else "\n"
    return f"{task.fence}{task.tag}\n{task.old}{end}{task.fence}"


def _unfenced(reply: str, fence: str, language: Language | None) -> str:
    """The block that the reply goes on with: up to its closing fence, and without one that opens it again."""
    again = _FENCE_LINE.match(reply.lstrip("\n"))
    if again and language_called(again[2]) is language and again[2]:
        reply = reply.lstrip("\n")[again.end() + 1 :]
    depth = 0
    for match in _FENCE_LINE.finditer(reply):
        if len(match[1]) < len(fence):
            continue
        depth += 1 if match[2] else -1
        if depth < 0:
            return reply[: match.start()]
    # a model that closes the block with the three backticks it is used to leaves one fence without a partner
    fences = list(_FENCE_LINE.finditer(reply))
    is_stray = len(fences) % 2 == 1 and not fences[-1][2] and not reply[fences[-1].end() :].strip()
    return reply[: fences[-1].start()] if is_stray and len(fence) > len("```") else reply


def _with_ends_of(old: str, new: str) -> str:
    """The new text with as many empty lines at its start and line breaks at its end as the old one has."""
    if not old.strip():
        return new.strip("\n") + "\n"
    head = old[: len(old) - len(old.lstrip("\n"))]
    tail = old[len(old.rstrip("\n")) :]
    return head + new.strip("\n") + tail
