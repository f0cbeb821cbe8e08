"""Recipes whose answer is read: the reply on stdout, as `aigc ask` shows it."""

from contextlib import closing

from aigc_cli.cli.ending import raise_unless_whole
from aigc_cli.cli.recipe_run import RecipeRun
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.engine.base import Request
from aigc_cli.errors import ExitCode
from aigc_cli.render.progress import stats_line
from aigc_cli.render.view import open_view


def serve(run: RecipeRun) -> int:
    """Ask, and show the reply as it comes."""
    app, settings = run.app, run.settings
    question = run.question()
    view = open_view(app.stdout, app.env, settings, raw=run.raw)
    with closing(run.open_engine(question)) as engine:
        request = Request(run.chat(question), run.sampling(engine), private=not settings.history)
        reply = run_reply(app, engine, request, [prefill_progress(app), view])
        n_ctx = engine.info.n_ctx
    if settings.stats:
        app.stderr.write(f"{stats_line(reply.done)}\n")
    raise_unless_whole(app, reply, settings, n_ctx)
    return ExitCode.DONE
