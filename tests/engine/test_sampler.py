"""Samplers: what takes the highest logit without llama.cpp takes the one that llama.cpp takes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.model import Model
from aigc_cli.engine.sampler import GreedySampler, Sampler, TopSampler, unconstrained_sampler

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


@pytest.mark.parametrize("top_k", [1, 2, 20, 64, 256])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"repeat_penalty": 1.1},
        {"repeat_penalty": 1.7, "frequency_penalty": 0.4, "presence_penalty": 0.3},
        {"repeat_penalty": 0.8, "repeat_last_n": 3},
        {"frequency_penalty": -0.5, "repeat_last_n": 0},
        {"min_p": 0.3, "top_p": 0.9, "temperature": 2.0},
        {"top_p": 1.0, "min_p": 0.0, "temperature": 1.0},
    ],
)
def test_draws_from_the_highest_are_those_of_the_whole_chain(
    model: Model, top_k: int, change: dict[str, float]
) -> None:
    context = Context(model, ContextOptions(512, 1))
    tokens = model.tokenize("hello world, this is a text of some tokens " * 4, special=False)
    context.open(tokens).evaluate(tokens, all_logits=True)
    for seed in range(4):
        sampling = replace(Sampling(temperature=1.3, seed=seed), top_k=top_k, **change)  # type: ignore[arg-type]
        native, ours = Sampler(model, sampling), unconstrained_sampler(model, sampling)
        assert isinstance(ours, TopSampler)
        expected = [native.sample(context.handle, row) for row in range(len(tokens))]
        assert [ours.sample(context.handle, row) for row in range(len(tokens))] == expected
        # the logits stayed as they are
        native, again = Sampler(model, sampling), native
        assert [native.sample(context.handle, row) for row in range(len(tokens))] == expected
        for sampler in (native, again, ours):
            sampler.close()
    context.close()


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.1, "top_k": 0},
        {"temperature": 0.1, "top_k": 1000},
        {"repeat_penalty": 1.1},
        {"frequency_penalty": 0.1},
        {"presence_penalty": 0.1},
        {"dry_multiplier": 0.8},
        {"dry_multiplier": 0.8, "temperature": 0.5},
        {"infill": True},
        {"infill": True, "temperature": 0.5},
    ],
)
def test_what_needs_more_than_the_highest_logit_is_left_to_llama_cpp(
    model: Model, change: dict[str, float]
) -> None:
    assert isinstance(unconstrained_sampler(model, GREEDY), GreedySampler)
    sampler = unconstrained_sampler(model, replace(GREEDY, **change))  # type: ignore[arg-type]
    assert isinstance(sampler, Sampler)
    sampler.close()
