"""One run of a recipe: what it is told, what it looks at, the question that comes of that."""

import re
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
from aigc_cli.tasks.mentions import is_file
from aigc_cli.tasks.recipe import Recipe

Answer = Callable[[str], str | None]
_COMMAND_LIMIT_S = 60
_SHELL = "/bin/sh"
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
    """

    app: AppContext
    recipe: Recipe
    settings: Settings
    values: Mapping[str, str]
    attachments: tuple[Attachment, ...]
    options: Mapping[str, Any]
    answer: Answer
    raw: bool = False

    def question(self, attachments: Sequence[Attachment] | None = None, **more: object) -> str:
        """What the model is asked, with these attachments or all of them.

        Raises:
            ConfigError: the template makes no sense.
        """
        shown = self.attachments if attachments is None else tuple(attachments)
        return build_user_message(self.words_of_question(shown, **more), shown)

    def words_of_question(self, attachments: Sequence[Attachment] | None = None, **more: object) -> str:
        """The question without the text of its attachments.

        Raises:
            ConfigError: the template makes no sense.
        """
        shown = self.attachments if attachments is None else tuple(attachments)
        language = next((each.language for each in shown if each.language), "")
        names = [each.name for each in shown]
        given = {"language": language, "files": names, "chinese": self._is_chinese(), **self.values, **more}
        return render_question(self.recipe, given)

    def _is_chinese(self) -> bool:
        """Whether the person writes Chinese: a small model would answer in the template's language."""
        argument = self.recipe.words
        words = self.values[argument.name] if argument else ""
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


def gather(
    app: AppContext, recipe: Recipe, words: Sequence[str], files: Sequence[str], *, no_stdin: bool
) -> tuple[str, tuple[Attachment, ...]]:
    """The words of a line and what it looks at: words that name files are attached, and so is stdin.

    Raises:
        UsageError: the recipe has nothing to work on.
        FileError: a file or stdin can't be read.
    """
    named = [word for word in words if word != STDIN and is_file(word, app.cwd)]
    text = " ".join(word for word in words if word != STDIN and word not in named)
    attachments = attach_files(app, [*named, *files])
    if STDIN in (*words, *files) or not (no_stdin or app.stdin.isatty()):
        piped = stdin.read_stdin(app)
        if piped.strip():
            attachments.append(Attachment(stdin.NAME, piped))
    argument = recipe.words
    if argument and argument.default is None and not text and not attachments:
        raise UsageError(
            f"{recipe.name} has nothing to work on", f"name files or say it: aigc {recipe.name} FILE"
        )
    return text, tuple(attachments)


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
