"""What of an edit fits the context window: the text twice, before and after, and then other files."""

from collections.abc import Sequence
from dataclasses import replace

from aigc_cli.chat.prompt import Attachment
from aigc_cli.engine.base import Engine, Request, Sampling, Text
from aigc_cli.errors import ContextOverflow
from aigc_cli.tasks.edit import EditTask, edit_request

_SPARE_TOKENS = 64
# No tokenizer packs so many characters into a token: such a text is refused by its length alone, since
# counting its tokens takes minutes.
_MOST_CHARACTERS_PER_TOKEN = 64
_CHARACTERS_PER_TOKEN = 4


class TooLargeToEdit(ContextOverflow):
    """The text does not fit the window twice, as it is and rewritten."""

    def __init__(self, name: str, n_tokens: int, n_ctx: int, *, is_part: bool) -> None:
        hint = "name fewer lines" if is_part else f"name a part: {name}:10-40, or --symbol NAME"
        super().__init__(n_tokens, n_ctx, f"{hint}; or raise --context")
        self.message = (
            f"rewriting {name!r} takes about {n_tokens:,} tokens and the context window holds {n_ctx:,}"
        )


def fitted(
    engine: Engine, task: EditTask, others: Sequence[Attachment], system: str | None
) -> tuple[EditTask, list[str], int]:
    """The task with the other files that fit, the names of those that don't, and a limit for the reply.

    The limit is in tokens: twice the old text, and room for something new.

    Raises:
        TooLargeToEdit: it does not fit without them.
    """
    n_ctx = engine.info.n_ctx
    n_characters = len(task.old) + sum(len(each.text) for each in task.context)
    if n_characters > n_ctx * _MOST_CHARACTERS_PER_TOKEN:
        raise TooLargeToEdit(
            task.file.name, n_characters // _CHARACTERS_PER_TOKEN, n_ctx, is_part=task.part is not None
        )
    n_old = engine.count(Request(Text(task.old)))
    n_reply = n_old + n_old // 5 + _SPARE_TOKENS
    n_needed = engine.count(edit_request(task, system, Sampling())) + n_reply
    if n_needed > n_ctx:
        raise TooLargeToEdit(task.file.name, n_needed, n_ctx, is_part=task.part is not None)
    left_out = []
    for other in others:
        larger = replace(task, context=(*task.context, other))
        fits_by_length = len(other.text) <= n_ctx * _MOST_CHARACTERS_PER_TOKEN
        if fits_by_length and engine.count(edit_request(larger, system, Sampling())) + n_reply <= n_ctx:
            task = larger
        else:
            left_out.append(other.name)
    return task, left_out, 2 * n_old + 1024
