"""A real GGUF with random weights and a byte-level vocabulary: what the engine does, without its price."""

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
FILL = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>")
MERGES = ("h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "Ġwor l", "Ġworl d", "Ġ Ġ", "ĠĠ ĠĠ", "a b")
N_EMBD, N_FF, N_HEADS, N_LAYERS, N_CTX = 64, 128, 4, 2, 2048


def byte_tokens() -> list[str]:
    """The 256 bytes in GPT-2's printable spelling, in byte order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    spelled = {byte: chr(byte) for byte in visible}
    hidden = [byte for byte in range(256) if byte not in spelled]
    spelled |= {byte: chr(256 + n) for n, byte in enumerate(hidden)}
    return [spelled[byte] for byte in range(256)]


def write_tiny_model(
    path: Path,
    *,
    template: str | None = CHATML,
    n_ctx: int = N_CTX,
    ascii_only: bool = False,
    merges: Sequence[str] = MERGES,
    fill: tuple[str, ...] = (),
    sharpness: float = 1,
    n_layers: int = N_LAYERS,
) -> Path:
    """A llama-architecture model that says random bytes, or random ASCII.

    `fill` names control tokens for filling in the middle: all of `FILL`, some, or none. `sharpness`
    multiplies the logits: it is surer of what it says, which is the same.
    """
    special = (*fill, *SPECIAL)
    tokens = [*byte_tokens(), *(merge.replace(" ", "") for merge in merges), *special]
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - len(special)) + [gguf.TokenType.CONTROL] * len(special)
    writer = gguf.GGUFWriter(path, "llama")
    _add_header(writer, tokens, kinds, n_ctx, n_layers)
    writer.add_token_merges(list(merges))
    if template is not None:
        writer.add_chat_template(template)
    rng = np.random.default_rng(7)

    def matrix(name: str, *shape: int, silent: Sequence[int] = ()) -> None:
        weights = (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        weights[list(silent)] = 0
        if name == "output.weight":
            weights *= sharpness
        writer.add_tensor(name, weights)

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(N_EMBD, dtype=np.float32))

    matrix("token_embd.weight", len(tokens), N_EMBD)
    for layer in range(n_layers):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{part}.weight", N_EMBD, N_EMBD)
        matrix(f"blk.{layer}.ffn_gate.weight", N_FF, N_EMBD)
        matrix(f"blk.{layer}.ffn_up.weight", N_FF, N_EMBD)
        matrix(f"blk.{layer}.ffn_down.weight", N_EMBD, N_FF)
        ones(f"blk.{layer}.attn_norm.weight")
        ones(f"blk.{layer}.ffn_norm.weight")
    ones("output_norm.weight")
    # A silent token never has one of the highest logits: a greedy reply goes on for as long as a test wants.
    silent = [*range(len(tokens) - len(special), len(tokens)), *(range(128, 256) if ascii_only else ())]
    matrix("output.weight", len(tokens), N_EMBD, silent=silent)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_header(
    writer: gguf.GGUFWriter, tokens: list[str], kinds: list[gguf.TokenType], n_ctx: int, n_layers: int
) -> None:
    end = len(tokens) - 1
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(end - 2)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
