"""One conversation: its turns, the question at work, and the files that go with them.

The text of a reply is kept exactly as the engine gave it: the engine recognizes by it the tokens that
its KV cache still holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from aigc_cli.chat.prompt import Attachment, build_user_message, system_message
from aigc_cli.engine.base import Message
from aigc_cli.errors import UsageError
from aigc_cli.events import FinishReason


@dataclass(frozen=True, slots=True)
class Question:
    """What the person typed, and the files that go to the model with it.

    Attributes:
        attached: files that waited for a question.
        mentioned: files that the text itself names.
    """

    text: str
    attached: tuple[Attachment, ...] = ()
    mentioned: tuple[Attachment, ...] = ()

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """All files, each name once; what the text names is the newer reading."""
        return _by_name(*self.attached, *self.mentioned)

    @property
    def message(self) -> Message:
        """The question as the model sees it."""
        return Message("user", build_user_message(self.text, self.attachments))

    def without(self, name: str) -> "Question":
        """The same question without the file of this name."""
        return Question(self.text, _except(name, self.attached), _except(name, self.mentioned))


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its reply; an interrupted reply is what was said until then.

    Attributes:
        sums_up: the reply is the model's summary of the turns before it, which it no longer sees.
    """

    question: Question
    reply: str
    finish_reason: FinishReason = FinishReason.STOP
    sums_up: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether the person, or the end of the program, broke the reply off."""
        return self.finish_reason is FinishReason.INTERRUPTED

    @property
    def messages(self) -> tuple[Message, Message]:
        """The turn as the model sees it."""
        return self.question.message, Message("assistant", self.reply)


@dataclass(slots=True)
class Conversation:
    """The turns so far, and at most one question that has no reply yet.

    Attributes:
        system: system prompt; None is the built-in one, empty is none.
        turns: oldest first.
        waiting_files: attached by the person, sent with the next question that gets a reply.
        n_hidden: how many turns, from the oldest on, the model no longer sees.
        question: the one at work, or the last one that got no reply.
    """

    system: str | None = None
    turns: list[Turn] = field(default_factory=list)
    waiting_files: list[Attachment] = field(default_factory=list)
    n_hidden: int = 0
    question: Question | None = None
    _replaced: Turn | None = None
    _earlier: Question | None = None  # had no reply when the one at work was put

    @property
    def system_messages(self) -> tuple[Message, ...]:
        """The system prompt as the model sees it: one message, or none."""
        return system_message(self.system)

    @property
    def replaced(self) -> Turn | None:
        """The turn whose question is at work again; it goes when the new reply is recorded."""
        return self._replaced

    @property
    def visible_turns(self) -> tuple[Turn, ...]:
        """The turns that the model sees."""
        return tuple(self.turns[self.n_hidden :])

    def messages(self) -> tuple[Message, ...]:
        """What the model sees before the next question."""
        turns = (message for turn in self.visible_turns for message in turn.messages)
        return (*self.system_messages, *turns)

    def ask(self, text: str, mentioned: Iterable[Attachment] = ()) -> Question:
        """Put a question, with the files that it names and the waiting ones."""
        self._replaced, self._earlier = None, self.question
        self.question = Question(text, tuple(self.waiting_files), tuple(mentioned))
        return self.question

    def ask_again(self) -> Question:
        """Put the last question again, with its files and the waiting ones.

        Its old reply goes when the new one is recorded.

        Raises:
            UsageError: nothing was asked yet.
        """
        self._earlier = self.question
        if self.question is None:
            last = self._pop("there is no question to ask again")
            self._replaced, self.question = last, last.question
        attached = _by_name(*self.question.attached, *self.waiting_files)
        self.question = replace(self.question, attached=attached)
        return self.question

    def record_reply(self, text: str, finish_reason: FinishReason = FinishReason.STOP) -> Turn:
        """Keep the reply to the question at work, exactly as the engine gave it."""
        if self.question is None:
            raise UsageError("a reply without a question")
        sent = {a.name for a in self.question.attachments}
        self.waiting_files = [a for a in self.waiting_files if a.name not in sent]
        turn = Turn(self.question, text, finish_reason)
        self.turns.append(turn)
        self.question = self._replaced = None
        return turn

    def replace_by_summary(self, n_turns: int, question: str, summary: str) -> None:
        """Let a summary stand for the oldest of the turns that the model sees; it no longer sees those."""
        self.n_hidden += n_turns
        self.turns.insert(self.n_hidden, Turn(Question(question), summary, sums_up=True))

    def withdraw(self) -> None:
        """The question at work got no reply: leave the conversation as it was before."""
        if self._replaced is not None:
            self.turns.append(self._replaced)
            self.question = self._replaced = None

    def refuse(self) -> None:
        """The question at work can't be sent: leave the conversation as it was before it was put."""
        self.question = self._earlier
        self.withdraw()

    def undo(self) -> Turn:
        """Take back the last turn; files that waited for its question wait again.

        Raises:
            UsageError: there is none.
        """
        turn = self._pop("there is nothing to undo")
        self.waiting_files = list(_by_name(*turn.question.attached, *self.waiting_files))
        self.question = None
        return turn

    def drop(self, name: str) -> None:
        """Take a file out of the conversation, wherever it was attached.

        Raises:
            UsageError: no such file is attached.
        """
        if name not in self.attached_names():
            raise UsageError(f"no file {name!r} is attached", "/context shows the files")
        self.waiting_files = list(_except(name, self.waiting_files))
        self.turns = [replace(turn, question=turn.question.without(name)) for turn in self.turns]
        if self.question is not None:
            self.question = self.question.without(name)

    def attach(self, attachment: Attachment) -> None:
        """Let a file wait for the next question; a newer reading of it replaces the older."""
        self.waiting_files = list(_by_name(*self.waiting_files, attachment))

    def attached_names(self) -> tuple[str, ...]:
        """Names of the files that the model sees or will see with the next question, in order."""
        sent = (a.name for turn in self.visible_turns for a in turn.question.attachments)
        return tuple(dict.fromkeys((*sent, *(a.name for a in self.waiting_files))))

    def _pop(self, complaint: str) -> Turn:
        if not self.turns:
            raise UsageError(complaint)
        turn = self.turns.pop()
        if self.n_hidden >= len(self.turns):
            self.n_hidden = 0  # nothing would be left to see: choose anew what fits
        return turn


def _by_name(*attachments: Attachment) -> tuple[Attachment, ...]:
    """Each name once, at its first place, with its last text."""
    return tuple({a.name: a for a in attachments}.values())


def _except(name: str, attachments: Iterable[Attachment]) -> tuple[Attachment, ...]:
    return tuple(a for a in attachments if a.name != name)
