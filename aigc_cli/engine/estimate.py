"""How many tokens a text takes, where a server does not count: never too few for the usual vocabularies.

No vocabulary of bytes takes more tokens than a text has bytes. That is the figure for what is not ASCII: a
vocabulary made for English takes up to three tokens a Chinese character, one made for Chinese 0.6. In ASCII
the words of prose and code are one or two tokens, and digits and signs up to one each.
"""

import re

from aigc_cli.engine.base import Chat, Infill, Request, Text

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # as vocabularies cut camelCase and base64
_AFTER_DIGIT = re.compile(r"(?<=[0-9])[a-z]{2,}")  # of a hash: no word
_BLANKS = re.compile(r"[ \t]{2,}|[ \t](?![A-Za-z])")  # one alone is part of the word after it
_SINGLE = re.compile(r"[^A-Za-z \t]", re.ASCII)
_LETTERS_PER_TOKEN = 5
_CAPITALS_PER_TOKEN = 2
_BLANKS_PER_TOKEN = 8
_TOKENS_PER_MESSAGE = 8  # the marks of a chat template around each message
_TOKENS_PER_CHAT = 30  # a default system prompt that some templates put in


def estimate_tokens(text: str) -> int:
    """Tokens of a text."""
    words = sum(_tokens_of_word(word) for word in _WORD.findall(text))
    words += sum(len(letters) // 2 for letters in _AFTER_DIGIT.findall(text))
    blanks = sum(1 + len(run) // _BLANKS_PER_TOKEN for run in _BLANKS.findall(text))
    rest = "".join(_SINGLE.findall(text))
    return words + blanks + len(rest.encode("utf-8", "replace"))


def _tokens_of_word(word: str) -> int:
    return 1 + len(word) // (_CAPITALS_PER_TOKEN if word.isupper() else _LETTERS_PER_TOKEN)


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
