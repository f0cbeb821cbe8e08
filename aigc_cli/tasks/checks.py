"""Whether a draft is what was asked for: it parses, a command accepts it, it does what the examples say."""

import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aigc_cli.errors import UsageError
from aigc_cli.tasks.examples import Example
from aigc_cli.tasks.languages import Language
from aigc_cli.tasks.run_examples import MISSING, failed_examples
from aigc_cli.tasks.sandbox import Ending, Isolation, Limits, run_limited, without_secrets
from aigc_cli.tasks.syntax import parse

COMMAND_LIMIT_S = 120.0
FILE_WORD = "{file}"
_MOST_TOLD_LINES = 20  # of a command's output: a small model loses the thread in more
_MOST_TOLD_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of a draft.

    Attributes:
        check: its name, for a person.
        passed: how many of its `total` parts passed.
        said: what is wrong, in one line; empty if nothing is.
        detail: what is wrong, for the model, which can't ask; lines.
        doubt: what may be wrong.
        is_wrong_result: the code runs and gives something else, which says little about where the mistake is.
    """

    check: str
    passed: int = 1
    total: int = 1
    said: str = ""
    detail: str = ""
    doubt: str = ""
    is_wrong_result: bool = False

    @property
    def is_passed(self) -> bool:
        """Whether nothing is certainly wrong."""
        return self.passed == self.total


class Check(Protocol):
    """One way to judge a draft."""

    def judge(self, code: str) -> Verdict:
        """Look at the code of a whole file."""
        ...


@dataclass(frozen=True, slots=True)
class SyntaxCheck:
    """It parses. Nothing is run."""

    language: Language

    def judge(self, code: str) -> Verdict:
        """Tell the first problem to a person, and all of them to the model with their lines."""
        parsed = parse(self.language, code)
        if parsed.problems:
            lines = code.split("\n")
            detail = "\n".join(
                f"{each}\n    {lines[each.line - 1].strip()[:200]}" for each in parsed.problems[:3]
            )
            said = f"no valid {self.language.name}: {parsed.problems[0]}"
            return Verdict("syntax", 0, 1, said, f"It is no valid {self.language.name}:\n{detail}")
        return Verdict("syntax", doubt=str(parsed.doubts[0]) if parsed.doubts else "")


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """A command of the person accepts the file: it exits with 0.

    It runs in a temporary directory that holds the draft under its own name. The project's directory is in
    `AIGC_PROJECT`.

    Attributes:
        line: what the person wrote; `{file}` stands for the draft's name.
    """

    line: str
    file_name: str
    project: Path
    env: Mapping[str, str]
    limit_s: float = COMMAND_LIMIT_S

    def judge(self, code: str) -> Verdict:
        """Run it on a copy."""
        with _folder_with(self.file_name, code) as folder:
            words = shell_line(self.line, self.file_name)
            env = {**without_secrets(self.env), "AIGC_PROJECT": str(self.project)}
            ran = run_limited(words, folder=folder, env=env, limits=Limits(wall_s=self.limit_s))
            output = ran.output.replace(f"{folder}/", "")
        if ran.ending is Ending.EXIT and ran.exit_code == 0:
            return Verdict("command")
        how = f"exit {ran.exit_code}" if ran.ending is Ending.EXIT else f"killed after {self.limit_s:g} s"
        told = _told_output(output)
        last = next((line.strip() for line in reversed(told.split("\n")) if line.strip()), "")
        said = f"{self.line}: {how}" + (f": {last[:200]}" if last else "")
        return Verdict("command", 0, 1, said, f"`{self.line}` fails ({how}):\n{told}")


@dataclass(frozen=True, slots=True)
class ExampleCheck:
    """It does what the examples in the person's words say. The code is run, in a sandbox."""

    examples: tuple[Example, ...]
    language: Language
    file_name: str
    project: Path
    env: Mapping[str, str]
    isolation: Isolation

    def judge(self, code: str) -> Verdict:
        """Run them all; tell the first failure to a person, and the first three to the model."""
        with _folder_with(self.file_name, code) as folder:
            failures = failed_examples(
                self.language,
                folder / self.file_name,
                self.examples,
                project=self.project,
                env=self.env,
                isolation=self.isolation,
            )
        total = len(self.examples)
        if not failures:
            return Verdict("examples", total, total)
        first = failures[0]
        subject = (
            f"example {first.example} failed: " if first.example else "the code fails when it is loaded: "
        )
        detail = "\n".join(
            f"The example {each.example} failed: {each.said}"
            if each.example
            else f"The code fails: {each.said}"
            for each in failures[:3]
        )
        is_loaded = all(failure.example for failure in failures)
        passed = total - len(failures) if is_loaded else 0  # code that fails when it is loaded is no use
        is_wrong = is_loaded and not first.said.startswith(MISSING)
        return Verdict("examples", passed, total, subject + first.said, detail, is_wrong_result=is_wrong)


def shell_line(line: str, file_name: str) -> list[str]:
    """The program and arguments that run a command: a shell reads it, and sees the file as one word.

    Raises:
        UsageError: there is no command.
    """
    if not line.strip() or "\0" in line:
        raise UsageError("--check names no command", "--check 'python -m py_compile {file}'")
    name = f"./{file_name}" if file_name.startswith("-") else file_name
    return ["sh", "-c", line.replace(FILE_WORD, shlex.quote(name))]


def refuse_missing_program(line: str, env: Mapping[str, str]) -> None:
    """Tell that a command's first word is no program before a model works for it.

    Raises:
        UsageError: the shell knows no such command.
    """
    words = shell_line(line, "x")[-1].split()
    if not re.fullmatch(r"[\w./+-]+", words[0]):
        return  # a variable, a bracket, a quote: the shell will tell
    limits = Limits(wall_s=COMMAND_LIMIT_S)
    ran = run_limited(["sh", "-c", f"command -v {words[0]}"], folder=Path("/"), env=env, limits=limits)
    if ran.exit_code:
        raise UsageError(f"--check: no program {words[0]!r}", "is it installed and on PATH?")


@contextmanager
def _folder_with(file_name: str, code: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aigc-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        (folder / file_name).write_text(code, encoding="utf-8", newline="", errors="surrogateescape")
        yield folder


def _told_output(output: str) -> str:
    """The end of an output, where tools say what is wrong; with its beginning, where compilers do."""
    lines = output.strip().split("\n")
    if len(lines) > _MOST_TOLD_LINES:
        half = _MOST_TOLD_LINES // 2
        lines = [*lines[:half], "[…]", *lines[-half:]]
    return "\n".join(line[:300] for line in lines)[-_MOST_TOLD_CHARACTERS:]
