"""What the commands of a chat do; slash.py names them."""

import shlex
from dataclasses import fields, replace

from aigc_cli.chat.prompt import SYSTEM_PROMPT, Attachment, build_user_message
from aigc_cli.chat.transcript import as_json, as_markdown
from aigc_cli.cli.clipboard import copy_text
from aigc_cli.cli.making_room import compact as compact_turns
from aigc_cli.cli.options import SAMPLING
from aigc_cli.cli.prompt import Leave
from aigc_cli.cli.talk import Talk
from aigc_cli.config import Settings, Value, parse_value
from aigc_cli.engine.base import Message
from aigc_cli.errors import UsageError
from aigc_cli.models.catalog import load_catalog
from aigc_cli.models.choose import locate
from aigc_cli.models.gguf import read_header
from aigc_cli.models.machine import this_machine
from aigc_cli.models.store import ModelStore, StoredModel
from aigc_cli.render.console import detect_traits
from aigc_cli.render.progress import stats_line
from aigc_cli.tasks.attachments import is_pattern, read_attachment, read_pattern
from aigc_cli.tasks.code_blocks import extract_code_blocks
from aigc_cli.tasks.mentions import complete_path
from aigc_cli.tasks.workspace import refuse_bad_target, write_atomic

_LOADED_WITH_MODEL = ("context", "threads", "gpu_layers", "loop_guard")
_SHOWING = ("stats", "color", "theme", "edit_mode", "overflow", "run_seconds")
SETTABLE = (*SAMPLING, "lora", *_SHOWING, *_LOADED_WITH_MODEL)
_NONE = "none"
_CLEAR_SCREEN = "\x1b[H\x1b[2J"
_EXCERPT_CHARACTERS = 40
_LIVELY_TEMPERATURE = 0.5  # below it, a small model says much the same again


def leave(_talk: Talk, _argument: str) -> None:
    """End the chat."""
    raise Leave


def start_over(talk: Talk, _argument: str) -> None:
    """Forget the conversation."""
    talk.start_over()
    talk.remark("a new conversation")


def clear(talk: Talk, argument: str) -> None:
    """Forget the conversation and clear the screen."""
    if detect_traits(talk.app.stderr, talk.app.env, "auto").moves_cursor:
        talk.app.stderr.write(_CLEAR_SCREEN)
    start_over(talk, argument)


def undo(talk: Talk, _argument: str) -> None:
    """Take back the last turn."""
    turn = talk.conversation.undo()
    talk.recount()
    talk.remark(f"took back: {_excerpt(turn.question.text)}")


def retry(talk: Talk, argument: str) -> None:
    """Ask the last question again, with other sampling; by itself so that the reply is another one."""
    settings = replace(talk.settings, seed=None)
    if argument:
        settings = replace(settings, **_sampling_words(argument))  # type: ignore[arg-type]  # parse_value checked
    elif talk.sampling().temperature < _LIVELY_TEMPERATURE:
        settings = replace(settings, temperature=_LIVELY_TEMPERATURE)
        talk.remark(f"at temperature {_LIVELY_TEMPERATURE}, so as not to get the same reply")
    talk.ask_again(talk.sampling(settings))


def _sampling_words(argument: str) -> dict[str, Value]:
    """Settings given as `temperature=0.9 seed=3`."""
    given: dict[str, Value] = {}
    for word in _words(argument):
        name, _, value = word.partition("=")
        name = name.replace("-", "_")
        if name not in SAMPLING or not value:
            raise UsageError(f"/retry {word}?", f"/retry temperature=0.9; there are: {', '.join(SAMPLING)}")
        given[name] = parse_value(name, value, "/retry")
    return given


def compact(talk: Talk, _argument: str) -> None:
    """Let a summary stand for the old turns."""
    compact_turns(talk)


def edit(talk: Talk, _argument: str) -> str:
    """Take back the last question, answered or not, and let the person change it."""
    unanswered = talk.conversation.question
    if unanswered is not None:
        return unanswered.text
    text = talk.conversation.undo().question.text
    talk.recount()
    return text


def attach(talk: Talk, argument: str) -> None:
    """Let files wait for the next question; without a name, show the files that are there."""
    if not argument:
        names = talk.conversation.attached_names()
        talk.show("\n".join(names) if names else "no file is attached: /file PATH, or @PATH in a question")
        return
    for name in _words(argument):
        for file in _read(talk, name):
            talk.conversation.attach(file)
            talk.remark(f"{file.name}: {_size(talk, file):,} tokens, sent with the next question")


def _read(talk: Talk, name: str) -> list[Attachment]:
    if not is_pattern(name, talk.app.cwd):
        return [read_attachment(name, talk.app.cwd)]
    files, binary = read_pattern(name, talk.app.cwd)
    if binary:
        talk.remark(f"left out as binary: {', '.join(binary)}")
    return files


def _size(talk: Talk, file: Attachment) -> int:
    return talk.count([Message("user", build_user_message("", [file]))])


def drop(talk: Talk, argument: str) -> None:
    """Take files out of the conversation."""
    if not argument:
        raise UsageError(
            "/drop which file?", f"attached: {', '.join(talk.conversation.attached_names()) or 'none'}"
        )
    names = talk.conversation.attached_names() if argument == "all" else _words(argument)
    for name in names:
        talk.conversation.drop(name)
    talk.recount()
    talk.remark(f"no longer attached: {', '.join(names) or 'no file was'}")


def show_context(talk: Talk, _argument: str) -> None:
    """What the model sees, part by part, in tokens."""
    conversation, n_ctx = talk.conversation, talk.engine.info.n_ctx
    rows: list[tuple[str, str]] = []
    seen = list(conversation.system_messages)
    total = talk.count(seen) if seen else 0
    rows.append((f"{total:,}" if seen else "none", "system prompt"))
    if conversation.n_hidden:
        rows.append(("hidden", f"turns 1 to {conversation.n_hidden}: the model no longer sees them"))
    for number, turn in enumerate(conversation.visible_turns, conversation.n_hidden + 1):
        seen += turn.messages
        before, total = total, talk.count(seen)
        names = "".join(f" +{a.name}" for a in turn.question.attachments)
        mark = " (interrupted)" if turn.interrupted else ""
        what = "summary" if turn.sums_up else _excerpt(turn.question.text)
        rows.append((f"{total - before:,}", f"turn {number}: {what}{names}{mark}"))
    rows += [(f"{_size(talk, file):,}", f"{file.name}: waiting") for file in conversation.waiting_files]
    rows.append((f"{total:,}", f"of {n_ctx:,} tokens used ({total / n_ctx:.0%})"))
    width = max(len(count) for count, _ in rows)
    talk.show("\n".join(f"{count:>{width}}  {what}" for count, what in rows))


def save(talk: Talk, argument: str) -> None:
    """Write the last code block, or the conversation as Markdown or JSON."""
    words = _words(argument)
    force = "--force" in words
    names = [word for word in words if word != "--force"]
    if len(names) != 1:
        raise UsageError("/save takes one file name", "/save wc.py, /save chat.md, /save chat.json")
    path = talk.app.cwd / names[0]
    match path.suffix.lower():
        case ".md":
            content = as_markdown(talk.conversation.turns)
        case ".json":
            content = as_json(talk.conversation)
        case _:
            content = _last_code(talk)
    refuse_bad_target(path, names[0], overwrite=force)
    write_atomic(path, content, names[0])
    talk.remark(f"saved {names[0]}: {len(content.splitlines()):,} lines")


def copy(talk: Talk, argument: str) -> None:
    """Copy the last code block, or all of the last reply."""
    if argument not in ("", "all"):
        raise UsageError(f"/copy {argument}?", "/copy copies the last code block, /copy all the whole reply")
    text = _last_reply(talk) if argument == "all" else _last_code(talk)
    how = copy_text(talk.app, text)
    talk.remark(f"copied {len(text.splitlines()):,} lines ({how})")


def switch_model(talk: Talk, argument: str) -> None:
    """Show the model, or load another one and go on."""
    if argument:
        _refuse_unusable_model(talk, argument)
        talk.reopen(replace(talk.settings, model=argument))
    talk.show(f"{talk.engine.info.model}, a window of {talk.engine.info.n_ctx:,} tokens")


def _refuse_unusable_model(talk: Talk, name: str) -> None:
    """Find a typo or a broken file before the model at work, with all that it has read, is closed."""
    if talk.settings.base_url:
        from aigc_cli.cli.server_models import refuse_unknown_model  # sockets: only a server needs them

        refuse_unknown_model(talk.app, talk.settings, name)
        return
    catalog = load_catalog()
    found = locate(name, catalog, ModelStore(talk.app.directories.models, catalog), this_machine())
    if isinstance(found, StoredModel):
        read_header(found.path)


def model_names(talk: Talk, _argument: str) -> list[str]:
    """The models that /model can switch to: those on disk, then the known ones; or the server's."""
    if talk.settings.base_url:
        from aigc_cli.cli.server_models import listed_models  # as above

        return listed_models(talk.engine)
    catalog = load_catalog()
    stored = [model.name for model in ModelStore(talk.app.directories.models, catalog).list()]
    return list(dict.fromkeys([*stored, *(spec.name for spec in catalog if not spec.for_tests)]))


def change_setting(talk: Talk, argument: str) -> None:
    """Show settings, or change one for this chat."""
    name, _, value = argument.partition(" ")
    name, value = name.replace("-", "_"), value.strip().removeprefix("=").strip()
    if name and name not in SETTABLE:
        hint = {"model": "/model NAME", "system": "/system TEXT"}.get(
            name, f"there are: {', '.join(SETTABLE)}"
        )
        raise UsageError(f"/set knows no {name!r}", hint)
    if not value:
        talk.show(
            _explained(talk, name) if name else "\n".join(_setting_row(talk, each) for each in SETTABLE)
        )
        return
    default = next(f.default for f in fields(Settings) if f.name == name)
    is_default = value == "default" or (name, value) == ("lora", _NONE)
    parsed = default if is_default else parse_value(name, value, "/set")
    changed = replace(talk.settings, **{name: parsed})  # type: ignore[arg-type]  # parse_value checked it
    talk.sampling(changed)  # refuses a value out of range
    if name in _LOADED_WITH_MODEL:
        talk.reopen(changed)
    elif name == "lora":
        talk.adapt(changed)
    talk.settings = changed
    talk.remark(_setting_row(talk, name))


def setting_words(talk: Talk, argument: str) -> list[str]:
    """What may come next after /set: a name, then one of its values."""
    name, has_value, value = argument.partition(" ")
    if has_value and name == "lora":
        return [_NONE, *complete_path(value.rpartition(" ")[2], talk.app.cwd)]
    setting = next((f for f in fields(Settings) if f.name == name), None)
    if not has_value or setting is None:
        return list(SETTABLE)
    choices: tuple[str, ...] = setting.metadata["choices"]
    return ["default", *(("on", "off") if setting.type in (bool, bool | None) else choices)]


def change_system(talk: Talk, argument: str) -> None:
    """Show or change the system prompt."""
    if argument:
        talk.conversation.system = {"default": None, "none": ""}.get(argument, argument)
        talk.recount()
    system = talk.conversation.system
    talk.show(SYSTEM_PROMPT if system is None else system or "no system prompt")


def show_stats(talk: Talk, _argument: str) -> None:
    """Tokens and speed of the last reply and of the chat."""
    tally = talk.tally
    if tally.last is None:
        raise UsageError("no reply yet", "/set stats on shows a line after each")
    talk.show(
        f"last reply: {stats_line(tally.last)}\n"
        f"this chat: {tally.n_replies} replies, {tally.reply_tokens:,} tokens written, "
        f"{tally.read_tokens:,} read, {tally.seconds:.1f} s"
    )


def _setting_row(talk: Talk, name: str) -> str:
    value = getattr(talk.settings, name)
    if value is None and name in SAMPLING:
        sampling = talk.sampling()
        value = "the server's own" if name in sampling.unset else getattr(sampling, name)
    if isinstance(value, tuple):
        value = ", ".join(value) or _NONE
    words = {"None": "automatic", "True": "on", "False": "off"}
    return f"{name} = {words.get(str(value), value)}"


def _explained(talk: Talk, name: str) -> str:
    meaning = next(f.metadata["help"] for f in fields(Settings) if f.name == name)
    return f"{_setting_row(talk, name)}\n  {meaning}"


def _last_reply(talk: Talk) -> str:
    if not talk.conversation.turns:
        raise UsageError("there is no reply yet")
    return talk.conversation.turns[-1].reply


def _last_code(talk: Talk) -> str:
    for turn in reversed(talk.conversation.turns):
        if blocks := extract_code_blocks(turn.reply):
            return blocks[-1].code
    raise UsageError(
        "no reply holds a code block", "/save chat.md keeps the conversation, /copy all copies a reply"
    )


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT_CHARACTERS else f"{line[:_EXCERPT_CHARACTERS]}…"


def _words(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError as error:
        raise UsageError(f"{argument}: {error}", "a quote opens here and never closes") from error
