"""What a request wants continued: a conversation, a text, or a gap between two texts."""

from typing import Any, cast, get_args

from aigc_cli.engine.base import Chat, ContextFile, Infill, Message, Role, Text
from aigc_cli.serve.fields import Fields, required
from aigc_cli.serve.refusals import BadField, UnservedField

ROLES: tuple[str, ...] = get_args(Role)
TOOL_ROLES = ("tool", "function")
UNNAMED_FILE = "tmp"  # what llama-server calls a piece of context without a name


def decode_chat(fields: Fields) -> Chat:
    """The conversation. A last message of the assistant is the start of its reply, as in llama-server.

    Raises:
        BadField: the messages are none.
        UnservedField: they hold pictures, sound or tool calls.
    """
    required(fields, "messages", fields.array("messages"))
    messages = [_message(message) for message in fields.objects("messages")]
    reply_prefix = ""
    if messages and messages[-1].role == "assistant":
        reply_prefix = messages.pop().content
    if not messages:
        raise BadField("messages", "messages holds nothing to answer")
    return Chat(tuple(messages), reply_prefix)


def _message(fields: Fields) -> Message:
    role = required(fields, "role", fields.text("role"))
    if role in TOOL_ROLES or fields.raw("tool_calls") or "function_call" in fields:
        raise UnservedField(fields.path("role"), f"{fields.path('role')}: this server has no tool calls")
    if role == "developer":  # OpenAI's newer name
        role = "system"
    if role not in ROLES:
        fields.refuse("role", f"one of {', '.join(ROLES)}")
    if role == "assistant" and "content" not in fields:
        return Message("assistant", "")
    return Message(cast("Role", role), required(fields, "content", text_of(fields, "content")))


def text_of(fields: Fields, name: str) -> str | None:
    """A string, or OpenAI's parts `[{"type": "text", "text": …}]` joined.

    Raises:
        UnservedField: a part is no text.
    """
    if not isinstance(fields.raw(name), list):
        return fields.text(name)
    return "".join(_part(part) for part in fields.objects(name))


def _part(fields: Fields) -> str:
    kind = required(fields, "type", fields.text("type"))
    if kind != "text":
        where = fields.path("type")
        raise UnservedField(where, f"{where}: this server reads text, no {kind}", "leave that part out")
    return required(fields, "text", fields.text("text"))


def decode_text(fields: Fields) -> Text | Infill:
    """The text to continue; with a `suffix`, the gap before that.

    Raises:
        BadField: there is no text.
        UnservedField: it is given as token ids, or there are several.
    """
    prefix = required(fields, "prompt", _one_text(fields))
    suffix = fields.text("suffix")
    return Infill(prefix, suffix) if suffix else Text(prefix)


def _one_text(fields: Fields) -> str | None:
    value: Any = fields.raw("prompt")
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], str):
            return value[0]
        raise UnservedField("prompt", "prompt: this server takes one text a request, and no token ids")
    return fields.text("prompt")


def decode_infill(fields: Fields) -> Infill:
    """llama-server's fill-in-the-middle. `prompt` is how the text between prefix and suffix starts.

    Raises:
        BadField: a part is missing or no text.
    """
    prefix = required(fields, "input_prefix", fields.text("input_prefix"))
    suffix = required(fields, "input_suffix", fields.text("input_suffix"))
    extra = tuple(_context_file(chunk) for chunk in fields.objects("input_extra"))
    return Infill(prefix + (fields.text("prompt") or ""), suffix, extra)


def _context_file(fields: Fields) -> ContextFile:
    text = required(fields, "text", fields.text("text"))
    name = fields.text("filename")
    return ContextFile(UNNAMED_FILE if name is None else name, text)
