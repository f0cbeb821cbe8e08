"""Several replies to one prompt: one prefill, and one batch for a token of each.

Replies that say the same so far are one row of the batch, and part when they draw different tokens: on a CPU
a row costs two thirds of a step, and replies often begin alike.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic

from aigc_cli.engine.evaluation import EvaluateRows, S
from aigc_cli.engine.reply import LAST_ROW, Reply
from aigc_cli.events import Event

Finish = Callable[[Reply], Iterator[Event]]


@dataclass(frozen=True, slots=True)
class _Branch(Generic[S]):
    """Replies that have drawn the same tokens, and the sequence that holds all of these but the last."""

    cells: S
    replies: list[Reply]


def decode_together(
    sequence: S,
    n_prompt: int,
    replies: Sequence[Reply],
    evaluate_rows: EvaluateRows[S],
    finish: Finish,
) -> Iterator[Event]:
    """Draw all replies in step; the batch grows as they part and shrinks as they end.

    Args:
        sequence: holds the prompt, whose last token was just evaluated; the first reply goes on in it.
        n_prompt: length of the prompt in tokens.
        replies: those to draw.
        evaluate_rows: evaluates a token of each of several sequences.
        finish: the last events of a reply that has ended.

    Raises:
        Aborted: the evaluation was cancelled; replies without a finish reason are still to be ended.
        EngineError: there are fewer sequences than replies; nothing was drawn.
    """
    _make_sure_of_room(sequence, len(replies) - 1)
    forks: list[S] = []

    def part(branch: _Branch[S], row: int) -> Iterator[Event]:
        """Draw a token of each reply; the branches that go on are added to `branches`."""
        for reply in branch.replies:
            yield from _draw(reply, sequence, row, finish)
        by_token: dict[int, list[Reply]] = {}
        for reply in branch.replies:
            if reply.finish_reason is None:
                by_token.setdefault(reply.tokens[-1], []).append(reply)
        for number, alike in enumerate(by_token.values()):
            if number:
                forks.append(branch.cells.fork())
            branches.append(_Branch(forks[-1] if number else branch.cells, alike))

    branches: list[_Branch[S]] = []
    try:
        # The first token of each comes from the one row of the prompt's end, so nothing is evaluated before.
        yield from part(_Branch(sequence, list(replies)), LAST_ROW)
        while branches:
            sequence.reserve(n_prompt + sum(len(reply.tokens) for reply in replies))
            evaluate_rows([(branch.cells, branch.replies[0].tokens[-1]) for branch in branches])
            evaluated, branches = branches, []
            for row, branch in enumerate(evaluated):
                yield from part(branch, row)
    finally:
        for fork in forks:
            fork.release()


def _make_sure_of_room(sequence: S, n_more: int) -> None:
    """Find out before anything is drawn whether each reply could have a sequence of its own."""
    with ExitStack() as taken:
        for _ in range(n_more):
            fork = sequence.fork()
            taken.callback(fork.release)
            taken.callback(fork.truncate, 0)


def _draw(reply: Reply, sequence: S, row: int, finish: Finish) -> Iterator[Event]:
    if delta := reply.draw(sequence.handle, row):
        yield delta
    if reply.finish_reason:
        yield from finish(reply)
