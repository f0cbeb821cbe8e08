"""The files of a project, one after the other: each is checked and repaired, and what is done stays."""

from dataclasses import dataclass
from pathlib import Path

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.drafting import Drafting, run_tries
from aigc_cli.cli.ending import cut_short_by
from aigc_cli.cli.project_options import resume_line
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine, Sampling
from aigc_cli.errors import AigcError, FileError, Interrupted
from aigc_cli.tasks.checks import SyntaxCheck
from aigc_cli.tasks.generate import FileTask, file_request
from aigc_cli.tasks.languages import Language
from aigc_cli.tasks.project import checks_for, readme_text, task_for
from aigc_cli.tasks.project_paths import README, made_place, place_for
from aigc_cli.tasks.project_plan import PlannedFile
from aigc_cli.tasks.project_state import ProjectState, remove_state, save_state
from aigc_cli.tasks.repair import Judged, Plan
from aigc_cli.tasks.workspace import read_text, write_atomic

_SHARE_OF_PROMPT = 0.5  # of the window: as much again remains for the file
_SHARES = (1.0, 0.5, 0.25, 0.0)  # characters for other files per token of the window


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project is made, and how.

    Attributes:
        folder: its directory, without links.
        name: what the person calls it.
    """

    app: AppContext
    settings: Settings
    folder: Path
    name: str

    def resume_line(self, state: ProjectState) -> str:
        """The command that goes on with it."""
        return resume_line(self.app, self.name, state.options)


def write_files(project: Project, engine: Engine, state: ProjectState) -> None:
    """Write what is not written yet. The state is kept after each file.

    Raises:
        AigcError: something ended it; the hint says how to go on.
    """
    save_state(project.folder, state)
    todo = [file for file in state.plan.files if not _is_there(project, state, file)]
    try:
        for number, file in enumerate(todo, 1):
            note(project.app, f"[{number}/{len(todo)}] {file.path}")
            _write_file(project, engine, state, file)
            save_state(project.folder, state)
    except KeyboardInterrupt:
        raise Interrupted(hint=_go_on(project, state)) from None
    except AigcError as error:
        error.hint = f"{_go_on(project, state)}{error.hint and f'; {error.hint}'}"
        raise
    _write_readme(project, state)
    if state.is_finished:
        remove_state(project.folder)


def _go_on(project: Project, state: ProjectState) -> str:
    return f"what is done stays; {project.resume_line(state)} goes on"


def _is_there(project: Project, state: ProjectState, file: PlannedFile) -> bool:
    """Whether a file need not be written: it is done, or it came there otherwise and is not overwritten."""
    try:
        place = place_for(project.folder, file.path)
        if not place.exists():
            state.done.discard(file.path)
            return False
        if file.path not in state.done:
            # written right before the last run was killed, or by the person
            failure = _problem(file.known_language, read_text(place, file.path))
            _mark(state, file, f"it was there already: {failure}" if failure else "")
    except FileError as error:
        _mark(state, file, error.message)
    return True


def _problem(language: Language | None, text: str) -> str:
    return "" if language is None or not language.grammar else SyntaxCheck(language).judge(text).said


def _mark(state: ProjectState, file: PlannedFile, failure: str) -> None:
    """Remember a file as done, or as a draft with the reason."""
    state.done.discard(file.path)
    state.drafts.pop(file.path, None)
    if failure:
        state.drafts[file.path] = failure
    else:
        state.done.add(file.path)


def _write_file(project: Project, engine: Engine, state: ProjectState, file: PlannedFile) -> None:
    task = _fitting_task(project, engine, state, file)
    plan = Plan(
        task,
        project.settings.system,
        sampling_from(project.settings, engine.info.sampling),
        is_temperature_set=project.settings.temperature is not None,
        tries=state.tries,
        private=not project.settings.history,
    )
    checks = checks_for(file, state, project.folder)
    drafting = run_tries(project.app, project.settings, engine, plan, checks, to_stdout=False)
    if drafting.stopped:
        raise drafting.stopped
    _keep(project, state, file, drafting)


def _fitting_task(project: Project, engine: Engine, state: ProjectState, file: PlannedFile) -> FileTask:
    """What is asked, with as much of the other files as leaves room for this one."""
    n_ctx = engine.info.n_ctx
    tasks = (task_for(file, state, project.folder, int(n_ctx * share)) for share in _SHARES)
    for task in tasks:
        request = file_request(task, project.settings.system, Sampling())
        if engine.count(request) <= n_ctx * _SHARE_OF_PROMPT:
            break
    return task


def _keep(project: Project, state: ProjectState, file: PlannedFile, drafting: Drafting) -> None:
    """Write the file, or its best draft beside it."""
    failure = _failure(drafting.best)
    place = made_place(project.folder, file.path)
    draft = place.with_name(f"{place.name}.draft")
    if failure and drafting.code:
        write_atomic(draft, drafting.code, f"{file.path}.draft")
    elif not failure:
        if place.exists():
            raise FileError(f"{str(place)!r} came there meanwhile; it stays as it is")
        write_atomic(place, drafting.code, file.path)
        draft.unlink(missing_ok=True)
    _mark(state, file, failure)


def _failure(best: Judged | None) -> str:
    if best is None:
        return "nothing was written"
    if best.is_passed:
        return ""
    if error := cut_short_by(best.draft.finish_reason):
        return error.message
    return best.failure.said if best.failure else "it did not pass"


def _write_readme(project: Project, state: ProjectState) -> None:
    """Write the README, and write it anew as long as nobody else has."""
    place = made_place(project.folder, README)
    if place.exists() and read_text(place, README) != state.readme:
        note(project.app, f"{README} stays as it is")
        return
    state.readme = readme_text(project.folder.name, state)
    write_atomic(place, state.readme, README)
    save_state(project.folder, state)
