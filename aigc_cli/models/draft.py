"""Which small model may guess for a large one: one that cuts text into the same tokens and is much faster."""

from pathlib import Path

from aigc_cli.errors import ModelNotFound
from aigc_cli.models.catalog import Catalog
from aigc_cli.models.choose import locate_named
from aigc_cli.models.gguf import GgufHeader
from aigc_cli.models.store import ModelStore, StoredModel

NONE = "off"
SMALLER = 8  # times: a model that is larger than that is too slow to guess
MOST_EXTRA_TOKENS = 128  # vocabularies of one family are padded to different lengths
_SAME = ("tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.eos_token_id")


def find_draft_model(
    wanted: str | None, model: StoredModel, catalog: Catalog, store: ModelStore
) -> StoredModel | None:
    """The small model that guesses for this one, when there is one on disk.

    Args:
        wanted: its name or path; `NONE` for none; unset: the smallest one of a large model's family.
        model: the large one.
        catalog: the known models.
        store: what is on disk.

    Raises:
        ModelNotFound: the one that is wanted is not on disk.
    """
    if wanted is None:
        return _smallest_relative(model, store)
    if wanted.strip().casefold() in {"", NONE}:
        return None
    found = locate_named(wanted, catalog, store)
    if isinstance(found, StoredModel):
        return found
    raise ModelNotFound(wanted, f"aigc models pull {found.name}")


def as_told_elsewhere(wanted: str | None) -> str | None:
    """A wish that means the same for a process with another current directory."""
    path = Path(wanted).expanduser() if wanted else None
    return str(path.absolute()) if path and path.is_file() else wanted


def _smallest_relative(model: StoredModel, store: ModelStore) -> StoredModel | None:
    large = model.spec
    if large is None or not large.is_large:
        return None
    relatives = [
        (stored.spec.n_parameters, stored)
        for stored in store.list()
        if stored.spec
        and stored.spec.family == large.family
        and stored.spec.n_parameters * SMALLER <= large.n_parameters
    ]
    return min(relatives, key=lambda pair: pair[0])[1] if relatives else None


def can_guess(small: GgufHeader, large: GgufHeader) -> bool:
    """Whether a model is smaller than another and cuts text into the same tokens, so that it can be right."""
    same = all(small.metadata.get(key) == large.metadata.get(key) for key in _SAME)
    is_padded = abs(small.n_vocab - large.n_vocab) <= MOST_EXTRA_TOKENS
    return same and is_padded and small.weights_bytes < large.weights_bytes
