"""Several replies to one prompt: one prefill, and one batch for a token of each."""

from collections.abc import Callable, Iterator, Sequence

from aigc_cli.engine.evaluation import EvaluateRows, S
from aigc_cli.engine.reply import LAST_ROW, Reply
from aigc_cli.events import Event


def decode_together(
    sequence: S,
    n_prompt: int,
    replies: Sequence[Reply],
    evaluate_rows: EvaluateRows[S],
    finish: Callable[[Reply], Iterator[Event]],
) -> Iterator[Event]:
    """Draw all replies in step; the batch shrinks as they end.

    Args:
        sequence: holds the prompt, whose last token was just evaluated; the first reply goes on in it.
        n_prompt: length of the prompt in tokens.
        replies: those to draw.
        evaluate_rows: evaluates a token of each of several sequences.
        finish: the last events of a reply that has ended.

    Raises:
        Aborted: the evaluation was cancelled; replies without a finish reason are still to be ended.
    """
    # The first token of each comes from the one row of the prompt's end, so nothing is evaluated before.
    for reply in replies:
        yield from _draw(reply, sequence, LAST_ROW, finish)
    live = [reply for reply in replies if reply.finish_reason is None]
    forks = [sequence.fork() for _ in live[1:]]
    sequences = [sequence, *forks][: len(live)]
    try:
        while live:
            sequence.reserve(n_prompt + sum(len(reply.tokens) for reply in replies))
            evaluate_rows([(cells, reply.tokens[-1]) for cells, reply in zip(sequences, live, strict=True)])
            for row, reply in enumerate(live):
                yield from _draw(reply, sequence, row, finish)
            going_on = [row for row, reply in enumerate(live) if reply.finish_reason is None]
            live, sequences = [live[row] for row in going_on], [sequences[row] for row in going_on]
    finally:
        for fork in forks:
            fork.release()


def _draw(reply: Reply, sequence: S, row: int, finish: Callable[[Reply], Iterator[Event]]) -> Iterator[Event]:
    if delta := reply.draw(sequence.handle, row):
        yield delta
    if reply.finish_reason:
        yield from finish(reply)
