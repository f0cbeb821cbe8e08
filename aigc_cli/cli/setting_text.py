"""How a model runs, in words: weights, attention, cache, threads, and where each value came from."""

from collections.abc import Iterator, Mapping
from typing import Any

from aigc_cli.engine.tuning import EXACT_KV, LARGEST_UBATCH, Setting


def describe(setting: Setting) -> str:
    """A setting in a few words: weights, attention and threads, and what differs from the default."""
    parts = ["repacked" if setting.repack_weights else "plain"]
    parts.append("flash attention" if setting.flash_attention else "no flash attention")
    if setting.kv_type != EXACT_KV:
        parts.append(f"KV {setting.kv_type}")
    if setting.n_ubatch != LARGEST_UBATCH:
        parts.append(f"batches of {setting.n_ubatch}")
    return ", ".join((*parts, threads_text(setting)))


def threads_text(setting: Setting) -> str:
    """The threads, those for reading first when there are two numbers."""
    return _threads(setting.n_threads, setting.n_threads_prefill)


def _threads(n: int, n_prefill: int) -> str:
    return f"{n} thread{'s' * (n > 1)}" if n == n_prefill else f"{n_prefill} and {n} threads"


def setting_lines(values: Mapping[str, Mapping[str, Any]], label: str) -> Iterator[str]:
    """A line for each origin, with the values that came from it; the label stands before the first."""
    texts = {
        "repack_weights": "repacked weights" if values["repack_weights"]["value"] else "plain weights",
        "flash_attention": "flash attention" if values["flash_attention"]["value"] else "no flash attention",
        "n_ubatch": f"batches of {values['n_ubatch']['value']}",
        "kv_type": f"KV cache of {values['kv_type']['value']}",
        "n_threads": _threads(values["n_threads"]["value"], values["n_threads_prefill"]["value"]),
    }
    for origin in ("set", "tuned", "default"):
        if names := [name for name in texts if values[name]["origin"] == origin]:
            yield f"{label}{', '.join(texts[name] for name in names)} ({origin})"
            label = " " * len(label)
