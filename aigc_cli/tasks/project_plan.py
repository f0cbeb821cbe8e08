"""The plan of a project: which files, what each is for, what it uses. Bound by a schema, then made sound."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aigc_cli.chat.prompt import Attachment, build_user_message, system_message
from aigc_cli.engine.base import Chat, JsonSchema, Message, Request, Sampling
from aigc_cli.errors import CheckFailed
from aigc_cli.tasks.languages import Language, language_called, language_of
from aigc_cli.tasks.project_paths import MOST_PATH, README, cleaned_path, path_key, path_problem

MOST_FILES = 20
_MOST_PURPOSE = 200  # characters
_MOST_COMMANDS = 4
_MOST_COMMAND = 100
_MOST_TOKENS = 2_000
_ASK = (
    "Plan the source files that a programmer writes for this project: only those that it needs, at most "
    "{most}, each with a part of its own. For each file: its path; its language; in one sentence what is "
    "in it, with the names of its main functions, classes, routes or elements; the paths of the planned "
    "files that it imports or uses. A file that is used comes before the file that uses it. Then the "
    "shell commands that install what it needs and run it. Plan no README, no directories, no pictures, "
    "no input files."
)
_AGAIN = "The last plan was wrong: {reasons}. Make a better one."


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


_FILE = {
    "type": "object",
    "properties": {
        "path": _text(MOST_PATH),
        "language": _text(20),
        "purpose": _text(_MOST_PURPOSE),
        "depends_on": {"type": "array", "items": _text(MOST_PATH), "maxItems": MOST_FILES},
    },
    "required": ["path", "language", "purpose", "depends_on"],
    "additionalProperties": False,
}
PLAN_SCHEMA = {
    "type": "object",
    "properties": {
        "files": {"type": "array", "items": _FILE, "minItems": 1, "maxItems": MOST_FILES},
        "run": {"type": "array", "items": _text(_MOST_COMMAND), "maxItems": _MOST_COMMANDS},
    },
    "required": ["files", "run"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of a project.

    Attributes:
        path: below the project's directory, with slashes.
        purpose: what is in it.
        language: as the model named it; the path decides where it tells one.
        depends_on: paths of the plan.
    """

    path: str
    purpose: str = ""
    language: str = ""
    depends_on: tuple[str, ...] = ()

    @property
    def known_language(self) -> Language | None:
        """By its name, or else as the model says."""
        return language_of(self.path) or language_called(self.language)


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """All files in the order in which they are written: what a file uses comes before it.

    Attributes:
        run: shell commands that install and run the project.
    """

    files: tuple[PlannedFile, ...]
    run: tuple[str, ...] = ()


def plan_request(
    prompt: str,
    attachments: Sequence[Attachment],
    system: str | None,
    sampling: Sampling,
    problems: Sequence[str] = (),
) -> Request:
    """The request for a plan; `problems` is what was wrong with the last one."""
    words = [prompt, _ASK.format(most=MOST_FILES)]
    if problems:
        words.append(_AGAIN.format(reasons="; ".join(problems)))
    messages = (*system_message(system), Message("user", build_user_message("\n\n".join(words), attachments)))
    limited = sampling if sampling.max_tokens else replace(sampling, max_tokens=_MOST_TOKENS)
    return Request(Chat(messages), limited, JsonSchema(json.dumps(PLAN_SCHEMA)))


def read_plan(text: str) -> tuple[ProjectPlan, list[str]]:
    """The sound part of a plan, and what is wrong with the rest.

    A path that is written oddly is written plainly, a file that is there twice is one, a dependency that is
    not planned is none, and a circle is opened where the plan's own order says so.

    Raises:
        CheckFailed: no file is left.
    """
    try:
        planned: Any = json.loads(text)
    except ValueError:
        planned = None
    if not isinstance(planned, dict):
        raise CheckFailed("the plan is no JSON object", "run it again, or describe the project otherwise")
    problems: list[str] = []
    files = _sound_files([each for each in _list(planned, "files") if isinstance(each, dict)], problems)
    if not files:
        why = f": {problems[0]}" if problems else ""
        raise CheckFailed(f"the plan holds no file{why}", "run it again, or describe the project otherwise")
    run = tuple(each for each in map(_line, _list(planned, "run")) if each)[:_MOST_COMMANDS]
    known = {each.path for each in files}
    return ProjectPlan(_ordered(files), tuple(each for each in run if not _unplanned(each, known))), problems


def plan_as_json(plan: ProjectPlan) -> dict[str, Any]:
    """The plan as `read_plan` reads it."""
    files = [
        {"path": f.path, "purpose": f.purpose, "language": f.language, "depends_on": [*f.depends_on]}
        for f in plan.files
    ]
    return {"files": files, "run": [*plan.run]}


def _list(planned: Mapping[str, Any], name: str) -> list[Any]:
    value = planned.get(name)
    return value if isinstance(value, list) else []


def _line(value: Any) -> str:
    """A text of the plan as one line of visible characters."""
    text = " ".join(str(value).split()) if isinstance(value, str) else ""
    return "".join(char for char in text if char.isprintable())


def _sound_files(planned: Iterable[Mapping[str, Any]], problems: list[str]) -> list[PlannedFile]:
    found: dict[str, PlannedFile] = {}
    folders: set[str] = set()
    for each in planned:
        path = cleaned_path(str(each.get("path", "")))
        key = path_key(path)
        if key == path_key(README) or (path.endswith("/") and not path_problem(path.rstrip("/"))):
            continue  # aigc writes the README; directories come with their files
        if len(found) == MOST_FILES:
            problems.append(f"it has more than {MOST_FILES} files")
            break
        above = {"/".join(key.split("/")[:n]) for n in range(1, key.count("/") + 1)}
        problem = path_problem(path)
        if not problem and key in found:
            problem = "" if found[key].path == path else f"it is {found[key].path!r} in another case"
            if not problem:
                continue
        if not problem and (key in folders or above & {*found, path_key(README)}):
            problem = "it is a file and a directory"
        if not problem and key.endswith(".draft"):
            problem = "drafts are called so"
        if problem:
            problems.append(f"{_line(path)[:MOST_PATH]!r}: {problem}")
            continue
        folders |= above
        wanted = tuple(cleaned_path(name) for name in _list(each, "depends_on") if isinstance(name, str))
        found[key] = PlannedFile(
            path, _line(each.get("purpose"))[:_MOST_PURPOSE], _line(each.get("language")), wanted
        )
    return [replace(each, depends_on=_known(each, found)) for each in found.values()]


def _known(file: PlannedFile, files: Mapping[str, PlannedFile]) -> tuple[str, ...]:
    """The files that its dependencies mean; a bare name means the one file that is called so."""
    meant: dict[str, None] = {}
    for name in file.depends_on:
        hits = [files[path_key(name)]] if path_key(name) in files else []
        hits = hits or [each for each in files.values() if path_key(each.path).endswith(f"/{path_key(name)}")]
        if len(hits) == 1 and hits[0].path != file.path:
            meant[hits[0].path] = None
    return tuple(meant)


def _ordered(files: Sequence[PlannedFile]) -> tuple[PlannedFile, ...]:
    """What a file uses comes before it. In a circle the file that was planned first is written first."""
    waiting = list(files)
    placed: list[PlannedFile] = []
    while waiting:
        names = {each.path for each in waiting}
        free = next((each for each in waiting if not names & set(each.depends_on) - {each.path}), None)
        chosen = free or next(each for each in waiting if _is_in_circle(each, waiting))
        waiting.remove(chosen)
        placed.append(replace(chosen, depends_on=tuple(d for d in chosen.depends_on if d not in names)))
    return tuple(placed)


def _is_in_circle(file: PlannedFile, files: Sequence[PlannedFile]) -> bool:
    uses = {each.path: each.depends_on for each in files}
    seen: set[str] = set()
    ahead = list(file.depends_on)
    while ahead:
        name = ahead.pop()
        if name == file.path:
            return True
        if name not in seen:
            seen.add(name)
            ahead += uses.get(name, ())
    return False


def _unplanned(command: str, known: set[str]) -> bool:
    """Whether a command names a file of code that nobody planned."""
    names = re.findall(r"[\w./-]+\.(?:py|js|mjs|ts|go|rs|rb|php|sh|java|c|cpp|txt|toml|json)\b", command)
    made = {"package.json", "package-lock.json", "go.mod", "Cargo.toml"}  # by the commands themselves
    return any(cleaned_path(name) not in known and name not in made for name in names)
