"""`aigc gen`: one file from a description, checked and repaired."""

from dataclasses import replace
from typing import Annotated

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options
from aigc_cli.cli.change_options import Check, DryRun, Force, Output, RunExamples, Tries
from aigc_cli.cli.code_file import CodeWish, goal_of, write_code
from aigc_cli.cli.inputs import read_inputs
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.engine.base import MOST_CANDIDATES, Sampling
from aigc_cli.errors import UsageError
from aigc_cli.tasks.repair import RETRY_CANDIDATES

_NoDraft = Annotated[bool, typer.Option("--no-draft", help="keep no FILE.draft when no draft passes")]
_Json = Annotated[bool, typer.Option("--json", help="print a report with the code and all tries")]
_Candidates = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--candidates",
        metavar="N",
        min=1,
        max=MOST_CANDIDATES,
        help=f"drafts of each try, at once; else 1 at first, {RETRY_CANDIDATES} later",
    ),
]


@setting_options("system", *options.ENGINE, *options.RESIDENT, *options.SAMPLING, *options.VIEW)
def gen(
    ctx: typer.Context,
    *,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="what the file is for; - reads it from stdin")
    ] = None,
    output: Output = None,
    file: options.Files = None,
    lang: Annotated[
        str | None,
        typer.Option("--lang", metavar="NAME", help="its language, when the file name does not tell"),
    ] = None,
    force: Force = False,
    dry_run: DryRun = False,
    check: Check = None,
    run_examples: RunExamples = False,
    tries: Tries = 3,
    candidates: _Candidates = None,
    no_draft: _NoDraft = False,
    as_json: _Json = False,
    stop: options.Stop = None,
    no_stdin: options.NoStdin = False,
    flags: options.Flags,
) -> int:
    """Write one file: code only, no fence, checked and repaired, whole or not at all."""
    app = app_context(ctx)
    if not output:
        raise UsageError("gen needs -o FILE", "aigc gen 'a word counter' -o wc.py; -o - prints the code")
    settings = app.resolve_settings(flags).settings
    wish = CodeWish(
        settings,
        "gen",
        "",
        output,
        lang,
        force,
        dry_run,
        check,
        run_examples,
        tries,
        candidates,
        keeps_draft=not no_draft,
        as_json=as_json,
        stop=tuple(stop or ()),
    )
    goal = goal_of(app, wish)
    sampling_from(settings, Sampling(), wish.stop)  # a bad value is told before a model is loaded
    inputs = read_inputs(app, prompt or [], file or [], no_stdin=no_stdin)
    return write_code(app, replace(goal, wish=replace(wish, said=inputs.prompt)), inputs)
