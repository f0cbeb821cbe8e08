"""The commands inside a chat, as a table: /help, completion and the documentation come from it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from textwrap import wrap

from aigc_cli.cli import session_actions as session
from aigc_cli.cli import shell_actions as shell
from aigc_cli.cli import slash_actions as act
from aigc_cli.cli.confidence import show_why
from aigc_cli.cli.options import SAMPLING
from aigc_cli.cli.prompt import Candidate
from aigc_cli.cli.recipe_slash import recipe_commands
from aigc_cli.cli.slash_command import SlashCommand
from aigc_cli.cli.talk import Talk
from aigc_cli.errors import UsageError
from aigc_cli.render.console import window_size
from aigc_cli.tasks.mentions import complete_path

# A path (/etc/hosts), a comment (//, /*) or a regular expression at the start of a question is no command.
_COMMAND_LINE = re.compile(r"/([A-Za-z]+|\?)(?:\s+(.*))?", re.DOTALL)
_SHELL_LINE = re.compile(r"!(?!=)\s*(\S.*)", re.DOTALL)  # `!=` is an operator that people ask about
# What the keys of the slash and the question mark give while a Chinese input method is on.
_WIDE_SLASH, _WIDE_COMMA, _WIDE_QUESTION = "\uff0f", "\u3001", "\uff1f"
_MENTION = re.compile(r'(?<![A-Za-z0-9._%+-])@("?)([^\s"@]*)$')

# What people type who don't know the commands yet; the whole line must be it.
_FIRST_WORDS = {
    **dict.fromkeys(("help", "?", _WIDE_QUESTION, "帮助"), "/help"),
    **dict.fromkeys(
        ("exit", "exit()", "quit", "quit()", "bye", ":q", ":q!", ":wq", ":x", "logout", "退出"), "/exit"
    ),
}
_NARROWEST_MEANING = 30  # columns
_NEARLY = 0.7  # a slip of the fingers, and no other word that only shares letters


def show_help(talk: Talk, word: str) -> None:
    """List the commands and keys, or explain one command."""
    if word:
        command = find_command(word.lstrip("/"), recipe_commands(talk))
        aliases = "".join(f", /{alias}" for alias in command.aliases)
        talk.show(f"{command.usage}{aliases and f' (also{aliases[1:]})'}\n  {command.help}")
        return
    columns = window_size(talk.app.stderr).columns
    commands = in_columns([(command.usage, command.help) for command in COMMANDS], columns)
    recipes = in_columns([(each.usage, each.help) for each in recipe_commands(talk).values()], columns)
    talk.show("\n".join(["Commands", *commands, "Recipes", *recipes, "Keys", *in_columns(KEYS, columns)]))


def in_columns(rows: Sequence[tuple[str, str]], columns: int) -> list[str]:
    """Names and their meanings side by side, or one below the other where the window is narrow."""
    left = max(len(name) for name, _ in rows) + len("    ")
    lines: list[str] = []
    for name, meaning in rows:
        if columns - left < _NARROWEST_MEANING:
            lines.append(f"  {name}")
            lines += wrap(meaning, max(columns - 1, 16), initial_indent=" " * 4, subsequent_indent=" " * 4)
        else:
            first, *others = wrap(meaning, columns - left - 1)
            lines += [f"  {name:<{left - 2}}{first}", *(" " * left + other for other in others)]
    return lines


def _paths(talk: Talk, argument: str) -> list[str]:
    return complete_path(argument.rpartition(" ")[2], talk.app.cwd)


COMMANDS: tuple[SlashCommand, ...] = (
    SlashCommand(
        "help",
        "[COMMAND]",
        "the commands and keys, or one command",
        show_help,
        ("h", "?"),
        lambda _talk, _argument: [command.name for command in COMMANDS],
    ),
    SlashCommand("exit", "", "leave the chat", act.leave, ("quit", "bye", "q")),
    SlashCommand("new", "", "start a new conversation", act.start_over),
    SlashCommand("clear", "", "start a new conversation on a cleared screen", act.clear),
    SlashCommand("undo", "", "take back the last question and its reply", act.undo),
    SlashCommand(
        "retry",
        "[NAME=VALUE…]",
        "ask the last question again, with other sampling for this once; the new reply replaces the old one",
        act.retry,
        names=lambda _talk, _argument: [f"{name}=" for name in SAMPLING],
    ),
    SlashCommand("edit", "", "take back the last question and change it", act.edit),
    SlashCommand(
        "file",
        "PATH…",
        "attach files, or 'src/**/*.py', to the next question; @path does it in a question",
        act.attach,
        names=_paths,
    ),
    SlashCommand(
        "drop",
        "PATH|all",
        "take a file out of the conversation",
        act.drop,
        names=lambda talk, _argument: ["all", *talk.conversation.attached_names()],
    ),
    SlashCommand("context", "", "what the model sees, in tokens", act.show_context),
    SlashCommand(
        "compact", "", "have the model sum up the old turns, and see the summary instead", act.compact
    ),
    SlashCommand(
        "run",
        "[NUMBER] [LANGUAGE]",
        "run the last code block, or the one of this number in its reply, after a yes;"
        " its output can go with the next question",
        shell.run_code,
        names=shell.run_choices,
    ),
    SlashCommand(
        "save",
        "[--force] FILE",
        "write the last code block; to FILE.md or FILE.json, the whole conversation",
        act.save,
        names=_paths,
    ),
    SlashCommand(
        "copy",
        "[all]",
        "copy the last code block, or all of the last reply",
        act.copy,
        names=lambda _talk, _argument: ["all"],
    ),
    SlashCommand(
        "model",
        "[NAME]",
        "show the model, or go on with another one",
        act.switch_model,
        names=act.model_names,
    ),
    SlashCommand(
        "set",
        "[NAME [VALUE|default]]",
        "show or change a setting for this chat",
        act.change_setting,
        names=act.setting_words,
    ),
    SlashCommand(
        "system",
        "[TEXT|default|none]",
        "show or change the system prompt",
        act.change_system,
        names=lambda _talk, _argument: ["default", "none"],
    ),
    SlashCommand(
        "sessions", "[WORD…]", "earlier conversations, or those that hold these words", session.list_sessions
    ),
    SlashCommand(
        "resume",
        "[ID]",
        "go on with an earlier conversation",
        session.resume,
        names=session.session_ids,
    ),
    SlashCommand("fork", "", "go on in a copy; the conversation so far stays as it is", session.fork),
    SlashCommand("stats", "", "tokens and speed of the last reply and of the chat", act.show_stats),
    SlashCommand("why", "", "how sure the model was of its last reply, and what it nearly said", show_why),
)

KEYS = (
    ("Enter", "send"),
    ("Alt-Enter, Ctrl-J", "new line"),
    ('"""', "opens and closes a block of lines"),
    ("@PATH", "attach a file; Tab completes it"),
    ("!COMMAND", "run a shell command; its output can go with the next question"),
    ("Ctrl-C", "stop the reply; clear the line; twice on an empty line: leave"),
    ("Ctrl-D", "leave"),
    ("Ctrl-R", "search what was typed before"),
    ("Ctrl-X Ctrl-E", "write in $VISUAL or $EDITOR"),
)
_SHELL = SlashCommand("!", "COMMAND", "run a shell command", shell.run_shell)
_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


def find_command(name: str, recipes: Mapping[str, SlashCommand]) -> SlashCommand:
    """The command of this name or alias, or the recipe.

    Raises:
        UsageError: there is none; the hint names close ones.
    """
    if command := _BY_NAME.get(name.lower()) or recipes.get(name.lower()):
        return command
    near = get_close_matches(name.lower(), [*_BY_NAME, *recipes], n=2, cutoff=_NEARLY)
    close = [f"/{match}" for match in near]
    hint = f"did you mean {' or '.join(close)}?" if close else "/help lists the commands;"
    raise UsageError(f"no command is called /{name}", f"{hint} a question can begin with a space")


def parse(talk: Talk, entry: str) -> tuple[SlashCommand, str] | None:
    """The command and the argument that an entry means; None for a question.

    Raises:
        UsageError: it looks like a command and is none.
    """
    line = _FIRST_WORDS.get(entry.strip().lower(), entry).rstrip()
    if match := _SHELL_LINE.fullmatch(line):
        return _SHELL, match[1]
    if match := _COMMAND_LINE.fullmatch(
        line.replace(_WIDE_SLASH, "/", 1) if line[:1] == _WIDE_SLASH else line
    ):
        return find_command(match[1], recipe_commands(talk)), (match[2] or "").strip()
    name, _, argument = line.partition(" ")
    if name[:1] == _WIDE_COMMA and (command := _BY_NAME.get(name[1:].lower())):
        return command, argument.strip()
    return None


def candidates(talk: Talk, before: str) -> Iterator[Candidate]:
    """Completions of the text before the cursor: commands, their arguments, @paths."""
    name, has_argument, argument = before.partition(" ")
    if before.startswith("/") and not has_argument:
        for command in (*COMMANDS, *recipe_commands(talk).values()):
            if command.name.startswith(name[1:].lower()):
                yield Candidate(f"/{command.name}", len(before), command.help)
    elif before.startswith("/") and (known := _known(talk, name[1:].lower())):
        start = argument.rpartition(" ")[2]
        for word in known.names(talk, argument) if known.names else []:
            if word.startswith(start):
                yield Candidate(word, len(start))
    elif mention := _MENTION.search(before):
        for path in complete_path(mention[2], talk.app.cwd):
            yield Candidate(f'@"{path}"' if " " in path else f"@{path}", len(mention[0]))


def _known(talk: Talk, name: str) -> SlashCommand | None:
    return _BY_NAME.get(name) or recipe_commands(talk).get(name)
