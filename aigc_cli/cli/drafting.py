"""The tries at one file: each is shown, Ctrl-C ends them, and the best draft is never lost."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.reply import Reply, prefill_progress, run_replies
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Engine, Request
from aigc_cli.errors import AigcError, Interrupted
from aigc_cli.events import Delta, Done, Event, FinishReason
from aigc_cli.render.console import detect_traits
from aigc_cli.render.progress import stats_line
from aigc_cli.render.view import View, open_view
from aigc_cli.tasks.checks import Check
from aigc_cli.tasks.generate import FileTask, code_of_reply
from aigc_cli.tasks.repair import Attempt, Draft, Judged, Plan, Way, attempts


@dataclass(slots=True)
class Drafting:
    """What has come of the tries so far.

    Attributes:
        best: None before a draft was judged.
        unjudged: the newest code, which may be a part of a reply that was interrupted.
        replies: every candidate of every try.
        stopped: what ended the tries before their time.
        on_screen: the newest code was streamed to a terminal.
    """

    tried: list[Attempt] = field(default_factory=list)
    best: Judged | None = None
    unjudged: str = ""
    replies: list[Reply] = field(default_factory=list)
    stopped: AigcError | None = None
    on_screen: bool = False

    @property
    def is_best_newest(self) -> bool:
        """Whether no older draft and no other candidate is better than the newest code."""
        return self.unjudged == self.code

    @property
    def code(self) -> str:
        """The best there is; empty if there is nothing."""
        return self.best.draft.code if self.best and self.best.draft.code else self.unjudged


def run_tries(
    app: AppContext,
    settings: Settings,
    engine: Engine,
    plan: Plan,
    checks: Sequence[Check],
    *,
    to_stdout: bool,
) -> Drafting:
    """Run the tries and say on stderr how each went. What stops them is in the outcome, not raised.

    Raises:
        AigcError: the first request failed, and there is nothing to keep.
    """
    stream = app.stdout if to_stdout else app.stderr
    drafting = Drafting(on_screen=detect_traits(stream, app.env, settings.color).moves_cursor)

    def sample(task: FileTask, request: Request) -> list[Draft]:
        """The drafts of one request. Code is watched as it is written; of several candidates, the first."""
        views: list[View] = [prefill_progress(app)]
        if drafting.on_screen:
            views.append(_CodeView(open_view(stream, app.env, settings), task))
        replies = run_replies(app, engine, request, views)
        drafting.replies += replies
        if settings.stats:
            app.stderr.writelines(stats_line(reply.done) + "\n" for reply in replies)
        drafts = [_draft(task, reply) for reply in replies]
        drafting.unjudged = drafts[0].code
        if any(draft.finish_reason is FinishReason.INTERRUPTED for draft in drafts):
            raise Interrupted
        return drafts

    try:
        with closing(attempts(plan, sample, checks)) as trying:
            for attempt in trying:
                drafting.tried.append(attempt)
                ranked = [each.judged for each in drafting.tried]
                drafting.best = max(ranked, key=lambda each: each.rank)
                _tell(app, plan, attempt)
    except KeyboardInterrupt:  # while a check ran
        drafting.stopped = Interrupted()
    except AigcError as error:
        if not drafting.code:
            raise
        drafting.stopped = error
    return drafting


def _draft(task: FileTask, reply: Reply) -> Draft:
    return Draft(code_of_reply(task, reply.text), reply.done.finish_reason, reply.mean_logprob)


def _tell(app: AppContext, plan: Plan, attempt: Attempt) -> None:
    """One line a try; a first one that passes needs none."""
    failure, doubt = attempt.judged.failure, attempt.judged.doubt
    if attempt.way is Way.FIRST and not failure and not doubt:
        return
    if plan.tries == 1:
        return  # the end of the command says it
    said = failure.said if failure else f"passed, with a doubt: {doubt}" if doubt else "passed"
    note(app, f"try {attempt.number} of {plan.tries}: {said}")


class _CodeView:
    """Shows a reply that begins inside a block of code to a view of Markdown."""

    def __init__(self, view: View, task: FileTask) -> None:
        self._view = view
        self._task = task
        self._begun = False

    def show(self, event: Event) -> None:
        """Open the block before the first text; the view itself ends one that is left open."""
        if isinstance(event, Delta | Done) and event.candidate:
            return
        if isinstance(event, Delta) and not self._begun:
            self._begun = True
            self._view.show(Delta(self._task.reply_prefix, n_tokens=0))
        self._view.show(event)

    def close(self) -> None:
        """End the reply."""
        self._view.close()
