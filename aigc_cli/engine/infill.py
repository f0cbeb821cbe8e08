"""Fill-in-the-middle prompts: what surrounds the gap, and neighbouring files, within the window.

The order is that of Bavarian 2022 (prefix, suffix, middle). Neighbouring files come first, in the repository
format of the Qwen2.5-Coder report (arXiv 2409.12186), which llama-server's /infill uses too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aigc_cli.engine.base import ContextFile, Infill
from aigc_cli.engine.reply import REPLY_ROOM
from aigc_cli.errors import UnsupportedFeature

# Where not both fit, the text before the gap gets three quarters: llama-server's proportion.
PREFIX_SHARE = 0.75
MOST_FOR_REPLY = 0.25  # of the window, whatever limit the request names
FEWEST_OF_FILE = 32  # tokens: a smaller piece of a neighbouring file says nothing
REPOSITORY, GAP_FILE = "project", "current"  # names: a request has none


@dataclass(frozen=True, slots=True)
class FillTokens:
    """A model's control tokens for filling in; -1 for one that it lacks."""

    prefix: int
    suffix: int
    middle: int
    repository: int = -1
    file: int = -1

    @property
    def names_files(self) -> bool:
        """Whether the model was trained on the repository format."""
        return self.repository >= 0 and self.file >= 0


class Vocabulary(Protocol):
    """What this module needs of a model."""

    @property
    def fill_tokens(self) -> FillTokens | None:
        """None for a model that was not trained to fill in."""
        ...

    @property
    def bos_tokens(self) -> list[int]:
        """What raw text starts with: the begin-of-sequence token, or nothing."""
        ...

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Token ids of a text."""
        ...


def infill_tokens(vocabulary: Vocabulary, infill: Infill, n_ctx: int, n_reply: int) -> list[int]:
    """The prompt. What does not fit is left out from afar: the neighbours, then the ends of the file itself.

    Args:
        vocabulary: of a model with tokens for filling in.
        infill: the text around the gap.
        n_ctx: the context window, in tokens.
        n_reply: tokens wanted for replies; they get at most a quarter of the window.

    Raises:
        UnsupportedFeature: the model was not trained to fill in.
    """
    marks = vocabulary.fill_tokens
    if marks is None:
        raise UnsupportedFeature(
            "this model has no tokens for filling in the middle", "use a model that does: aigc models list"
        )

    def plain(text: str) -> list[int]:
        return vocabulary.tokenize(text, special=False)

    prefix, suffix = plain(infill.prefix), plain(infill.suffix)
    name = [marks.file, *plain(f"{GAP_FILE}\n")] if infill.extra and marks.names_files else []
    head = [marks.repository, *plain(f"{REPOSITORY}\n")] if name else []
    n_marks = len(vocabulary.bos_tokens) + len(head) + len(name) + 3
    room = n_ctx - max(REPLY_ROOM, min(n_reply, int(n_ctx * MOST_FOR_REPLY))) - n_marks
    prefix, suffix = _nearest(prefix, suffix, max(room, 0))
    room -= len(prefix) + len(suffix)
    neighbours = _neighbours([_file_tokens(vocabulary, marks, file) for file in infill.extra], room)
    gap = [marks.prefix, *prefix, marks.suffix, *suffix, marks.middle]
    return [*vocabulary.bos_tokens, *head, *neighbours, *name, *gap]


def _nearest(prefix: list[int], suffix: list[int], room: int) -> tuple[list[int], list[int]]:
    """The end of the prefix and the start of the suffix; what one does not need, the other gets."""
    for_prefix = min(len(prefix), max(int(room * PREFIX_SHARE), room - len(suffix)))
    for_suffix = min(len(suffix), room - for_prefix)
    return prefix[len(prefix) - for_prefix :], suffix[:for_suffix]


def _file_tokens(vocabulary: Vocabulary, marks: FillTokens, file: ContextFile) -> list[int]:
    text = file.text if file.text.endswith("\n") else f"{file.text}\n"
    if marks.names_files:
        return [marks.file, *vocabulary.tokenize(f"{file.name}\n{text}", special=False)]
    return vocabulary.tokenize(f"=== {file.name} ===\n{text}\n", special=False)


def _neighbours(files: Sequence[list[int]], room: int) -> list[int]:
    """The last files that fit: the caller puts the most important one next to the gap."""
    kept: list[list[int]] = []
    for tokens in reversed(files):
        if room < min(len(tokens), FEWEST_OF_FILE):
            break
        kept.append(tokens[:room])
        room -= len(kept[-1])
    return [token for tokens in reversed(kept) for token in tokens]
