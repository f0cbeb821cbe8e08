"""Labels for texts: what a reply bound to a few words says, and how sure the model was of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.errors import UsageError
from aigc_cli.events import TokenLogprob


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text with its label.

    Attributes:
        probability: what the model gave the label among all that it could have said; None if it did not tell.
    """

    text: str
    label: str
    probability: float | None


def read_labels(words: str) -> tuple[str, ...]:
    """Labels with commas between them, ASCII or Chinese.

    Raises:
        UsageError: there are fewer than two.
    """
    split = words.replace("\uff0c", ",").replace("\u3001", ",").split(",")
    labels = tuple(dict.fromkeys(word.strip() for word in split if word.strip()))
    if len(labels) < len(("one", "other")):
        raise UsageError(f"{words!r} leaves nothing to choose", "--labels bug,feature,question")
    return labels


def probability_of(tokens: Sequence[TokenLogprob]) -> float | None:
    """The product of the tokens' probabilities; None without tokens."""
    return math.exp(sum(token.logprob for token in tokens)) if tokens else None
