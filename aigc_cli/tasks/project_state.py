"""How far a project is: a file in its directory, so that another run can go on."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aigc_cli.chat.prompt import Attachment
from aigc_cli.config import Value, parse_value
from aigc_cli.errors import AigcError, FileError
from aigc_cli.tasks.project_paths import STATE_FOLDER
from aigc_cli.tasks.project_plan import ProjectPlan, plan_as_json, read_plan
from aigc_cli.tasks.workspace import read_text, write_atomic

STATE_FILE = "plan.json"
TRIES = 3
_VERSION = 1


@dataclass(slots=True)
class ProjectState:
    """What shall be, and what is.

    Attributes:
        prompt: the person's words.
        attachments: what they attached.
        done: paths that are written and passed their checks.
        drafts: paths of which there is only a draft, each with the reason.
        readme: the README as it was written last.
        options: settings that the person gave on the command line.
        tries: at each file.
    """

    prompt: str
    attachments: tuple[Attachment, ...]
    plan: ProjectPlan
    done: set[str] = field(default_factory=set)
    drafts: dict[str, str] = field(default_factory=dict)
    readme: str = ""
    options: dict[str, Value] = field(default_factory=dict)
    tries: int = TRIES

    @property
    def is_finished(self) -> bool:
        """Whether each file is written."""
        return all(file.path in self.done for file in self.plan.files)


def state_path(folder: Path) -> Path:
    """Where the state of a project is."""
    return folder / STATE_FOLDER / STATE_FILE


def save_state(folder: Path, state: ProjectState) -> None:
    """Write it down, whole or not at all.

    Raises:
        FileError: it can't be written.
    """
    path = state_path(folder)
    kept = {
        "version": _VERSION,
        "prompt": state.prompt,
        "attachments": [[each.name, each.text, each.language] for each in state.attachments],
        "plan": plan_as_json(state.plan),
        "done": sorted(state.done),
        "drafts": state.drafts,
        "readme": state.readme,
        "options": state.options,
        "tries": state.tries,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{str(path.parent)!r} can't be made: {error.strerror}") from error
    write_atomic(path, json.dumps(kept, ensure_ascii=False, indent=1) + "\n")


def load_state(folder: Path, name: str) -> ProjectState:
    """What a run that was interrupted left; `name` is what errors call the directory.

    Raises:
        FileError: there is nothing to go on with, or it is damaged.
    """
    path = state_path(folder)
    if not path.is_file() or path.is_symlink() or path.parent.is_symlink():
        raise FileError(f"{name!r} holds no unfinished project", "aigc new DIR 'what it shall be' starts one")
    damaged = FileError(f"{path}: it is damaged", "remove the directory and start again")
    try:
        kept: Any = json.loads(read_text(path))
        if kept["version"] != _VERSION:
            raise FileError(f"{path} was written by another version of aigc", "go on with that one")
        plan, problems = read_plan(json.dumps(kept["plan"]))
        attachments = tuple(Attachment(*map(str, each)) for each in kept["attachments"])
        state = ProjectState(str(kept["prompt"]), attachments, plan, *_progress(kept), str(kept["readme"]))
        options = kept.get("options", {})  # an older aigc kept none
        state.options = {name: parse_value(name, value, str(path)) for name, value in options.items()}
        state.tries = max(1, int(kept.get("tries", TRIES)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged from error
    except AigcError as error:
        raise error if isinstance(error, FileError) else damaged from error
    if problems:
        raise damaged
    return state


def _progress(kept: Mapping[str, Any]) -> tuple[set[str], dict[str, str]]:
    return set(map(str, kept["done"])), {str(path): str(reason) for path, reason in kept["drafts"].items()}


def remove_state(folder: Path) -> None:
    """Leave nothing behind in a project that is finished."""
    shutil.rmtree(folder / STATE_FOLDER, ignore_errors=True)
