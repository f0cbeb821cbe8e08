"""Counts what an engine does, for whoever looks at it."""

from dataclasses import dataclass

from aigc_cli.events import Done, Event


@dataclass(slots=True)
class Totals:
    """Counts and times since the engine started; tokens per second follow from them."""

    replies: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    reply_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0

    def watch(self, event: Event) -> None:
        """Count the end of a reply."""
        if not isinstance(event, Done):
            return
        stats = event.stats
        self.replies += 1
        self.prompt_tokens += stats.prompt_tokens
        self.cached_tokens += stats.cached_tokens
        self.reply_tokens += stats.reply_tokens
        self.prefill_s += stats.prefill_s
        self.decode_s += stats.decode_s

    @property
    def evaluated_tokens(self) -> int:
        """Prompt tokens that no cache held."""
        return self.prompt_tokens - self.cached_tokens

    @property
    def prefill_tokens_per_s(self) -> float:
        """Evaluated prompt tokens per second; 0 before there are any."""
        return self.evaluated_tokens / self.prefill_s if self.prefill_s else 0.0

    @property
    def decode_tokens_per_s(self) -> float:
        """Reply tokens per second; 0 before there are any."""
        return self.reply_tokens / self.decode_s if self.decode_s else 0.0
