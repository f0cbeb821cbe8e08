"""Loops are noticed; code that repeats for a reason is not."""

import random
from itertools import cycle, islice

import pytest

from aigc_cli.engine.repetition import MAX_PERIOD, MIN_REPEATED, RepetitionGuard


def tokens_until_noticed(tokens: list[int]) -> int | None:
    guard = RepetitionGuard()
    return next((n for n, token in enumerate(tokens, start=1) if guard.push(token)), None)


@pytest.mark.parametrize("period", [1, 2, 7, 20, 100, MAX_PERIOD])
def test_a_block_said_over_and_over_is_noticed_within_five_copies(period: int) -> None:
    block = list(range(1000, 1000 + period))
    noticed = tokens_until_noticed([1, 2, 3, *islice(cycle(block), 4 * max(period, MIN_REPEATED))])
    assert noticed is not None
    assert noticed <= 3 + max(MIN_REPEATED + period, 5 * period)


def test_a_line_repeated_a_few_times_is_no_loop() -> None:
    line = list(range(12))
    assert tokens_until_noticed(line * 8) is None


def test_lines_that_differ_by_a_number_are_no_loop() -> None:
    tokens = [token for n in range(200) for token in (1, 2, 3, 1000 + n, 4, 5)]
    assert tokens_until_noticed(tokens) is None


def test_random_tokens_are_no_loop() -> None:
    rng = random.Random(5)
    assert tokens_until_noticed([rng.randrange(50) for _ in range(5000)]) is None
