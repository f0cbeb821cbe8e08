"""Recipes that put a label on each line of input: a line out for each line in, for use in pipes."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from aigc_cli.cli.ending import raise_unless_whole
from aigc_cli.cli.recipe_run import RecipeRun
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.engine.base import Choices, Engine, Request
from aigc_cli.errors import ExitCode, UsageError
from aigc_cli.events import Delta, Event
from aigc_cli.render.console import sanitize
from aigc_cli.tasks.labels import Labelled, probability_of, read_labels

if TYPE_CHECKING:
    from aigc_cli.events import TokenLogprob


class _Tokens:
    """Collects the tokens of a reply with their probabilities."""

    def __init__(self) -> None:
        self.seen: list[TokenLogprob] = []

    def show(self, event: Event) -> None:
        """Keep the tokens of a `Delta`."""
        if isinstance(event, Delta):
            self.seen += event.tokens

    def close(self) -> None:
        """Nothing is open."""


def serve(run: RecipeRun) -> int:
    """Label each line, and print the label and its probability before the next one is read."""
    labels = read_labels(run.values["labels"])
    texts = list(_texts(run))
    if not texts:
        raise UsageError("there is no line to label", f"echo 'a text' | aigc {run.recipe.name} --labels a,b")
    as_json = bool(run.options["as_json"])
    with closing(run.open_engine(max(texts, key=len))) as engine:
        for text in texts:
            run.app.stdout.write(_line(_label(run, engine, text, labels), as_json=as_json))
            run.app.stdout.flush()
    return ExitCode.DONE


def _texts(run: RecipeRun) -> Iterator[str]:
    argument = run.recipe.words
    spoken = run.values[argument.name] if argument else ""
    for text in (spoken, *(each.text for each in run.attachments)):
        yield from (line.strip() for line in text.splitlines() if line.strip())


def _label(run: RecipeRun, engine: Engine, text: str, labels: tuple[str, ...]) -> Labelled:
    question = run.question((), text=text, labels=labels)
    request = Request(
        run.chat(question),
        replace(run.sampling(engine), temperature=0),
        Choices(labels),
        top_logprobs=0,
        private=not run.settings.history,
    )
    tokens = _Tokens()
    reply = run_reply(run.app, engine, request, [prefill_progress(run.app), tokens])
    raise_unless_whole(run.app, reply, run.settings, engine.info.n_ctx)
    return Labelled(text, reply.text, probability_of(tokens.seen))


def _line(found: Labelled, *, as_json: bool) -> str:
    if as_json:
        content = {"label": found.label, "probability": found.probability, "text": found.text}
        return json.dumps(content, ensure_ascii=False) + "\n"
    share = "" if found.probability is None else f"\t{found.probability:.3f}"
    return f"{sanitize(found.label)}{share}\n"
