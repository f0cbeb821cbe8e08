"""A conversation as rows: what a session holds of it, and the conversation that comes back from them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from aigc_cli.chat.prompt import Attachment, well_formed
from aigc_cli.chat.session import Conversation, Question, Turn
from aigc_cli.events import FinishReason


class State(StrEnum):
    """How far a question has come."""

    ASKED = "asked"  # no word of a reply yet
    REPLYING = "replying"  # the reply grows, or the program died while it did
    DONE = "done"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Entry:
    """A question and as much of its reply as there is."""

    question: Question
    reply: str = ""
    state: State = State.ASKED
    finish_reason: FinishReason | None = None
    sums_up: bool = False

    @property
    def turn(self) -> Turn:
        """The turn of a conversation; a reply that nobody ended was interrupted."""
        return Turn(self.question, self.reply, self.finish_reason or FinishReason.INTERRUPTED, self.sums_up)


def entries_of(conversation: Conversation, growing: str = "") -> tuple[Entry, ...]:
    """What to keep of a conversation; `growing` is the beginning of the reply to the question at work.

    While a question is asked again, its old reply stays until there is a word of the new one.
    """
    turns = list(conversation.turns)
    if conversation.question is None:
        return tuple(map(_answered, turns))
    if growing:
        return (*map(_answered, turns), Entry(conversation.question, growing, State.REPLYING))
    if conversation.replaced:
        turns.append(conversation.replaced)
    return (*map(_answered, turns), Entry(conversation.question))


def _answered(turn: Turn) -> Entry:
    state = State.INTERRUPTED if turn.interrupted else State.DONE
    return Entry(turn.question, turn.reply, state, turn.finish_reason, turn.sums_up)


def conversation_of(entries: Sequence[Entry], system: str | None, n_hidden: int) -> Conversation:
    """The conversation that goes on; a last question without a reply can be asked again."""
    turns = [entry.turn for entry in entries if entry.state is not State.ASKED]
    last = entries[-1] if entries else None
    question = last.question if last and last.state is State.ASKED else None
    return Conversation(system, turns, n_hidden=min(n_hidden, max(len(turns) - 1, 0)), question=question)


def pack_files(question: Question) -> str:
    """The files of a question as JSON."""
    kinds = {"attached": question.attached, "mentioned": question.mentioned}
    files = [{"kind": kind, **_file_fields(each)} for kind, group in kinds.items() for each in group]
    return json.dumps(files, ensure_ascii=False)


def _file_fields(file: Attachment) -> dict[str, str]:
    # a file name can hold bytes that are no UTF-8; the model was shown U+FFFD for them
    return {name: well_formed(value) for name, value in asdict(file).items()}


def unpack_question(text: str, files: str) -> Question:
    """The question that `pack_files` took apart."""
    found: dict[str, list[Attachment]] = {"attached": [], "mentioned": []}
    for each in json.loads(files):
        found[each.pop("kind")].append(Attachment(**each))
    return Question(text, tuple(found["attached"]), tuple(found["mentioned"]))
