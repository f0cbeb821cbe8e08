"""Counts and times of replies under OpenAI's and llama-server's names."""

import math
from collections.abc import Sequence
from typing import Any

from aigc_cli.events import FinishReason, Stats, TokenLogprob

# OpenAI knows no word for the last two: x_aigc tells them apart
FINISH_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.LOOP: "length",
    FinishReason.INTERRUPTED: "length",
}
STOP_TYPES = {reason: "eos" if reason is FinishReason.STOP else "limit" for reason in FinishReason}
LEAST_LOGPROB = -9999.0  # what OpenAI writes for "never": JSON has no infinity


def usage(replies: Sequence[Stats]) -> dict[str, Any]:
    """OpenAI's count of tokens; the prompt counts once, whatever the number of candidates."""
    prompt_tokens = max((stats.prompt_tokens for stats in replies), default=0)
    completion_tokens = sum(stats.reply_tokens for stats in replies)
    cached_tokens = max((stats.cached_tokens for stats in replies), default=0)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


def timings(stats: Stats) -> dict[str, Any]:
    """llama-server's counts and times of one reply."""
    prompt_n = stats.prompt_tokens - stats.cached_tokens
    found = {
        "cache_n": stats.cached_tokens,
        "prompt_n": prompt_n,
        "prompt_ms": stats.prefill_s * 1000,
        "prompt_per_token_ms": stats.prefill_s * 1000 / prompt_n if prompt_n else 0.0,
        "prompt_per_second": stats.prefill_tokens_per_s,
        "predicted_n": stats.reply_tokens,
        "predicted_ms": stats.decode_s * 1000,
        "predicted_per_token_ms": stats.decode_s * 1000 / stats.reply_tokens if stats.reply_tokens else 0.0,
        "predicted_per_second": stats.decode_tokens_per_s,
    }
    if stats.drafted_tokens:
        found |= {"draft_n": stats.drafted_tokens, "draft_n_accepted": stats.accepted_tokens}
    return found


def together(replies: Sequence[Stats]) -> Stats:
    """The candidates of one request as one: they share the prompt and are decoded side by side."""
    if not replies:
        return Stats()
    return Stats(
        prompt_tokens=max(stats.prompt_tokens for stats in replies),
        cached_tokens=max(stats.cached_tokens for stats in replies),
        reply_tokens=sum(stats.reply_tokens for stats in replies),
        prefill_s=max(stats.prefill_s for stats in replies),
        decode_s=max(stats.decode_s for stats in replies),
        drafted_tokens=sum(stats.drafted_tokens for stats in replies),
        accepted_tokens=sum(stats.accepted_tokens for stats in replies),
    )


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """OpenAI's probabilities of chat replies; llama-server uses them everywhere."""
    return {"content": [_chat_token(token) for token in tokens], "refusal": None}


def text_logprobs(tokens: Sequence[TokenLogprob], offset: int) -> dict[str, Any]:
    """OpenAI's older form, of /v1/completions, and llama-server's beside it.

    `offset` is how many characters of the reply came before.
    """
    pieces = [_text(token.piece) for token in tokens]
    offsets, position = [], offset
    for piece in pieces:
        offsets.append(position)
        position += len(piece)
    return {
        "tokens": pieces,
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [
            {_text(other.piece): _finite(other.logprob) for other in token.alternatives} for token in tokens
        ],
        "text_offset": offsets,
        "content": chat_logprobs(tokens)["content"],
    }


def _chat_token(token: TokenLogprob) -> dict[str, Any]:
    others = [_alternative(other.piece, other.logprob) for other in token.alternatives]
    return _alternative(token.piece, token.logprob) | {"top_logprobs": others}


def _alternative(piece: bytes, logprob: float) -> dict[str, Any]:
    return {"token": _text(piece), "bytes": list(piece), "logprob": _finite(logprob)}


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")


def _finite(logprob: float) -> float:
    return max(logprob, LEAST_LOGPROB) if not math.isnan(logprob) else LEAST_LOGPROB
