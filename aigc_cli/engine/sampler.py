"""Choosing the next token: llama.cpp's native sampler chain, and a grammar beside it."""

import ctypes
import secrets
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.gbnf import check_gbnf
from aigc_cli.engine.library import lib
from aigc_cli.engine.logprobs import highest, logits_after
from aigc_cli.engine.model import Model
from aigc_cli.engine.reply import LAST_ROW
from aigc_cli.errors import EngineError

DRY_BASE, DRY_ALLOWED_LENGTH = 1.75, 2  # the values that DRY's author proposes (llama.cpp's defaults too)
DRY_BREAKERS = (b"\n", b":", b'"', b"*")
DRY_LAST_N = 4096  # tokens looked back at
# Tokens offered to the grammar after it refused the sampler's choice. A grammar decides about each candidate
# on its own (20-50 ms for all of a vocabulary of 152k), and the likely ones nearly always suffice.
GRAMMAR_SHORTLIST = 256
MIN_KEEP = 1
INFILL_CANDIDATES = 128  # its sampler compares each with each; llama.cpp's editor plug-ins set top_k to 40
MOST_TOP = 256  # from about there on the native sampler finds the highest as fast
N_SEEDS = 0xFFFFFFFF  # the highest number of 32 bits asks llama.cpp for a seed of its own choice
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def for_candidate(sampling: Sampling, number: int) -> Sampling:
    """The sampling of one of several candidates: each has a seed of its own."""
    return sampling if sampling.seed is None else replace(sampling, seed=(sampling.seed + number) % N_SEEDS)


@dataclass(frozen=True, slots=True)
class Link:
    """One native sampler of the chain.

    Attributes:
        name: of the option that it serves.
        setting: the option's value, as a person writes it; empty where there are several or none.
        is_off: it changes nothing at this setting.
    """

    name: str
    setting: str
    native: Any
    is_off: bool = False


def build_links(model: Model, sampling: Sampling) -> list[Link]:
    """The native samplers in the order in which they run; the caller frees them.

    Order: penalties, DRY, top-k, top-p, min-p, infill, temperature, choice. Top-k comes before everything
    that sorts: 0.12 ms instead of 11 ms a token with 152k candidates.
    """
    links = _penalty_links(model, sampling)
    if sampling.temperature == 0 and not sampling.infill:
        return [*links, Link("greedy", "", lib.llama_sampler_init_greedy())]
    seed = secrets.randbelow(N_SEEDS) if sampling.seed is None else sampling.seed
    top_k, top_p, min_p = sampling.top_k, sampling.top_p, sampling.min_p
    if sampling.infill:
        top_k = min(top_k or INFILL_CANDIDATES, INFILL_CANDIDATES)
    infill = [Link("infill", "", lib.llama_sampler_init_infill(model.vocab))] if sampling.infill else []
    heat = sampling.temperature  # at 0 the most probable candidate alone keeps its logit
    return [
        *links,
        Link("top_k", f"{top_k}", lib.llama_sampler_init_top_k(top_k), is_off=top_k == 0),
        Link("top_p", f"{top_p:g}", lib.llama_sampler_init_top_p(top_p, MIN_KEEP), is_off=top_p == 1),
        Link("min_p", f"{min_p:g}", lib.llama_sampler_init_min_p(min_p, MIN_KEEP), is_off=min_p == 0),
        *infill,
        Link("temperature", f"{heat:g}", lib.llama_sampler_init_temp(heat), is_off=heat == 1),
        Link("draw", "", lib.llama_sampler_init_dist(seed)),
    ]


def _penalty_links(model: Model, sampling: Sampling) -> list[Link]:
    links = []
    if _has_penalties(sampling):
        penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        native = lib.llama_sampler_init_penalties(model.n_vocab, sampling.repeat_last_n, *penalties)
        only_repeat = penalties[1:] == (0.0, 0.0)
        links.append(Link("penalties", f"{sampling.repeat_penalty:g}" if only_repeat else "", native))
    if sampling.dry_multiplier > 0:
        breakers = (ctypes.c_char_p * len(DRY_BREAKERS))(*DRY_BREAKERS)
        native = lib.llama_sampler_init_dry(
            model.vocab,
            sampling.dry_multiplier,
            DRY_BASE,
            DRY_ALLOWED_LENGTH,
            DRY_LAST_N,
            breakers,
            len(DRY_BREAKERS),
        )
        links.append(Link("dry", f"{sampling.dry_multiplier:g}", native))
    return links


def _has_penalties(sampling: Sampling) -> bool:
    penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
    return penalties != (1.0, 0.0, 0.0) and sampling.repeat_last_n > 0


def build_chain(model: Model, sampling: Sampling) -> Any:
    """A native sampler chain of these links; the caller frees it."""
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    for link in build_links(model, sampling):
        lib.llama_sampler_chain_add(chain, link.native)
    return chain


def unconstrained_sampler(model: Model, sampling: Sampling) -> "Sampler | GreedySampler | TopSampler":
    """The sampler of a reply that may say anything."""
    if sampling.temperature > 0 and 0 < sampling.top_k <= MOST_TOP and not _looks_at_all(sampling):
        return TopSampler(model, sampling)
    takes_highest = sampling.temperature == 0 and not sampling.infill
    if takes_highest and not _has_penalties(sampling) and sampling.dry_multiplier <= 0:
        return GreedySampler(model)
    return Sampler(model, sampling)


class GreedySampler:
    """Takes the token with the highest logit, the first of equals, as llama.cpp's greedy sampler does.

    It looks at the logits where they are: 0.03 ms a row at 152k tokens, where the native one first makes a
    list of candidates (0.17 ms). A draft has up to 63 rows.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def sample(self, context: Any, row: int = LAST_ROW) -> int:
        """The token that follows the one evaluated in this row of the last batch."""
        logits = logits_after(context, row, self._model.n_vocab)
        return int(logits.argmax())

    def finish_soon(self) -> None:
        """Nothing can be done to end free text early."""

    def close(self) -> None:
        """Nothing is held."""


def _looks_at_all(sampling: Sampling) -> bool:
    """Whether a sampler has to see other candidates than the highest."""
    return sampling.infill or sampling.dry_multiplier > 0


def _pick(chain: Any, native: Any) -> int:
    """The token that a chain takes of native candidates, which it may cut and reorder in their place."""
    lib.llama_sampler_apply(chain, ctypes.byref(native))
    return int(native.data[native.selected].id)


class _FreeChain:
    """A native chain for free text, which it owns."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        self._chain = build_chain(model, sampling)

    def finish_soon(self) -> None:
        """Nothing can be done to end free text early."""

    def close(self) -> None:
        """Free the native samplers. Closing twice is harmless."""
        if self._chain:
            lib.llama_sampler_free(self._chain)
            self._chain = None


class TopSampler(_FreeChain):
    """Draws from the k highest logits, as the native chain with top-k does.

    Penalties are for tokens that were drawn lately, and top-k leaves few candidates: both are found where
    the logits are. The native chain lists all candidates and looks each up among the penalized ones, which
    takes 0.7 ms at 152k tokens; this takes 0.3 ms. After an evaluation the caches are full of weights, and
    each call of numpy or ctypes waits for memory: there are few of them here.
    """

    def __init__(self, model: Model, sampling: Sampling) -> None:
        self._n_vocab = model.n_vocab
        self._top_k = min(sampling.top_k, model.n_vocab)
        self._repeat = float(np.float32(sampling.repeat_penalty))
        self._frequency = np.float32(sampling.frequency_penalty)
        self._presence = np.float32(sampling.presence_penalty)
        self._subtracts = bool(self._frequency or self._presence)
        self._recent: deque[int] = deque(maxlen=sampling.repeat_last_n if _has_penalties(sampling) else 0)
        self._candidates = np.zeros(self._top_k, dtype=CANDIDATE)
        self._native = as_native(self._candidates)
        none = replace(sampling, repeat_penalty=1.0, frequency_penalty=0.0, presence_penalty=0.0)
        super().__init__(model, none)

    def sample(self, context: Any, row: int = LAST_ROW) -> int:
        """The token that follows the one evaluated in this row of the last batch."""
        token = self.choose(logits_after(context, row, self._n_vocab))
        self._recent.append(token)
        return token

    def choose(self, logits: Any) -> int:
        """Draw from float32 logits, a number for each token; they stay as they are."""
        if not self._recent:
            return self._draw(logits)
        counts = Counter(self._recent)
        ids = np.fromiter(counts, dtype=np.int64, count=len(counts))
        plain = logits[ids]
        logits[ids] = self._penalized(plain, counts)
        token = self._draw(logits)
        logits[ids] = plain
        return token

    def _draw(self, logits: Any) -> int:
        best = highest(logits, self._top_k)
        self._candidates["id"] = best
        self._candidates["logit"] = logits[best]
        native = self._native
        native.size, native.selected, native.sorted = self._top_k, -1, False
        return _pick(self._chain, native)

    def _penalized(self, logits: Any, counts: Counter[int]) -> Any:
        """The logits of tokens that were drawn so often lately."""
        repeat = self._repeat  # float64 products and quotients round to what they are in float32
        lower = [logit * repeat if logit <= 0 else logit / repeat for logit in logits.tolist()]
        if not self._subtracts:
            return lower
        drawn = np.fromiter(counts.values(), np.float32, len(counts))
        return np.asarray(lower, np.float32) - (drawn * self._frequency + self._presence)


class Sampler(_FreeChain):
    """Draws tokens from the logits of a context. Free it with `close`."""

    def sample(self, context: Any, row: int = LAST_ROW) -> int:
        """The token that follows the one evaluated in this row of the last batch."""
        return int(lib.llama_sampler_sample(self._chain, context, row))


class ConstrainedSampler:
    """A sampler whose every token a grammar accepts.

    The chain chooses freely first and the grammar looks at that one token (22 microseconds); only when it
    refuses are other candidates filtered.
    """

    def __init__(self, model: Model, sampling: Sampling, gbnf: str, *, closers: tuple[str, ...] = ()) -> None:
        """Compile the grammar.

        Args:
            model: whose tokens are drawn.
            sampling: how they are drawn.
            gbnf: the grammar, starting at its rule `root`.
            closers: token texts that bring the value to its end, the most urgent first (see `finish_soon`).

        Raises:
            UsageError: the grammar does not parse.
        """
        check_gbnf(gbnf, model.is_token)
        self._grammar = lib.llama_sampler_init_grammar(model.vocab, gbnf.encode(), b"root")
        if not self._grammar:  # NULL in a chain is a segmentation fault
            raise EngineError("llama.cpp does not take the grammar", "make it simpler")
        self._chain = build_chain(model, sampling)
        self._model = model
        self._ids = np.arange(model.n_vocab, dtype=np.int32)
        self._candidates = np.zeros(model.n_vocab, dtype=CANDIDATE)
        self._closers = [ids[0] for text in closers if len(ids := model.tokenize(text, special=False)) == 1]
        self._finishing = False

    def finish_soon(self) -> None:
        """From now on prefer what ends the value: the end itself, then the closers in their order."""
        self._finishing = True

    def sample(self, context: Any, row: int = LAST_ROW) -> int:
        """The token that follows the one evaluated in this row of the last batch.

        Raises:
            EngineError: the grammar allows no token at all.
        """
        logits = logits_after(context, row, self._model.n_vocab)
        token = self._closing_token(logits) if self._finishing else None
        if token is None:
            token = self._choose(self._all(logits))
            if not self._allowed(np.array([token], dtype=np.int32), logits).size:
                token = self._choose_allowed(logits)
        lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self._chain, token)
        return token

    def _all(self, logits: Any) -> Any:
        candidates = self._candidates
        candidates["id"] = self._ids  # the chain may have reordered them for the token before
        candidates["logit"] = logits
        return candidates

    def _choose(self, candidates: Any) -> int:
        """What the chain picks among the candidates, which it may reorder."""
        return _pick(self._chain, as_native(candidates))

    def _allowed(self, ids: Any, logits: Any) -> Any:
        """Those of the token ids that the grammar accepts next, as candidates."""
        candidates = np.zeros(len(ids), dtype=CANDIDATE)
        candidates["id"] = ids
        candidates["logit"] = logits[ids]
        array = as_native(candidates)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return candidates[np.isfinite(candidates["logit"])]

    def _choose_allowed(self, logits: Any) -> int:
        size = min(GRAMMAR_SHORTLIST, self._model.n_vocab)
        shortlist = np.argpartition(logits, -size)[-size:].astype(np.int32)
        allowed = self._allowed(shortlist, logits)
        if not allowed.size:
            allowed = self._allowed(self._ids, logits)
        if not allowed.size:
            raise EngineError("the grammar allows no next token", "check that the grammar can be completed")
        return self._choose(allowed)

    def _closing_token(self, logits: Any) -> int | None:
        ends = [token for token in self._end_tokens() if self._allowed(np.array([token]), logits).size]
        if ends:
            return ends[0]
        allowed = set(self._allowed(np.array(self._closers, dtype=np.int32), logits)["id"].tolist())
        return next((token for token in self._closers if token in allowed), None)

    def _end_tokens(self) -> list[int]:
        tokens = (lib.llama_vocab_eos(self._model.vocab), lib.llama_vocab_eot(self._model.vocab))
        return [token for token in tokens if token >= 0]

    def close(self) -> None:
        """Free the native samplers. Closing twice is harmless."""
        for sampler in (self._chain, self._grammar):
            if sampler:
                lib.llama_sampler_free(sampler)
        self._chain = self._grammar = None


def as_native(candidates: Any) -> Any:
    """A view of the candidates for C; valid while the numpy array lives."""
    data = ctypes.cast(candidates.ctypes.data, lib.llama_token_data_p)
    return lib.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)
