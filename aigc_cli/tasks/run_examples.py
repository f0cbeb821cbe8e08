"""Runs the examples of a prompt against a file, in a sandbox."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from aigc_cli.tasks.examples import Example, Kind
from aigc_cli.tasks.languages import Language
from aigc_cli.tasks.sandbox import Ending, Isolation, Limits, Ran, minimal_environment, run_limited

_HERE = Path(__file__).parent
_RUNNERS = {"python": "example_runner.py", "javascript": "example_runner.js"}
_READS_INPUT = {"python": ("input(", "stdin"), "javascript": ("stdin", "readline", "readFileSync(0")}
_WALL_S = 20.0
_PROGRAM_S = 5.0
# Python's address space; Node reserves far more than it uses, and gets a limit of its own
_LIMITS = Limits(_WALL_S, cpu_s=25, memory_bytes=2 * 2**30, file_bytes=16 * 2**20, n_processes=64)
_NODE_HEAP_MB = 512
_MOST_SHOWN = 300


MISSING = "the code defines no "  # what the runner says first of a function that an example calls


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that failed, and how; no example when the code itself can't be loaded."""

    example: Example | None
    said: str


def interpreter_for(language: Language | None, env: Mapping[str, str]) -> list[str]:
    """The line that runs a file of this language here; empty if nothing can.

    The person's own `python3` comes first: it has the packages that the code may need.
    """
    path = env.get("PATH")
    if language and language.tag == "python":
        found = shutil.which("python3", path=path) or sys.executable
        return [found]
    if language and language.tag == "javascript" and (node := shutil.which("node", path=path)):
        return [node, f"--max-old-space-size={_NODE_HEAP_MB}"]
    return []


def runnable(examples: Sequence[Example], language: Language) -> list[Example]:
    """Those that make sense in a language: statements and doctests are Python's."""
    if language.tag == "python":
        return list(examples)
    return [each for each in examples if each.kind in (Kind.VALUE, Kind.RAISES, Kind.PROGRAM)]


def failed_examples(
    language: Language,
    file: Path,
    examples: Sequence[Example],
    *,
    project: Path,
    env: Mapping[str, str],
    isolation: Isolation,
) -> list[Failure]:
    """Put each example to the file; what fails, in their order."""
    sandbox = _Sandbox(language, file, project, env, isolation)
    words = _READS_INPUT[language.tag]
    code = file.read_text(encoding="utf-8")
    reads_input = any(word in code for word in words)
    programs = [
        each for each in examples if each.kind is Kind.PROGRAM and (reads_input or language.tag != "python")
    ]
    called = [each for each in examples if each not in programs]
    failures = sandbox.call(called) if called else []
    if any(failure.example is None for failure in failures):
        return failures
    return [*failures, *(failure for each in programs if (failure := sandbox.feed(each)))]


@dataclass(frozen=True, slots=True)
class _Sandbox:
    language: Language
    file: Path
    project: Path
    env: Mapping[str, str]
    isolation: Isolation

    def call(self, examples: Sequence[Example]) -> list[Failure]:
        """All of them in one process, which notes what it is at."""
        asked, answers = self.file.parent / "examples.json", self.file.parent / "results.jsonl"
        asked.write_text(json.dumps([asdict(each) for each in examples]), encoding="utf-8")
        runner = str(_HERE / _RUNNERS[self.language.tag])
        arguments = [runner, str(self.file), str(asked), str(answers)]
        if self.language.tag == "python":
            arguments = ["-I", *arguments, str(self.project)]
        ran = self._run(arguments, b"", _WALL_S)
        return _failures(examples, answers, ran)

    def feed(self, example: Example) -> Failure | None:
        """One run of the program, with the input on its stdin."""
        ran = self._run([str(self.file)], example.source.encode(), _PROGRAM_S)
        if ran.ending is not Ending.EXIT:
            return Failure(example, _ended(ran))
        if ran.exit_code:
            last = ran.output.strip().rpartition("\n")[2]
            return Failure(example, f"exit {ran.exit_code}: {last[:_MOST_SHOWN]}")
        if ran.output.split() != example.expected.split():
            return Failure(example, f"got {ran.output.strip()[:_MOST_SHOWN]!r}")
        return None

    def _run(self, arguments: list[str], stdin: bytes, wall_s: float) -> Ran:
        limits = replace(_LIMITS, wall_s=wall_s)
        if self.language.tag == "javascript":
            limits = replace(limits, memory_bytes=None)
        folder = self.file.parent
        return run_limited(
            [*interpreter_for(self.language, self.env), *arguments],
            folder=folder,
            env=minimal_environment(self.env, folder),
            limits=limits,
            stdin=stdin,
            isolation=self.isolation,
        )


def _failures(examples: Sequence[Example], answers: Path, ran: Ran) -> list[Failure]:
    said: dict[int, str | None] = {}
    if answers.exists():
        for line in answers.read_text(encoding="utf-8", errors="replace").splitlines():
            answer = json.loads(line)
            said[answer["example"]] = answer["said"]
    if said.get(-1) is None:
        return [Failure(None, _ended(ran))]
    told = ((each, said.get(index)) for index, each in enumerate(examples))
    failures = [Failure(each, _ended(ran) if text is None else text) for each, text in told if text != ""]
    return [*failures, Failure(None, said[-1])] if said[-1] else failures


def _ended(ran: Ran) -> str:
    """How a process came to an end that tells nothing itself."""
    match ran.ending:
        case Ending.TIME_OUT:
            return "it does not end"
        case Ending.TOO_MANY_PROCESSES:
            return "it starts too many processes"
        case Ending.EXIT:
            last = ran.output.strip().rpartition("\n")[2][:_MOST_SHOWN]
            return f"the process ended with exit code {ran.exit_code}" + (f": {last}" if last else "")
