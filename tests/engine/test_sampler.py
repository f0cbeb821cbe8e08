"""Samplers: what takes the highest logit without llama.cpp takes the one that llama.cpp takes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.model import Model
from aigc_cli.engine.sampler import GreedySampler, Sampler, unconstrained_sampler

GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[Model]:
    model = Model(tiny_model, cancelled=lambda: False)
    yield model
    model.close()


def test_the_highest_logit_of_each_row_is_taken(model: Model) -> None:
    context = Context(model, ContextOptions(512, 1))
    native = Sampler(model, GREEDY)
    ours = GreedySampler(model)
    tokens = model.tokenize("hello world, this is a text of some tokens", special=False)
    context.open(tokens).evaluate(tokens, all_logits=True)
    expected = [native.sample(context.handle, row) for row in range(len(tokens))]
    assert [ours.sample(context.handle, row) for row in range(len(tokens))] == expected
    assert len(set(expected)) > 5
    assert ours.sample(context.handle) == expected[-1]
    native.close()
    context.close()


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.1},
        {"repeat_penalty": 1.1},
        {"frequency_penalty": 0.1},
        {"presence_penalty": 0.1},
        {"dry_multiplier": 0.8},
        {"infill": True},
    ],
)
def test_what_needs_more_than_the_highest_logit_is_left_to_llama_cpp(
    model: Model, change: dict[str, float]
) -> None:
    assert isinstance(unconstrained_sampler(model, GREEDY), GreedySampler)
    sampler = unconstrained_sampler(model, replace(GREEDY, **change))  # type: ignore[arg-type]
    assert isinstance(sampler, Sampler)
    sampler.close()
