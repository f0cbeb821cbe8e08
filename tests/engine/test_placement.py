"""What fits where, with devices that the test describes."""

from pathlib import Path
from types import MappingProxyType

import pytest

from aigc_cli.engine.placement import ALL_LAYERS, Device, place
from aigc_cli.errors import ConfigError, ModelLoadError
from aigc_cli.models.gguf import GgufHeader, read_header
from tests.tiny_model import N_CTX

GB = 10**9
CPU = Device("CPU", "a processor", is_gpu=False, free_bytes=16 * GB, total_bytes=16 * GB)
# Qwen2.5-Coder 7B, Q4_K_M: 28 layers of some 150 MB, 57,344 bytes of KV cache a token.
SEVEN_B = GgufHeader(
    architecture="qwen2",
    name="7B",
    n_parameters=7_600_000_000,
    quantization="Q4_K_M",
    n_ctx_train=32768,
    n_layers=28,
    n_embd=3584,
    n_heads=28,
    n_kv_heads=4,
    kv_heads_by_layer=(4,) * 28,
    key_length=128,
    value_length=128,
    n_vocab=152064,
    chat_template=None,
    size_bytes=4_700_000_000,
    weights_bytes=4_700_000_000,
    layer_bytes=(140_000_000,) * 28,
    other_bytes=780_000_000,
    metadata=MappingProxyType({}),
)


def gpu(free_bytes: float) -> Device:
    return Device("GPU0", "a card", is_gpu=True, free_bytes=int(free_bytes), total_bytes=int(24 * GB))


def test_without_a_gpu_everything_runs_on_the_cpu() -> None:
    placement = place(SEVEN_B, [CPU], free_ram_bytes=16 * GB)
    assert (placement.n_gpu_layers, placement.n_ctx) == (0, 32768)
    assert "CPU" in placement.reason


def test_a_roomy_gpu_takes_all_layers_and_the_whole_window() -> None:
    placement = place(SEVEN_B, [CPU, gpu(12 * GB)], free_ram_bytes=4 * GB)
    assert (placement.n_gpu_layers, placement.n_ctx) == (ALL_LAYERS, 32768)
    assert "a card" in placement.reason


def test_a_small_gpu_takes_the_layers_that_fit() -> None:
    placement = place(SEVEN_B, [CPU, gpu(3 * GB)], free_ram_bytes=16 * GB)
    assert 5 <= placement.n_gpu_layers < SEVEN_B.n_layers
    on_gpu = placement.n_gpu_layers * (140_000_000 + placement.n_ctx * 57_344 // 28)
    assert on_gpu < 3 * GB


def test_a_full_gpu_takes_none() -> None:
    assert place(SEVEN_B, [CPU, gpu(0.2 * GB)], free_ram_bytes=16 * GB).n_gpu_layers == 0


@pytest.mark.parametrize("asked", [0, 10])
def test_the_number_of_layers_asked_for_is_kept(asked: int) -> None:
    assert (
        place(SEVEN_B, [CPU, gpu(12 * GB)], free_ram_bytes=16 * GB, n_gpu_layers=asked).n_gpu_layers == asked
    )


def test_two_gpus_are_counted_together() -> None:
    placement = place(SEVEN_B, [CPU, gpu(4 * GB), gpu(4 * GB)], free_ram_bytes=16 * GB)
    assert placement.n_gpu_layers == ALL_LAYERS


def test_the_window_shrinks_to_what_the_memory_holds() -> None:
    placement = place(SEVEN_B, [CPU], free_ram_bytes=int(7 * GB))
    assert 0 < placement.n_ctx < 32768
    assert placement.n_ctx % 256 == 0
    assert SEVEN_B.memory(placement.n_ctx).total_bytes <= 0.8 * 7 * GB


def test_the_window_asked_for_is_kept() -> None:
    assert place(SEVEN_B, [CPU], free_ram_bytes=16 * GB, n_ctx=8192).n_ctx == 8192


@pytest.mark.parametrize("asked", [1, 100, 32769, 10**9])
def test_a_window_the_model_was_not_trained_for_is_refused(asked: int) -> None:
    with pytest.raises(ConfigError, match="32,768"):
        place(SEVEN_B, [CPU], free_ram_bytes=64 * GB, n_ctx=asked)


def test_a_model_that_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(ModelLoadError, match=r"takes 5\.. GB, and 2\.4 GB are free"):
        place(SEVEN_B, [CPU], free_ram_bytes=3 * GB)


def test_a_window_that_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(ModelLoadError, match=r"32,768 tokens takes 6\.. GB, and 5\.. GB are free"):
        place(SEVEN_B, [CPU], free_ram_bytes=int(6.9 * GB), n_ctx=32768)


def test_a_real_header_is_placed(tiny_model: Path) -> None:
    assert place(read_header(tiny_model), [CPU], free_ram_bytes=GB).n_ctx == N_CTX
