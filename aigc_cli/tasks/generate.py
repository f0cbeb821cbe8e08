"""One file from a description: what the model is asked, and the code out of what it says."""

import re
from dataclasses import dataclass, replace

from aigc_cli.chat.prompt import Attachment, build_user_message, fenced, system_message
from aigc_cli.engine.base import Chat, Message, Request, Sampling
from aigc_cli.tasks.code_blocks import extract_code_blocks
from aigc_cli.tasks.languages import Language, language_called

_INSTRUCTION = "Write {what}. Reply with its complete content in one fenced block and nothing else."
_MARKDOWN = language_called("markdown")
_MARKDOWN_FENCE = "````"
_THINKING = "How it works, on the example:"
_THINKING_ZH = "先用例子说明怎么做："  # noqa: RUF001  # Chinese punctuation
_CHINESE = re.compile("[\u4e00-\u9fff]")
_FENCE_LINE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})[ \t]*(\S*)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FileTask:
    """What to write.

    Attributes:
        file_name: empty when the code goes to stdout.
        language: None when neither the name nor the person says which.
        opening: of a comment that the reply starts with, in which the model works out what to write. It is
            no part of the file.
    """

    prompt: str
    attachments: tuple[Attachment, ...]
    file_name: str
    language: Language | None
    opening: str = ""

    @property
    def fence(self) -> str:
        """What opens and closes the reply; Markdown holds fences of its own, and gets a longer one."""
        return _MARKDOWN_FENCE if self.language is _MARKDOWN else "```"

    @property
    def reply_prefix(self) -> str:
        """What the reply starts with, so that the first token the model writes is code."""
        return f"{self.fence}{self.language.tag if self.language else ''}\n{self.opening}"


def thought_out(task: FileTask) -> FileTask | None:
    """The same task, whose reply begins by working the example out; None where comments take no line each.

    A small model that is made to say first what happens finds answers that it does not find at any
    temperature when it writes code at once.
    """
    if task.language is None or not task.language.line_comment:
        return None
    words = _THINKING_ZH if _CHINESE.search(task.prompt) else _THINKING
    return replace(task, opening=f"{task.language.line_comment} {words}")


def file_request(task: FileTask, system: str | None, sampling: Sampling) -> Request:
    """The request for one file; `sampling.stop` is extended by the closing fence."""
    prompt = f"{task.prompt}\n\n{_INSTRUCTION.format(what=_what(task))}"
    return _request(task, prompt, system, sampling)


def repair_request(task: FileTask, code: str, error: str, system: str | None, sampling: Sampling) -> Request:
    """The request for a better version of a draft. In one message: small models lose a thread."""
    tag = task.language.tag if task.language else ""
    instruction = _INSTRUCTION.format(what=_what(task))
    prompt = (
        f"{task.prompt}\n\nThis version is wrong:\n{fenced(code, tag)}\n\n{error}\n\n"
        f"Find the mistake and correct it. {instruction}"
    )
    return _request(task, prompt, system, sampling)


def _what(task: FileTask) -> str:
    kind = f" ({task.language.name})" if task.language else ""
    return f"the file {task.file_name}{kind}" if task.file_name else f"one file{kind}"


def _request(task: FileTask, prompt: str, system: str | None, sampling: Sampling) -> Request:
    messages = (*system_message(system), Message("user", build_user_message(prompt, task.attachments)))
    # The line break after the fence lets a fence that opens a block (```python) go by: see `code_of_reply`.
    stop = (*sampling.stop, f"\n{task.fence}\n")
    return Request(Chat(messages, task.reply_prefix), replace(sampling, stop=stop))


def code_of_reply(task: FileTask, reply: str) -> str:
    """The content of the file, with one line break at its end; empty if the reply holds no code.

    The reply goes on after `task.reply_prefix`. Most models close the block, and some then explain. Some
    ignore that a block is open: they open another at once, or say a sentence first.
    """
    reply = task.opening + reply
    code = _markdown(reply) if task.fence == _MARKDOWN_FENCE else _code(task, reply)
    code = _without_thoughts(task, code)
    return code.strip("\n") + "\n" if code.strip() else ""


def _without_thoughts(task: FileTask, code: str) -> str:
    """The code without the comment that `task.opening` begins; comments after a blank line stay."""
    if not task.opening or task.language is None or not code.startswith(task.opening):
        return code
    lines = code.splitlines(keepends=True)
    is_comment = [line.startswith(task.language.line_comment) for line in lines]
    return "".join(lines[is_comment.index(False) :]) if False in is_comment else ""


def _code(task: FileTask, reply: str) -> str:
    match = _FENCE_LINE.search(reply)
    if match is None:
        return reply
    before, tag = reply[: match.start()], match[1]
    is_opening = not before.strip() or (tag and language_called(tag) is task.language)
    if is_opening:
        return extract_code_blocks(reply[match.start() :])[0].code
    return _up_to_closing(reply)


def _up_to_closing(reply: str) -> str:
    """What comes before the fence that closes the block; blocks inside, as in a docstring, belong to it."""
    depth = 0
    for match in _FENCE_LINE.finditer(reply):
        depth += 1 if match[1] else -1
        if depth < 0:
            return reply[: match.start()]
    return reply


def _markdown(reply: str) -> str:
    text = reply.partition(f"\n{_MARKDOWN_FENCE}")[0]
    fences = list(_FENCE_LINE.finditer(text))
    if fences and not text[: fences[0].start()].strip() and language_called(fences[0][1]) is _MARKDOWN:
        return extract_code_blocks(text)[0].code
    # a model that closes the block with the three backticks it is used to leaves one fence without a partner
    is_stray = len(fences) % 2 == 1 and not fences[-1][1] and not text[fences[-1].end() :].strip()
    return text[: fences[-1].start()] if is_stray else text
