"""Recipes that write tests for a file, and run them if asked to."""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePath

from aigc_cli.cli.code_file import STDOUT, goal_of
from aigc_cli.cli.recipe_code import code_wish, write
from aigc_cli.cli.recipe_run import RecipeRun, needs_file
from aigc_cli.cli.report import note
from aigc_cli.errors import CheckFailed, ExitCode, UsageError
from aigc_cli.render.console import sanitize
from aigc_cli.tasks.error_places import end_of
from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.sandbox import Ending, Limits, find_isolation, minimal_environment, run_limited
from aigc_cli.tasks.tests_of import Custom, HoldsTests, command_of, custom_of, file_for_tests
from aigc_cli.tasks.workspace import named_path

_LIMITS = Limits(wall_s=120, cpu_s=100, file_bytes=2**26, n_processes=64, output_bytes=2**20)


def serve(run: RecipeRun) -> int:
    """Write the tests beside the file that they are for, and with `--run` tell whether they pass."""
    files = [each for each in run.attachments if each.language]
    if not files:
        raise needs_file(run)
    source = files[0]
    language = language_of(source.name, source.text[:200])
    custom = custom_of(language)
    if custom is None or language is None:
        raise UsageError(f"no custom of tests is known for {source.name!r}", "aigc gen 'tests for …' -o FILE")
    output = file_for_tests(custom, source.name)
    check = HoldsTests(custom, language, source.text, source.name)
    wish = code_wish(run, output, lang=language.tag, checks=(check,))
    target = named_path(wish.output, run.app.cwd)
    runs = run.options["run"] and not wish.dry_run
    if run.options["run"]:
        _refuse_to_run(run, custom, target, wish.output)
    goal = goal_of(run.app, wish)
    name = PurePath(source.name)
    code = write(run, goal, framework=custom.framework, tested=name.name, module=name.stem)
    return _run(run, custom, target, wish.output) if runs else code


def _refuse_to_run(run: RecipeRun, custom: Custom, target: Path, output: str) -> None:
    if output == STDOUT:
        raise UsageError("--run needs a file to run", "leave out -o -")
    if not command_of(custom, target, run.app.env):
        programs = " or ".join(line[0] for line in custom.run) or "nothing that it knows of"
        raise UsageError(f"--run can't run tests for {custom.framework}: it would take {programs}", "")


def _run(run: RecipeRun, custom: Custom, target: Path, output: str) -> int:
    """Run them where they are, and tell the end of what they say."""
    app = run.app
    isolation = find_isolation(app.env.get("PATH"))
    note(app, f"running {output}: {isolation.meaning}")
    with tempfile.TemporaryDirectory(prefix="aigc-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        places = dict.fromkeys((str(target.parent), str(app.cwd)))
        env = {**minimal_environment(app.env, folder), "PYTHONPATH": ":".join(places)}
        ran = run_limited(
            command_of(custom, target, app.env),
            folder=folder,
            env={**env, "GOCACHE": str(folder / "go"), "PYTHONUSERBASE": _user_base(app.env)},
            limits=_LIMITS,
            isolation=isolation,
            start=target.parent,
        )
    if ran.ending is Ending.EXIT and ran.exit_code == 0:
        note(app, f"{output}: the tests pass")
        return ExitCode.DONE
    app.stderr.write(sanitize(end_of(ran.output)) + "\n")
    how = f"exit {ran.exit_code}" if ran.ending is Ending.EXIT else str(ran.ending)
    raise CheckFailed(
        f"{output} is written, and its tests fail ({how})", "the mistake is in the tests or in what they test"
    )


def _user_base(env: Mapping[str, str]) -> str:
    """Where Python finds what a person installed for themselves; the sandbox has another home."""
    return env.get("PYTHONUSERBASE") or str(Path(env.get("HOME", "/")) / ".local")
