"""Tests for a file: their name by custom, what they are written with and run by, what they must hold."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from aigc_cli.tasks.checks import Verdict
from aigc_cli.tasks.definitions import definitions
from aigc_cli.tasks.languages import Language
from aigc_cli.tasks.syntax import parse


@dataclass(frozen=True, slots=True)
class Custom:
    """How tests are written in one language.

    Attributes:
        name: of the file; {stem} and {suffix} are those of the file under test.
        framework: for the model.
        mark: what stands in every file that holds a test.
        imports: whether tests have to name the file that they import.
        run: the command that runs them, by programs of which the first one found is taken; {file}.
    """

    name: str
    framework: str
    mark: str
    run: tuple[tuple[str, ...], ...] = ()
    imports: bool = False


_NODE = (("node", "--test", "{file}"),)
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "{file}")
CUSTOMS: Mapping[str, Custom] = {
    "python": Custom(
        "test_{stem}.py", "pytest", "def test", (("python3", *_PYTEST), ("python", *_PYTEST)), imports=True
    ),
    "javascript": Custom("{stem}.test{suffix}", "node:test and node:assert", "test", _NODE, imports=True),
    "typescript": Custom("{stem}.test{suffix}", "vitest", "test", imports=True),
    "go": Custom("{stem}_test.go", "the package testing", "func Test", (("go", "test", "."),)),
    "rust": Custom("{stem}_test.rs", "#[test]", "#[test]"),
    "java": Custom("{stem}Test.java", "JUnit 5", "@Test"),
    "kotlin": Custom("{stem}Test.kt", "JUnit 5", "@Test"),
    "csharp": Custom("{stem}Tests.cs", "xUnit", "[Fact]"),
    "ruby": Custom("test_{stem}.rb", "minitest", "test", (("ruby", "{file}"),)),
    "php": Custom("{stem}Test.php", "PHPUnit", "function"),
    "swift": Custom("{stem}Tests.swift", "XCTest", "func test"),
    "elixir": Custom("{stem}_test.exs", "ExUnit", "test"),
    "c": Custom("test_{stem}.c", "assert.h and a main function", "assert"),
    "cpp": Custom("test_{stem}.cpp", "cassert and a main function", "assert"),
}


def custom_of(language: Language | None) -> Custom | None:
    """How tests are written in a language; None where no custom is known."""
    return CUSTOMS.get(language.tag) if language else None


def file_for_tests(custom: Custom, name: str) -> str:
    """The name of the tests' file, beside the file that they are for."""
    path = PurePath(name)
    return str(path.with_name(custom.name.format(stem=path.stem, suffix=path.suffix)))


def command_of(custom: Custom, file: Path, env: Mapping[str, str]) -> list[str]:
    """What runs the tests; empty where nothing here does."""
    path = env.get("PATH")
    found = next((line for line in custom.run if shutil.which(line[0], path=path)), ())
    return [word.format(file=file) for word in found]


@dataclass(frozen=True, slots=True)
class HoldsTests:
    """A draft holds a test, and does not bring its own copy of what it tests.

    Attributes:
        source: of the file under test.
    """

    custom: Custom
    language: Language
    source: str
    name: str

    def judge(self, code: str) -> Verdict:
        """Look at what the draft defines."""
        if self.custom.mark not in code:
            said = f"it holds no test: there is no {self.custom.mark!r} in it"
            return Verdict(
                "tests", 0, 1, said, f"It holds no test. Write tests with {self.custom.framework}."
            )
        stem = PurePath(self.name).stem
        if self.custom.imports and stem not in code:
            said = f"it does not import {stem}"
            return Verdict("tests", 0, 1, said, f"It does not import what it tests from {stem}.")
        theirs = {each.name for each in definitions(parse(self.language, self.source))}
        copied = [each.name for each in definitions(parse(self.language, code)) if each.name in theirs]
        if copied and any(f"{name}(" in code for name in copied):
            said = f"it tests a copy of its own of {copied[0]}"
            return Verdict("tests", 0, 1, said, f"It defines {copied[0]} again. Use the one of {self.name}.")
        return Verdict("tests")
