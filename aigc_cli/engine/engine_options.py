"""What an engine on this machine is opened with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.context import ContextOptions
from aigc_cli.engine.tuning import EXACT_KV, LARGEST_UBATCH


@dataclass(frozen=True, slots=True)
class DraftOptions:
    """Which small model guesses, and where it runs.

    Attributes:
        relative_size: the bytes of its weights over those of the large model.
    """

    path: Path
    name: str
    n_ctx: int
    n_threads: int
    relative_size: float
    n_gpu_layers: int = 0


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What to load and how to run it.

    Attributes:
        n_ctx: limit of the context window, in tokens.
        n_gpu_layers: transformer blocks on the GPU; -1 is all.
        repack_weights: rearrange weights for this CPU: decode gains 10-25 %, load and prefill lose more.
        speculate: guess ahead where that is expected to pay.
        sampling: what the model's publisher recommends.
        sha256: hash of the model file, when it is known.
        kv_directory: where KV prefixes are saved; None saves none.
        kv_limit_bytes: how much they may take there.
        n_threads_prefill, flash_attention, n_ubatch, kv_type: see `ContextOptions`.
        batch_steps: what batches cost here, in steps of one token, as far as it was measured.
        draft: the small model that guesses what comes next; None: only copies are guessed.
        origins: where the values that can be tuned came from, for whoever looks at the engine.
    """

    path: Path
    name: str
    n_ctx: int
    n_threads: int
    n_gpu_layers: int = 0
    repack_weights: bool = False
    guard_loops: bool = True
    speculate: bool = True
    sampling: Sampling = field(default_factory=Sampling)
    sha256: str | None = None
    kv_directory: Path | None = None
    kv_limit_bytes: int = 2 * 10**9
    n_threads_prefill: int | None = None
    flash_attention: bool = True
    n_ubatch: int = LARGEST_UBATCH
    kv_type: str = EXACT_KV
    batch_steps: Mapping[int, float] = field(default_factory=dict)
    draft: DraftOptions | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def context(self) -> ContextOptions:
        """How to build the context."""
        return ContextOptions(
            self.n_ctx,
            self.n_threads,
            n_threads_prefill=self.n_threads_prefill,
            flash_attention=self.flash_attention,
            n_ubatch=self.n_ubatch,
            kv_type=self.kv_type,
        )
