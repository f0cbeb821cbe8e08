"""One chat at work: the conversation, the engine that answers, and what the person is told meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aigc_cli.chat.prompt import Attachment, sampling_from
from aigc_cli.chat.session import Conversation, Question
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.ending import raise_unless_whole, reached_max_tokens
from aigc_cli.cli.keeping import Growth, Keeping
from aigc_cli.cli.making_room import plan_for
from aigc_cli.cli.reply import Reply, prefill_progress, run_reply
from aigc_cli.config import Settings
from aigc_cli.engine.adapted import adapted, bare
from aigc_cli.engine.base import Chat, Constraint, Engine, Lingering, Message, Request, Sampling
from aigc_cli.errors import AigcError, ContextOverflow
from aigc_cli.events import Done, FinishReason
from aigc_cli.render.console import ColorDepth, detect_traits, sanitize
from aigc_cli.render.progress import stats_line
from aigc_cli.render.view import View, open_view
from aigc_cli.tasks.attachments import read_attachment
from aigc_cli.tasks.mentions import find_mentions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aigc_cli.cli.slash_command import SlashCommand
    from aigc_cli.events import TokenLogprob

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


@dataclass(slots=True)
class Tally:
    """Counts and times of the chat so far; `last` is the end of the last reply."""

    last: Done | None = None
    n_replies: int = 0
    read_tokens: int = 0
    reply_tokens: int = 0
    seconds: float = 0.0

    def add(self, done: Done) -> None:
        """Count one reply."""
        self.last = done
        self.n_replies += 1
        self.read_tokens += done.stats.prompt_tokens - done.stats.cached_tokens
        self.reply_tokens += done.stats.reply_tokens
        self.seconds += done.stats.prefill_s + done.stats.decode_s


@dataclass(slots=True)
class Talk:
    """What the commands of a chat work on.

    Attributes:
        interactive: a person reads the notes and goes on after a failure; else the first one ends it.
        answer: asks the person; gives the line that they answer.
        stop: strings that end a reply.
        n_used: tokens of the window that the conversation takes, as far as the model sees it.
        keeping: writes the conversation to its session; None keeps nothing.
        recipes: those that this chat knows; None until they are read.
        top_logprobs: how many alternatives to ask for with each token; None asks for no probabilities.
        why: the last reply, and its tokens with their probabilities.
    """

    app: AppContext
    settings: Settings
    engine: Engine
    interactive: bool = True
    answer: Callable[[str], str] = field(default=lambda _question: "")
    stop: tuple[str, ...] = ()
    conversation: Conversation = field(default_factory=Conversation)
    tally: Tally = field(default_factory=Tally)
    n_used: int = 0
    keeping: Keeping | None = None
    recipes: "Mapping[str, SlashCommand] | None" = None
    top_logprobs: int | None = None
    why: "tuple[str, tuple[TokenLogprob, ...]]" = ("", ())

    def show(self, text: str) -> None:
        """Write what a command was asked for; control characters in names and replies are removed."""
        self.app.stderr.write(f"{sanitize(text)}\n")
        self.app.stderr.flush()

    def remark(self, text: str) -> None:
        """Write one line on the side, dim where the terminal can."""
        line = sanitize(" ".join(text.split()))
        traits = detect_traits(self.app.stderr, self.app.env, self.settings.color)
        is_dim = traits.is_terminal and traits.depth is not ColorDepth.NONE
        self.app.stderr.write(f"{_DIM}{line}{_PLAIN}\n" if is_dim else f"{line}\n")
        self.app.stderr.flush()

    def status(self) -> list[str]:
        """The toolbar: model, share of the context window used, speed of the last reply."""
        n_ctx = self.engine.info.n_ctx
        parts = [
            " + ".join([self.engine.info.model, *self.settings.lora]),
            f"{self.n_used / n_ctx:.0%} of {n_ctx:,} tokens",
        ]
        speed = self.tally.last.stats.decode_tokens_per_s if self.tally.last else 0
        return [*parts, f"{speed:.1f} tok/s"] if speed else parts

    def ask(self, text: str) -> None:
        """Send a question with the files it names, and show the reply as it comes.

        Raises:
            FileError: a file that it names can't be read; nothing was sent.
            ContextOverflow: it does not fit the window even alone; nothing was sent.
        """
        mentions = find_mentions(text, self.app.cwd)
        files = [read_attachment(name, self.app.cwd) for name in mentions.names]
        if mentions.unknown:
            self.remark(f"no such file, sent as plain text: {' '.join(mentions.unknown)}")
        self._answer(self.conversation.ask(text, files))

    def ask_about(self, text: str, files: Sequence[Attachment], sampling: Sampling) -> None:
        """Send a question with these files, sampled so for this once.

        Raises:
            ContextOverflow: it does not fit the window even alone; nothing was sent.
        """
        self._answer(self.conversation.ask(text, files), sampling)

    def ask_again(self, sampling: Sampling | None = None) -> None:
        """Send the last question once more, sampled so for this once; the new reply replaces the old one."""
        self._answer(self.conversation.ask_again(), sampling)

    def start_over(self) -> None:
        """Forget the conversation; system prompt and settings stay."""
        self.conversation = Conversation(self.conversation.system)
        self.recount()

    def reopen(self, settings: Settings) -> None:
        """Load the model that these settings ask for; the conversation goes on.

        The old one goes first: two at once may not fit the memory. In the background it stays for others.

        Raises:
            AigcError: it can't be loaded; the old one is back.
        """
        old = bare(self.engine)
        if isinstance(old, Lingering):
            old.retire()
        else:
            old.close()
        try:
            self.engine = self.app.open_engine(settings)
        except (AigcError, KeyboardInterrupt):
            self.engine = self.app.open_engine(self.settings)
            raise
        self.settings = settings
        self.conversation.n_hidden = 0  # another window: choose anew what fits
        self.recount()

    def adapt(self, settings: Settings) -> None:
        """Answer with the LoRA adapters that these settings name; the model stays loaded.

        Raises:
            AigcError: one can't be used; those in force stay.
        """
        from aigc_cli.cli.adapters import try_adapters, wanted_adapters  # few chats have any

        engine = adapted(self.engine, wanted_adapters(self.app, settings))
        try_adapters(engine)
        self.engine = engine

    def sampling(self, settings: Settings | None = None) -> Sampling:
        """How replies are sampled under these settings, or under the ones in force.

        Raises:
            UsageError: a value is outside its range.
        """
        return sampling_from(settings or self.settings, self.engine.info.sampling, self.stop)

    def count(self, messages: Sequence[Message]) -> int:
        """Length of these messages in tokens, with the chat template around them."""
        return self.engine.count(Request(Chat(tuple(messages))))

    def recount(self) -> None:
        """Bring `n_used` up to date after a change of the conversation."""
        messages = self.conversation.messages()
        self.n_used = self.count(messages) if messages else 0

    def exchange(
        self,
        question: Question,
        views: Sequence[View],
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
    ) -> Reply:
        """Make room for a question, keep it, show its reply as it comes, and record that.

        Raises:
            ContextOverflow: it does not fit the window even alone; nothing was sent.
        """
        growth = Growth(self.keep, self.app.clock)
        try:
            plan = plan_for(self, question)
            self.keep()
            private = not self.settings.history
            request = Request(
                Chat(plan.messages),
                sampling or self.sampling(),
                constraint,
                top_logprobs=self.top_logprobs,
                private=private,
            )
            reply = run_reply(self.app, self.engine, request, (*views, growth))
            self.tally.add(reply.done)
            if reply.text:
                self.why = (reply.text, reply.tokens)
                self.conversation.record_reply(reply.text, reply.done.finish_reason)
                self.n_used = reply.done.stats.prompt_tokens + reply.done.stats.reply_tokens
        except ContextOverflow:
            self.conversation.refuse()
            raise
        except BaseException:
            if growth.text and self.conversation.question is question:
                self.conversation.record_reply(growth.text, FinishReason.INTERRUPTED)
            raise
        finally:
            self.conversation.withdraw()  # a question that got no reply; nothing to do otherwise
            self.keep()
        return reply

    def keep(self, growing: str = "") -> None:
        """Write what changed to the session; `growing` is the beginning of the reply that still streams."""
        if self.keeping is None:
            return
        self.keeping.save(self.conversation, self.engine.info.model, growing)
        if not growing:
            self.tell_notes()

    def tell_notes(self) -> None:
        """What became of the session, if the person should know."""
        for note in self.keeping.take_notes() if self.keeping else ():
            self.remark(note)

    def _answer(self, question: Question, sampling: Sampling | None = None) -> None:
        clock = self.app.clock if self.interactive else None
        view = open_view(self.app.stdout, self.app.env, self.settings, clock=clock)
        reply = self.exchange(question, (prefill_progress(self.app), view), sampling)
        if not self.app.stdout.isatty():
            self._end_line(reply.text)
        if not self.interactive:
            raise_unless_whole(self.app, reply, self.settings, self.engine.info.n_ctx)
        elif remark := self._ending(reply):
            self.remark(remark)
        if self.interactive if self.settings.stats is None else self.settings.stats:
            self.remark(stats_line(reply.done))
        if self.interactive:
            self.show("")  # a little air before the next prompt

    def _end_line(self, text: str) -> None:
        """Keep the replies in a pipe or file apart; on a terminal the view does."""
        if text and not text.endswith("\n"):
            self.app.stdout.write("\n")
            self.app.stdout.flush()

    def _ending(self, reply: Reply) -> str:
        """What a person should know of how a reply ended; empty for one that is whole."""
        match reply.done.finish_reason:
            case FinishReason.INTERRUPTED:
                return (
                    "(interrupted)"
                    if reply.text
                    else "(interrupted before the first word; /retry asks again)"
                )
            case FinishReason.LENGTH if reached_max_tokens(reply, self.settings, self.engine.info.n_ctx):
                return f"(stopped at max_tokens, {self.settings.max_tokens}; /set max_tokens changes it)"
            case FinishReason.LENGTH:
                return "(cut: the context window is full; ask to go on, and old turns make room)"
            case FinishReason.LOOP:
                return "(stopped: the model repeated itself; /retry asks again)"
            case FinishReason.STOP:
                return "" if reply.text else "(the model said nothing; /retry asks again)"
