"""Loops are noticed; code that repeats for a reason is not."""

import random
import re
from itertools import cycle, islice, takewhile

import pytest

from aigc_cli.engine.loop_watch import LoopWatch
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


def noticed_copying(tokens: list[int], copied: list[int]) -> int | None:
    guard = RepetitionGuard(copied)
    return next((n for n, token in enumerate(tokens, start=1) if guard.push(token)), None)


@pytest.mark.parametrize("period", [1, 7, 12, 100])
def test_what_the_copied_text_repeats_may_be_repeated_and_a_little_more(period: int) -> None:
    block = list(range(1000, 1000 + period))
    copied = [1, 2, 3, *islice(cycle(block), 2000), 4, 5, *islice(cycle(block), 300)]
    assert noticed_copying(copied, copied) is None
    grown = [1, 2, 3, *islice(cycle(block), 2000 + MIN_REPEATED // 2)]
    assert noticed_copying(grown, copied) is None
    noticed = noticed_copying([*islice(cycle(block), 9000)], copied)
    assert noticed is not None
    assert noticed <= 2000 + max(MIN_REPEATED + period, 4 * period)


@pytest.mark.parametrize("copied", [[], [1], list(range(5000))])
def test_a_text_that_repeats_nothing_changes_nothing(copied: list[int]) -> None:
    loop = [*range(50), *islice(cycle([7, 8, 9]), 1000)]
    assert noticed_copying(loop, copied) == tokens_until_noticed(loop)


def test_pieces_of_a_server_that_the_copied_text_repeats_are_no_loop() -> None:
    table = "0, 0, 0,\n" * 80
    pieces = re.findall(r"\S+\s", table)
    watch = LoopWatch(f"x = [\n{table}]\n")
    assert not any(watch.push(piece) for piece in pieces)
    assert sum(1 for _ in takewhile(lambda piece: not watch.push(piece), pieces * 3)) < len(pieces)
    assert any(map(LoopWatch("").push, pieces))
    assert any(map(LoopWatch("another text").push, pieces))
