"""A conversation as a file: Markdown for people, JSON for programs."""

import json
from collections.abc import Iterable

from aigc_cli.chat.session import Conversation, Turn


def as_markdown(turns: Iterable[Turn]) -> str:
    """Question and reply of each turn; the attached files are named, not repeated."""
    return "\n".join(_turn_as_markdown(turn) for turn in turns)


def _turn_as_markdown(turn: Turn) -> str:
    quoted = "\n".join(f"> {line}".rstrip() for line in turn.question.text.splitlines())
    files = ", ".join(f"`{a.name}`" for a in turn.question.attachments)
    attached = f">\n> Attached: {files}\n" if files else ""
    mark = "\n*(interrupted)*\n" if turn.interrupted else ""
    return f"{quoted}\n{attached}\n{turn.reply.strip()}\n{mark}"


def as_json(conversation: Conversation) -> str:
    """The turns with all that went to the model, as one JSON object."""
    turns = [
        {
            "question": turn.question.text,
            "files": [{"name": a.name, "text": a.text} for a in turn.question.attachments],
            "reply": turn.reply,
            "interrupted": turn.interrupted,
        }
        for turn in conversation.turns
    ]
    system = next((message.content for message in conversation.system_messages), "")
    return json.dumps({"system": system, "turns": turns}, ensure_ascii=False, indent=2) + "\n"
