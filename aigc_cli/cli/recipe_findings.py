"""Recipes that find things in files: a report with lines and severities, and an exit code for scripts."""

from contextlib import closing

from aigc_cli import __version__
from aigc_cli.cli.ending import raise_unless_whole
from aigc_cli.cli.recipe_run import RecipeRun
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.cli.report import note
from aigc_cli.engine.base import JsonSchema, Request
from aigc_cli.errors import EngineError, ExitCode, UsageError
from aigc_cli.render.console import ColorDepth, detect_traits, sanitize
from aigc_cli.tasks.findings import (
    Finding,
    Severity,
    as_json,
    as_sarif,
    as_text,
    findings_schema,
    numbered,
    read_findings,
)

_COLORS = {Severity.HIGH: "\x1b[31m", Severity.MEDIUM: "\x1b[33m", Severity.LOW: "\x1b[2m"}
_PLAIN = "\x1b[0m"


def serve(run: RecipeRun) -> int:
    """Report what was found; exit 1 when something is as severe as `--fail-on` says."""
    if run.options["as_json"] and run.options["sarif"]:
        raise UsageError("--json and --sarif exclude one another", "give one of them")
    if not run.attachments:
        raise UsageError(f"{run.recipe.name} needs files or a pipe", f"git diff | aigc {run.recipe.name}")
    findings = _find(run)
    stdout = run.app.stdout
    if run.options["as_json"]:
        stdout.write(as_json(findings) + "\n")
    elif run.options["sarif"]:
        stdout.write(as_sarif(findings, __version__) + "\n")
    else:
        _show(run, findings)
    threshold = run.options["fail_on"]
    failed = threshold and any(each.severity.rank >= Severity(threshold).rank for each in findings)
    return ExitCode.FAILURE if failed else ExitCode.DONE


def _find(run: RecipeRun) -> list[Finding]:
    names = list(dict.fromkeys(each.name for each in run.attachments))
    question = run.question([numbered(each) for each in run.attachments])
    with closing(run.open_engine(question)) as engine:
        request = Request(
            run.chat(question),
            run.sampling(engine),
            JsonSchema(findings_schema(names)),
            private=not run.settings.history,
        )
        reply = run_reply(run.app, engine, request, [prefill_progress(run.app, counts_reply=True)])
        n_ctx = engine.info.n_ctx
    raise_unless_whole(run.app, reply, run.settings, n_ctx)
    try:
        return read_findings(reply.text, run.attachments)
    except ValueError as error:
        raise EngineError("the model's review can't be read", "try again") from error


def _show(run: RecipeRun, findings: list[Finding]) -> None:
    colored = detect_traits(run.app.stdout, run.app.env, run.settings.color).depth is not ColorDepth.NONE
    for finding in findings:
        text = sanitize(as_text([finding])) if run.app.stdout.isatty() else as_text([finding])
        start, end = (_COLORS[finding.severity], _PLAIN) if colored else ("", "")
        run.app.stdout.write(f"{start}{text}{end}\n")
    if not findings:
        note(run.app, "nothing found")
