"""One file of a planned project: what the model sees of the others, and the README."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.chat.prompt import Attachment
from aigc_cli.errors import FileError
from aigc_cli.tasks.checks import Check, SyntaxCheck
from aigc_cli.tasks.generate import FileTask
from aigc_cli.tasks.interfaces import interface_of
from aigc_cli.tasks.project_paths import README, place_for
from aigc_cli.tasks.project_plan import PlannedFile, ProjectPlan
from aigc_cli.tasks.project_state import ProjectState
from aigc_cli.tasks.python_names import NamesCheck
from aigc_cli.tasks.workspace import read_text

_WHOLE_CHARACTERS = 1_500  # of a longer file the others see only what it defines
_ASK = "{prompt}\n\nThe project's files:\n{files}\n\nWrite {path}: {purpose}"
_KINDS = {
    "requirements.txt": " One package a line, without versions; what comes with Python is no package.",
}
_USES = " It uses {names}: take the names from there as they are."
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class _Words:
    files: str
    run: str
    draft: str


_ENGLISH_WORDS = _Words("Files", "How to run it", "only a draft, which did not pass its checks")
_CHINESE_WORDS = _Words("文件", "如何运行", "只有未通过检查的草稿")


def task_for(file: PlannedFile, state: ProjectState, folder: Path, room: int) -> FileTask:
    """What the model is asked for one file, with what it needs to know of the files before it.

    Args:
        file: the one to write.
        state: the plan and how far it is.
        folder: the project's directory.
        room: characters for other files.
    """
    listed = "\n".join(f"- {each.path}: {each.purpose}" for each in state.plan.files)
    prompt = _ASK.format(prompt=state.prompt, files=listed, path=file.path, purpose=file.purpose)
    if file.depends_on:
        prompt += _USES.format(names=", ".join(file.depends_on))
    prompt += _KINDS.get(file.path.rpartition("/")[2], "")
    others = tuple(_within(room, _shown(file, state, folder)))
    return FileTask(prompt, (*state.attachments, *others), file.path, file.known_language)


def _shown(file: PlannedFile, state: ProjectState, folder: Path) -> Iterator[Attachment]:
    """What the file uses, then what else is written: whole or, if it is long, what it defines."""
    written = [each for each in state.plan.files if each.path in state.done and each is not file]
    used = [each for each in written if each.path in file.depends_on]
    for each in (*used, *(other for other in written if other not in used)):
        try:
            text = read_text(place_for(folder, each.path))
        except FileError:  # taken away meanwhile
            continue
        language = each.known_language
        tag = language.tag if language else ""
        if each in used and len(text) <= _WHOLE_CHARACTERS:
            yield Attachment(each.path, text, tag)
        elif interface := interface_of(text, language):
            yield Attachment(f"{each.path} (what it defines)", interface, tag)


def _within(room: int, attachments: Iterator[Attachment]) -> Iterator[Attachment]:
    for each in attachments:
        if len(each.text) <= room:
            room -= len(each.text)
            yield each


def readme_text(title: str, state: ProjectState) -> str:
    """What the project is, what its files are for, how to run it: from the plan, in the person's language."""
    words = _CHINESE_WORDS if _CHINESE.search(state.prompt) else _ENGLISH_WORDS
    lines = [f"# {title}", "", " ".join(state.prompt.split()), "", f"## {words.files}", ""]
    for file in state.plan.files:
        remark = f" ({words.draft})" if file.path in state.drafts else ""
        lines.append(f"- `{file.path}`: {file.purpose}{remark}")
    if state.plan.run:
        lines += ["", f"## {words.run}", "", "```sh", *state.plan.run, "```"]
    return "\n".join(lines) + "\n"


def checks_for(file: PlannedFile, state: ProjectState, folder: Path) -> list[Check]:
    """What a file must pass: it parses; a Python file uses only names that it or the others define."""
    language = file.known_language
    if language is None or not language.grammar:
        return []
    if language.tag != "python":
        return [SyntaxCheck(language)]
    modules: dict[str, str] = {}
    for path in state.done - {file.path}:
        if not path.endswith(".py"):
            continue
        with suppress(FileError):
            source = read_text(place_for(folder, path))
            dotted = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            modules |= {dotted: source}
    return [SyntaxCheck(language), NamesCheck(modules)]


def all_paths(plan: ProjectPlan) -> Sequence[tuple[str, str]]:
    """Every path that the project will have, with what is in it."""
    return [*((file.path, file.purpose) for file in plan.files), (README, "")]
