"""How many tokens a text takes, where a server does not count: rather too many than too few.

English and code take 3 to 5 characters a token in the vocabularies of today, Chinese 0.6 to 2 tokens a
character. A budget that is kept to these figures keeps a chat inside its window.
"""

import math

from aigc_cli.engine.base import Chat, Infill, Request, Text

_ASCII_PER_TOKEN = 2.6
_TOKENS_PER_OTHER = 1.5
_TOKENS_PER_MESSAGE = 8  # the marks of a chat template around each message
_TOKENS_PER_CHAT = 30  # a default system prompt that some templates put in


def estimate_tokens(text: str) -> int:
    """Tokens of a text."""
    n_ascii = sum(character < "\x80" for character in text)
    return math.ceil(n_ascii / _ASCII_PER_TOKEN + (len(text) - n_ascii) * _TOKENS_PER_OTHER)


def estimate_request(request: Request) -> int:
    """Tokens of a request's prompt."""
    match request.prompt:
        case Chat(messages, reply_prefix):
            texts = [message.content for message in messages]
            n_marks = _TOKENS_PER_CHAT + _TOKENS_PER_MESSAGE * len(messages)
            return n_marks + sum(map(estimate_tokens, texts)) + estimate_tokens(reply_prefix)
        case Text(text):
            return estimate_tokens(text) + 1
        case Infill(prefix, suffix, extra):
            parts = [prefix, suffix, *(part for file in extra for part in (file.name, file.text))]
            return _TOKENS_PER_MESSAGE + sum(map(estimate_tokens, parts))
