"""One run of a recipe: what it is told, what it looks at, the question that comes of that."""

import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aigc_cli.chat.prompt import Attachment, build_user_message, sampling_from, system_message
from aigc_cli.cli import stdin
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.inputs import STDIN, attach_files, refuse_oversize
from aigc_cli.cli.report import note
from aigc_cli.cli.yes_no import is_yes
from aigc_cli.config import Settings
from aigc_cli.engine.base import Chat, Engine, Message, Sampling
from aigc_cli.errors import UsageError
from aigc_cli.tasks.cookbook import Cookbook, render_question
from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.mentions import is_file
from aigc_cli.tasks.recipe import Output, Recipe

Answer = Callable[[str], str | None]
_COMMAND_LIMIT_S = 60
_SHELL = "/bin/sh"
_RANGE = re.compile(r":\d+(?:-\d*)?$")  # app.py:10-40
_HAN = re.compile("[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class RecipeRun:
    """What a recipe works on.

    Attributes:
        values: the arguments by name.
        attachments: files and standard input.
        options: the values of the options that its output brings along.
        answer: asks the person something, and gives what they type; None where nobody is there.
        raw: the model's text as it is.
        targets: the files to change, or lines of them (`app.py:10-40`), as the person named them.
        can_ask: whether somebody is there to answer.
    """

    app: AppContext
    recipe: Recipe
    settings: Settings
    values: Mapping[str, Any]
    attachments: tuple[Attachment, ...]
    options: Mapping[str, Any]
    answer: Answer
    raw: bool = False
    targets: tuple[str, ...] = ()
    can_ask: bool = False

    def question(self, attachments: Sequence[Attachment] | None = None, **more: Any) -> str:
        """What the model is asked, with these attachments or all of them.

        Raises:
            ConfigError: the template makes no sense.
        """
        shown = self.attachments if attachments is None else tuple(attachments)
        return build_user_message(self.words_of_question(shown, **more), shown)

    def words_of_question(self, attachments: Sequence[Attachment] | None = None, **more: Any) -> str:
        """The question without the text of its attachments.

        Raises:
            ConfigError: the template makes no sense.
        """
        shown = self.attachments if attachments is None else tuple(attachments)
        language = next((each.language for each in shown if each.language), "")
        names = self.targets or [each.name for each in shown]
        language = language or self._language_of_target()
        given = {"language": language, "files": names, "chinese": self._is_chinese(), **self.values, **more}
        return render_question(self.recipe, given)

    @property
    def said(self) -> str:
        """The person's own words."""
        words: str = (self.values[self.recipe.words.name] or "") if self.recipe.words else ""
        return words

    def _language_of_target(self) -> str:
        found = language_of(_RANGE.sub("", self.targets[0])) if self.targets else None
        return found.tag if found else ""

    def _is_chinese(self) -> bool:
        """Whether the person writes Chinese: a small model would answer in the template's language."""
        words = self.said
        return bool(_HAN.search(words)) if words else self.app.env.get("LANG", "").startswith("zh")

    def chat(self, question: str, reply_prefix: str = "") -> Chat:
        """The question behind the system prompt in force."""
        messages = (*system_message(self.settings.system), Message("user", question))
        return Chat(messages, reply_prefix)

    def sampling(self, engine: Engine) -> Sampling:
        """The person's settings, over the recipe's, over the model's own."""
        own: dict[str, Any] = dict(self.recipe.sampling)  # the parser knows the names
        return sampling_from(self.settings, replace(engine.info.sampling, **own))

    def open_engine(self, question: str) -> Engine:
        """The engine, if the question can fit it; the caller closes it.

        Raises:
            ContextOverflow: it can't by any count.
        """
        engine = self.app.open_engine(self.settings)
        try:
            refuse_oversize(len(question), engine.info.n_ctx)
        except BaseException:
            engine.close()
            raise
        return engine


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a line gives a recipe: its words, what it looks at, and what it is to change."""

    text: str
    attachments: tuple[Attachment, ...] = ()
    targets: tuple[str, ...] = ()


def gather(
    app: AppContext, recipe: Recipe, words: Sequence[str], files: Sequence[str], *, no_stdin: bool
) -> Gathered:
    """Words that name files are attached, or changed if that is what the recipe does; so is stdin attached.

    Raises:
        UsageError: the recipe has nothing to work on.
        FileError: a file or stdin can't be read.
    """
    if recipe.output is Output.FIX:
        return _gather_command(app, recipe, words, files)
    changes = recipe.output.changes_files
    named = [word for word in words if word != STDIN and _is_named(app, word, with_lines=changes)]
    text = " ".join(word for word in words if word != STDIN and word not in named)
    attachments = attach_files(app, files if changes else [*named, *files])
    if STDIN in (*words, *files) or not (no_stdin or app.stdin.isatty()):
        piped = stdin.read_stdin(app)
        if piped.strip():
            attachments.append(Attachment(stdin.NAME, piped))
    argument = recipe.words
    if text and argument is None:
        raise UsageError(f"{recipe.name} takes files, and {text!r} is none", f"aigc {recipe.name} --help")
    if argument and argument.default is None and not text and not attachments and not named:
        raise UsageError(
            f"{recipe.name} has nothing to work on", f"name files or say it: aigc {recipe.name} FILE"
        )
    return Gathered(text, tuple(attachments), tuple(named) if changes else ())


def _gather_command(app: AppContext, recipe: Recipe, words: Sequence[str], files: Sequence[str]) -> Gathered:
    """A line for the shell: one word as it is, or words that a shell has taken apart before."""
    line = words[0] if len(words) == 1 else shlex.join(words)
    if not line.strip():
        raise UsageError(f"{recipe.name} needs a command", f"aigc {recipe.name} -- pytest -q")
    return Gathered(line, tuple(attach_files(app, files)))


def _is_named(app: AppContext, word: str, *, with_lines: bool) -> bool:
    return is_file(word, app.cwd) or (with_lines and is_file(_RANGE.sub("", word), app.cwd))


def needs_file(run: RecipeRun) -> UsageError:
    """What is wrong with a line that names no file; a question may begin with a recipe's name."""
    words = f"{run.recipe.name} {run.said}".strip()
    none = f": none of {run.said!r} is one" if run.said else ""
    ask = f"; to ask the model: aigc ask {words}" if run.said else ""
    return UsageError(f"{run.recipe.name} needs a file{none}", f"aigc {run.recipe.name} app.py{ask}")


def run_inputs(app: AppContext, cookbook: Cookbook, recipe: Recipe, answer: Answer) -> dict[str, str]:
    """What the commands of a recipe print.

    Raises:
        UsageError: the person does not trust it, or a command failed.
    """
    if not cookbook.is_trusted(recipe):
        _ask_for_trust(app, cookbook, recipe, answer)
    return {name: _output_of(app, command) for name, command in recipe.inputs.items()}


def _ask_for_trust(app: AppContext, cookbook: Cookbook, recipe: Recipe, answer: Answer) -> None:
    note(app, f"this project's recipe {recipe.name} runs: {'; '.join(recipe.inputs.values())}")
    if not is_yes(answer("run it, and later without asking while the recipe stays as it is? y/N")):
        raise UsageError(
            f"the recipe {recipe.name} comes with the project and runs commands",
            f"read it (aigc recipes show {recipe.name}), then: aigc recipes trust {recipe.name}",
        )
    cookbook.trust(recipe)


def _output_of(app: AppContext, command: str) -> str:
    try:
        done = subprocess.run(
            [_SHELL, "-c", command],
            cwd=app.cwd,
            env=dict(app.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{command}: {error}", "run it by hand to see more") from error
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise UsageError(f"{command}: exit code {done.returncode}: {reason[0]}", "run it by hand to see more")
    return done.stdout.decode("utf-8", "replace")
