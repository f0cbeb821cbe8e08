"""`aigc inspect next` and `layers`: what may come next, after each sampler, and after each layer."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli.inspecting import (
    EVALUATING,
    OUTPUT,
    TEXT,
    Given,
    Screen,
    open_inspector,
    piece_facts,
    text_of,
    text_options,
)
from aigc_cli.cli.options import SAMPLING, Flags, app_context, setting_options
from aigc_cli.engine.base import Sampling
from aigc_cli.errors import ExitCode
from aigc_cli.render.distribution import Ranked, Sieve, draw_distribution, draw_guesses, excerpt
from aigc_cli.render.token_text import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigc_cli.cli.context import AppContext
    from aigc_cli.config import Settings
    from aigc_cli.engine.distribution import Candidate, Distribution
    from aigc_cli.engine.inspection import LayerGuess

CHAIN = tuple(name for name in SAMPLING if name != "max_tokens")
MOST_SHOWN = 1000
Top = Annotated[int, typer.Option("--top", metavar="N", min=1, max=MOST_SHOWN, help="how many tokens")]


@setting_options(*EVALUATING, *CHAIN)
@text_options(*TEXT, *OUTPUT)
def next_token(
    ctx: typer.Context,
    *,
    top: Top = 15,
    given: Given,
    flags: Flags,
) -> int:
    """Show how probable the next tokens are; with sampling options, what each sampler leaves.

    The penalties count the text as said.
    """
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    sampling = chosen_sampling(app, settings, flags)
    goal = given.target(app)
    prompt = given.prompt(app, settings)
    with open_inspector(app, settings, prompt) as inspector:
        found = inspector.next(prompt, top, sampling)
        model = inspector.options.name
    goal.deliver(
        app,
        settings,
        facts=lambda: {"model": model, **distribution_facts(found)},
        page=lambda: _page(text_of(prompt), found, model),
        drawing=lambda screen: [
            f"{excerpt(text_of(prompt), screen.columns - 2)}▁",
            "",
            *draw(found, screen),
            "",
            *summary(found),
        ],
    )
    return ExitCode.DONE


def chosen_sampling(app: "AppContext", settings: "Settings", flags: Flags) -> Sampling | None:
    """What the options ask for, over what the model's publisher recommends; None without options.

    Raises:
        UsageError: a value is outside its range.
    """
    if all(flags[name] is None for name in CHAIN):
        return None
    sampling_from(settings, Sampling())  # a bad value is told before a model is looked for
    from aigc_cli.cli.inspecting import recommended  # the catalogue

    return sampling_from(settings, recommended(app, settings))


def ranked(found: "Distribution") -> list[Ranked]:
    """The candidates, for drawing."""
    return [_ranked(candidate) for candidate in found.candidates]


def _ranked(candidate: "Candidate") -> Ranked:
    return Ranked(candidate.piece, candidate.probability, candidate.after)


def sieves(found: "Distribution") -> list[Sieve]:
    """The samplers, for drawing."""
    return [Sieve(stage.name, stage.setting, stage.n_left) for stage in found.stages]


def draw(found: "Distribution", screen: Screen) -> list[str]:
    """The candidates and the columns of the samplers."""
    return draw_distribution(ranked(found), sieves(found), found.choice.piece, screen.depth, screen.columns)


def summary(found: "Distribution") -> list[str]:
    """How open the choice is, and how it falls."""
    entropy = (
        f"entropy {found.entropy_bits:.2f} bits: like a choice among "
        f"{2**found.entropy_bits:,.1f} equally likely tokens of {found.n_vocab:,}"
    )
    if not found.stages:
        return [entropy]
    return [entropy, f"drawn: {label(found.choice.piece)}"]


def distribution_facts(found: "Distribution") -> dict[str, Any]:
    """All of it in JSON; a probability after a sampler is null where the token is out."""
    return {
        "entropy_bits": found.entropy_bits,
        "n_vocab": found.n_vocab,
        "samplers": [
            {"name": stage.name, "setting": stage.setting, "tokens_left": stage.n_left}
            for stage in found.stages
        ],
        "candidates": [_candidate_facts(each) for each in found.candidates],
        "choice": {"id": found.choice.token, **piece_facts(found.choice.piece)},
    }


def _candidate_facts(candidate: "Candidate") -> dict[str, Any]:
    facts = {
        "id": candidate.token,
        **piece_facts(candidate.piece),
        "probability": candidate.probability,
    }
    return facts | ({"after": list(candidate.after)} if candidate.after else {})


def _page(text: str, found: "Distribution", model: str) -> str:
    from aigc_cli.render.page import distribution_page

    return distribution_page(
        text,
        ranked(found),
        sieves(found),
        choice=found.choice.piece,
        summary="; ".join(summary(found)),
        model=model,
    )


@setting_options(*EVALUATING)
@text_options(*TEXT, *OUTPUT)
def layers(
    ctx: typer.Context,
    *,
    top: Top = 4,
    given: Given,
    flags: Flags,
) -> int:
    """Show the best guesses for the next token after each layer: how the answer forms."""
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    goal = given.target(app)
    prompt = given.prompt(app, settings)
    with open_inspector(app, settings, prompt) as inspector:
        found = inspector.layers(prompt, top)
        model = inspector.options.name
    goal.deliver(
        app,
        settings,
        facts=lambda: {"model": model, "layers": [_layer_facts(guess) for guess in found]},
        page=lambda: _layers_page(text_of(prompt), found, model),
        drawing=lambda screen: _draw_layers(text_of(prompt), found, screen),
    )
    return ExitCode.DONE


def _layer_facts(guess: "LayerGuess") -> dict[str, Any]:
    return {"layer": guess.layer, "candidates": [_candidate_facts(each) for each in guess.candidates]}


def _named(found: "Sequence[LayerGuess]") -> list[tuple[str, list[Ranked]]]:
    return [
        (f"layer {guess.layer}", [_ranked(candidate) for candidate in guess.candidates]) for guess in found
    ]


def _draw_layers(text: str, found: "Sequence[LayerGuess]", screen: Screen) -> list[str]:
    before = f"{excerpt(text, screen.columns - 2)}▁"
    return [before, "", *draw_guesses(_named(found), screen.depth, screen.columns)]


def _layers_page(text: str, found: "Sequence[LayerGuess]", model: str) -> str:
    from aigc_cli.render.page import layers_page

    return layers_page(text, _named(found), model)
