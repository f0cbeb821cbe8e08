"""Speculative decoding: guessed tokens are evaluated in one batch and kept as far as the model agrees.

Each row of a draft is drawn by the reply's own sampler from the model's own distribution, and the draft goes
on only where the drawn token is the guessed one. So the reply is what it would be without drafts, greedy or
sampled. What drafts change is the time: a batch of 16 costs less than 16 steps; what it costs is measured.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aigc_cli.engine.batch_costs import SIZES, BatchCosts
from aigc_cli.engine.draft import Drafter
from aigc_cli.engine.evaluation import TokenCells
from aigc_cli.engine.pace import merged
from aigc_cli.engine.reply import Reply
from aigc_cli.events import Delta

if TYPE_CHECKING:
    from aigc_cli.engine.model_drafter import ModelDrafter

WORTH_IT = 1.1  # expected gain in speed from which a draft is tried
# What wrong drafts may cost: this share of the time so far, and at first so many steps. Steps that were won
# can be lost again.
TOLERATED_LOSS = 0.01
GRACE, GRACE_FOR_PREDICTION = 4.0, 32.0
GRACE_FOR_MODEL = 2.0  # a small model has to be asked before one knows what it is worth


class Speculation:
    """Decides where the next draft comes from and how long it is, down to none."""

    def __init__(
        self,
        costs: BatchCosts,
        prediction: Sequence[int],
        prompt: Sequence[int],
        model_drafter: "ModelDrafter | None" = None,
    ) -> None:
        """Put the parts together.

        Args:
            costs: of batches.
            prediction: tokens that the reply will mostly copy; may be empty.
            prompt: the tokens before the reply.
            model_drafter: asks a small model where there is nothing to copy.
        """
        self._costs = costs
        self._model_drafter = model_drafter
        self._asked: ModelDrafter | None = None  # whose the last draft is, when it is a small model's
        self._prediction = prediction
        self._prompt = prompt
        self._won = 0.0  # steps that drafts have saved so far; below 0: lost
        self._grace = GRACE_FOR_PREDICTION if prediction else GRACE
        self._drafter: Drafter | None = None
        self._n_seen = 0  # tokens of the reply that the drafter knows

    def draft(self, reply: Reply) -> list[int]:
        """The tokens to try after the last one drawn."""
        if self._drafter is None:
            # Only now that the first token is out: the index of 4,000 tokens takes a millisecond.
            self._drafter = Drafter(self._prediction, self._prompt)
        for token in reply.tokens[self._n_seen :]:
            self._drafter.push(token)
        self._n_seen = len(reply.tokens)
        length = self._length(self._drafter, reply)
        self._asked = None if length or not self._may_ask(reply) else self._model_drafter
        if self._asked:
            draft = self._asked.draft(self._prompt, reply.tokens, reply.n_left - 1)
            self._won -= self._asked.cost
            return draft
        return self._drafter.draft(length)

    def _may_ask(self, reply: Reply) -> bool:
        return self._won + GRACE_FOR_MODEL + TOLERATED_LOSS * len(reply.tokens) > 0

    def _tolerated(self, reply: Reply) -> float:
        return self._grace + TOLERATED_LOSS * len(reply.tokens)

    def _length(self, drafter: Drafter, reply: Reply) -> int:
        chances = drafter.chances(min(SIZES[-1], reply.n_left) - 1)
        if not chances:
            return 0
        tolerated = self._tolerated(reply)
        best, length, expected, taken = WORTH_IT, 0, 1.0, 0
        for size in (*(size for size in SIZES[1:] if size <= len(chances)), len(chances) + 1):
            expected += sum(chances[taken : size - 1])
            taken = size - 1
            cost = self._costs.in_steps(size)
            if expected / cost > best and self._won + tolerated >= cost - 1:
                best, length = expected / cost, taken
        return length

    def measured(self, n_draft: int, n_drawn: int, seconds: float) -> None:
        """Take what a batch cost and brought."""
        self._costs.note(n_draft + 1, seconds)
        if self._asked:
            self._asked.note(n_drawn - 1)
        if n_draft:
            took = self._costs.steps_in(seconds) or self._costs.in_steps(n_draft + 1)
            self._won += n_drawn - took


def decode_with_drafts(
    sequence: TokenCells,
    n_prompt: int,
    reply: Reply,
    speculation: Speculation,
    clock: Callable[[], float],
) -> Iterator[Delta]:
    """Draw a reply to its end, after the prompt in `sequence`, whose last token was just evaluated.

    Raises:
        Aborted: the evaluation was cancelled; the reply has no finish reason yet.
    """
    if delta := reply.draw(sequence.handle):
        yield delta
    while reply.finish_reason is None:
        draft = speculation.draft(reply)
        n_known = len(reply.tokens)
        sequence.reserve(n_prompt + n_known + len(draft))
        started = clock()
        sequence.evaluate([reply.tokens[-1], *draft], all_logits=True)
        drawn: list[Delta] = []
        for row in range(len(draft) + 1):
            delta = reply.draw(sequence.handle, row)
            if row == 0:  # a GPU is waited for when the first logits are read
                seconds = clock() - started
            if delta:
                drawn.append(delta)
            if reply.finish_reason or reply.tokens[-1:] != draft[row : row + 1]:
                break
        speculation.measured(len(draft), row + 1, seconds)
        if draft:
            reply.n_drafted += len(draft)
            reply.n_accepted += row
            sequence.truncate(n_prompt + n_known + row)
        if drawn:
            yield merged(drawn)
