"""`!cmd` and `/run`: a program runs, and what it said can go with the next question."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.chat.prompt import Attachment, build_user_message, fenced
from aigc_cli.cli.child import Ending, Ran, run_child
from aigc_cli.cli.talk import Talk
from aigc_cli.cli.yes_no import NO, YES
from aigc_cli.engine.base import Message
from aigc_cli.errors import UsageError
from aigc_cli.events import Delta
from aigc_cli.render.view import open_view
from aigc_cli.tasks.code_blocks import CodeBlock, extract_code_blocks
from aigc_cli.tasks.languages import Language, language_called, language_of

_MOST_KEPT = 32_768  # characters of output
_KEPT_PER_TOKEN = 2  # so that output fills about half the window: a token is about four characters
_NOT_FOUND = 127  # what a shell says of a command that is none
_SECRET_WORDS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")


@dataclass(frozen=True, slots=True)
class Runner:
    """How code of one language is run.

    Attributes:
        commands: programs with their arguments, the best first; the file's name comes last.
        suffix: of the file.
    """

    commands: tuple[tuple[str, ...], ...]
    suffix: str


# The person's own python3 has their packages; the one that runs aigc always exists.
RUNNERS: Mapping[str, Runner] = {
    "python": Runner((("python3", "-u"), ("python", "-u"), (sys.executable, "-u")), ".py"),
    "bash": Runner((("bash",), ("sh",)), ".sh"),
    "fish": Runner((("fish",),), ".fish"),
    "powershell": Runner((("pwsh", "-File"),), ".ps1"),
    "javascript": Runner((("node",), ("deno", "run"), ("bun",)), ".js"),
    "typescript": Runner((("deno", "run"), ("bun",), ("tsx",)), ".ts"),
    "go": Runner((("go", "run"),), ".go"),
    "ruby": Runner((("ruby",),), ".rb"),
    "lua": Runner((("lua",),), ".lua"),
    "perl": Runner((("perl",),), ".pl"),
    "php": Runner((("php",),), ".php"),
    "r": Runner((("Rscript",),), ".R"),
    "julia": Runner((("julia",),), ".jl"),
    "elixir": Runner((("elixir",),), ".exs"),
}


def run_shell(talk: Talk, command: str) -> str:
    """Run a command of the person's shell here, and offer its output; returns the text to go on editing.

    Raises:
        UsageError: nobody is there who typed it, or there is no shell.
    """
    if not talk.interactive:
        raise UsageError(
            "!cmd runs at a terminal only: a line of a pipe must not run as a command",
            "a question can begin with a space",
        )
    app = talk.app
    shell = app.env.get("SHELL") or "/bin/sh"
    ran = run_child(app, [shell, "-c", command], cwd=app.cwd, env=app.env, n_kept=_n_kept(talk))
    _tell_ending(talk, ran)
    if ran.exit_code == _NOT_FOUND:
        talk.remark("! runs a shell command; a question that begins with ! can begin with a space")
        return ""
    return _offer(talk, f"$ {command}", ran)


def run_code(talk: Talk, argument: str) -> str:
    """Run a code block after a yes: the last one, the last in a language, or one by its number.

    What becomes of its output is as with `run_shell`.

    Raises:
        UsageError: there is no such block, nothing here runs it, or nobody is there to say yes.
    """
    block, wanted = _chosen_block(talk, argument)
    language, argv, suffix = _command_for(talk, block, wanted)
    if not talk.interactive:
        raise UsageError("/run needs a person who says yes", "/save FILE writes the code")
    _show_code(talk, block)
    limit_s = talk.settings.run_seconds
    program = Path(argv[0]).name
    answer = talk.answer(f"run this {language.name} with {program}, as you, for at most {limit_s} s? y/N")
    if answer.lower() not in YES:
        talk.remark("not run")
        return _draft(answer)
    with tempfile.TemporaryDirectory(prefix="aigc-run-") as folder:
        Path(folder, f"main{suffix}").write_text(block.code, encoding="utf-8")
        env = {name: value for name, value in talk.app.env.items() if not _is_secret(name)}
        ran = run_child(
            talk.app,
            [*argv, f"main{suffix}"],
            cwd=Path(folder),
            env=env,
            n_kept=_n_kept(talk),
            limit_s=limit_s,
        )
    _tell_ending(talk, ran, limit_s)
    return _offer(talk, f"$ {program} main{suffix}  # the code above", ran)


def run_choices(talk: Talk, argument: str) -> list[str]:
    """What can come after /run: the number of a block, then a language."""
    is_first = " " not in argument
    numbers = range(1, len(_last_blocks(talk)) + 1) if is_first else ()
    return [*map(str, numbers), *RUNNERS]


def _chosen_block(talk: Talk, argument: str) -> tuple[CodeBlock, Language | None]:
    """The block that `2`, `python` or `2 python` means, and the language that it is taken for."""
    number, _, tag = argument.partition(" ")
    if not (number.isascii() and number.isdigit()):
        wanted = _wanted_language(argument)
        return _last_block(talk, wanted), wanted
    wanted = _wanted_language(tag.strip())
    block = _numbered_block(talk, number)
    language = language_called(block.language)
    if wanted and language and wanted != language:
        raise UsageError(f"block {number} is {language.name}, not {wanted.name}", f"/run {number}")
    return block, wanted


def _numbered_block(talk: Talk, number: str) -> CodeBlock:
    blocks = dict(enumerate(_last_blocks(talk), 1))
    if not blocks:
        raise UsageError("no reply holds a block of code", "ask for a program, then /run it")
    # Python refuses to read thousands of digits as a number
    block = blocks.get(int(number)) if len(number) <= len(str(len(blocks))) else None
    if block is None:
        many = f"{len(blocks)} blocks of code" if len(blocks) > 1 else "one block of code"
        raise UsageError(f"the last reply with code has {many}", f"/run 1 to /run {len(blocks)}")
    return block


def _last_blocks(talk: Talk) -> list[CodeBlock]:
    """The blocks of the last reply that holds any."""
    found = (extract_code_blocks(turn.reply) for turn in reversed(talk.conversation.turns))
    return next(filter(None, found), [])


def _wanted_language(tag: str) -> Language | None:
    language = language_called(tag) if tag else None
    if tag and language is None:
        raise UsageError(f"/run knows no language {tag!r}", f"it runs: {', '.join(RUNNERS)}")
    return language


def _last_block(talk: Talk, wanted: Language | None) -> CodeBlock:
    """The last one; with a language, the last one in it or in none that it names."""
    for turn in reversed(talk.conversation.turns):
        for block in reversed(extract_code_blocks(turn.reply)):
            if wanted is None or not block.language or language_called(block.language) == wanted:
                return block
    which = f"{wanted.name} code" if wanted else "code"
    raise UsageError(f"no reply holds a block of {which}", "ask for a program, then /run it")


def _command_for(talk: Talk, block: CodeBlock, wanted: Language | None) -> tuple[Language, list[str], str]:
    """What runs a block: its language, the program with its arguments, the suffix of the file."""
    language = wanted or language_called(block.language) or language_of("", block.code[:200])
    if language is None:
        what = f"the language {block.language!r}" if block.language else "a block that names no language"
        raise UsageError(f"/run does not know {what}", "/run python takes it for Python; /save FILE keeps it")
    runner = RUNNERS.get(language.tag)
    if runner is None:
        raise UsageError(f"/run does not run {language.name}", f"/save FILE{language.suffixes[0]} keeps it")
    for program, *arguments in runner.commands:
        if found := shutil.which(program, path=talk.app.env.get("PATH")):
            return language, [found, *arguments], runner.suffix
    names = " or ".join(command[0] for command in runner.commands)
    raise UsageError(f"nothing here runs {language.name}", f"install {names}")


def _show_code(talk: Talk, block: CodeBlock) -> None:
    view = open_view(talk.app.stderr, talk.app.env, talk.settings)
    view.show(Delta(fenced(block.code, block.language) + "\n"))
    view.close()


def _is_secret(name: str) -> bool:
    """Whether a variable may hold a password: a program that a model wrote has no business with it."""
    return any(word in name.upper() for word in _SECRET_WORDS)


def _n_kept(talk: Talk) -> int:
    return min(_MOST_KEPT, talk.engine.info.n_ctx * _KEPT_PER_TOKEN)


def _tell_ending(talk: Talk, ran: Ran, limit_s: int = 0) -> None:
    match ran.ending:
        case Ending.TIME_OUT:
            talk.remark(f"(stopped after {limit_s} s; /set run_seconds changes it)")
        case Ending.INTERRUPTED:
            talk.remark("(interrupted)")
        case Ending.EXIT:
            talk.remark(f"(exit code {ran.exit_code})")


def _offer(talk: Talk, command: str, ran: Ran) -> str:
    """Ask whether the output goes with the next question; an answer that is neither is text to go on with."""
    if not ran.output.strip():
        return ""
    name = _free_name(talk)
    ending = {Ending.TIME_OUT: "stopped: it took too long", Ending.INTERRUPTED: "interrupted"}
    last_line = f"[{ending.get(ran.ending, f'exit code {ran.exit_code}')}]"
    cut = f"[the first {ran.n_characters - len(ran.output):,} characters left out]\n" if ran.is_cut else ""
    output = ran.output if ran.output.endswith("\n") else f"{ran.output}\n"
    attachment = Attachment(name, f"{command}\n{cut}{output}{last_line}\n", "text")
    size = talk.count([Message("user", build_user_message("", [attachment]))])
    what = f"the last {len(ran.output):,} characters of its output" if ran.is_cut else "its output"
    answer = talk.answer(f"send {what} ({size:,} tokens) with the next question? y/N")
    if answer.lower() not in YES:
        return _draft(answer)
    talk.conversation.attach(attachment)
    talk.remark(f"{name} goes with the next question; /drop {name} takes it back")
    return ""


def _draft(answer: str) -> str:
    """An answer that is neither yes nor no is the beginning of the next question."""
    return "" if answer.lower() in NO else answer


def _free_name(talk: Talk) -> str:
    taken = talk.conversation.attached_names()
    return next(name for n in range(1, len(taken) + 2) if (name := f"output-{n}") not in taken)
