"""The choice among measured settings."""

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.config import Settings
from aigc_cli.engine.batch_costs import BatchCosts
from aigc_cli.engine.tuning import (
    CLOSE,
    USUAL_SHAPE,
    Measured,
    Setting,
    Shape,
    Tuning,
    Use,
    best,
    choose,
    explicit_fields,
    worth_keeping,
)
from aigc_cli.errors import ConfigError

DEFAULT = Setting(n_threads=2, n_threads_prefill=2)
REPACKED = replace(DEFAULT, repack_weights=True, flash_attention=False)
# as they are on two cores with AVX-512, a model of 1.5 B
PLAIN_HERE = Measured(DEFAULT, 108.0, 19.0, 0.4, 1270 * 10**6, {4: 3.0, 16: 6.5, 32: 9.9})
REPACKED_HERE = Measured(REPACKED, 80.0, 22.5, 2.0, 1870 * 10**6, {4: 3.2, 16: 7.6, 32: 12.5})
HERE = Tuning((PLAIN_HERE, REPACKED_HERE), on_gpu=False, took_s=40.0)

rates = st.floats(1, 10_000)
settings = st.builds(
    Setting,
    n_threads=st.integers(1, 8),
    n_threads_prefill=st.integers(1, 8),
    repack_weights=st.booleans(),
    flash_attention=st.booleans(),
    n_ubatch=st.sampled_from((128, 512)),
    kv_type=st.just("f16"),
)
measurements = st.builds(Measured, settings, rates, rates, st.floats(0.01, 100), st.integers(1, 10**10))
shapes = st.builds(Shape, st.integers(0, 30_000), st.integers(1, 5000))


def n_differing(setting: Setting) -> int:
    values = asdict(DEFAULT)
    return sum(values[name] != value for name, value in asdict(setting).items())


@given(st.lists(measurements, min_size=1, max_size=8), st.sampled_from(Use), shapes)
def test_nothing_finishes_clearly_sooner_than_what_is_chosen(
    measured: list[Measured], use: Use, shape: Shape
) -> None:
    chosen = best(measured, use, shape, DEFAULT).seconds(use, shape)
    assert all(chosen <= CLOSE * other.seconds(use, shape) for other in measured)


@given(st.lists(measurements, min_size=1, max_size=8), st.sampled_from(Use), shapes)
def test_nothing_that_finishes_as_soon_differs_less_from_the_default(
    measured: list[Measured], use: Use, shape: Shape
) -> None:
    chosen = best(measured, use, shape, DEFAULT)
    assert all(
        other.seconds(use, shape) > chosen.seconds(use, shape)
        or n_differing(other.setting) >= n_differing(chosen.setting)
        for other in measured
    )


def faster(setting: Setting, percent: float) -> Measured:
    times = 1 + percent / 100
    return Measured(setting, 100.0 * times, 20.0 * times, 0.4, 1)


@pytest.mark.parametrize(("percent", "wins"), [(-1.0, False), (0.1, False), (2.9, False), (3.2, True)])
@pytest.mark.parametrize("variant", [{"repack_weights": True}, {"n_ubatch": 128}, {"n_threads": 1}])
def test_what_is_faster_by_no_more_than_the_noise_is_not_chosen_over_the_default(
    percent: float, variant: dict[str, Any], *, wins: bool
) -> None:
    usual, other = faster(DEFAULT, 0.0), faster(replace(DEFAULT, **variant), percent)
    for measured in ((usual, other), (other, usual)):
        chosen = best(measured, Use.RESIDENT, USUAL_SHAPE, DEFAULT)
        assert chosen is (other if wins else usual)
        tuning = Tuning(measured, on_gpu=False, took_s=1.0)
        choice = choose(DEFAULT, {}, tuning, use=Use.RESIDENT, shape=USUAL_SHAPE)
        assert choice.setting == chosen.setting


def test_of_two_that_are_as_fast_the_one_nearer_to_the_default_is_chosen() -> None:
    near, far = faster(replace(DEFAULT, n_ubatch=128), 20.0), faster(replace(REPACKED, n_ubatch=128), 22.0)
    assert best((faster(DEFAULT, 0.0), far, near), Use.RESIDENT, USUAL_SHAPE, DEFAULT) is near
    as_near = faster(replace(DEFAULT, repack_weights=True), 21.0)
    assert best((near, as_near, far), Use.RESIDENT, USUAL_SHAPE, DEFAULT) is as_near


def test_long_prompts_want_what_reads_fast_and_long_replies_what_writes_fast() -> None:
    assert best(HERE.measured, Use.RESIDENT, Shape(1500, 100), DEFAULT) is PLAIN_HERE
    assert best(HERE.measured, Use.RESIDENT, Shape(30, 300), DEFAULT) is REPACKED_HERE


def test_a_one_shot_command_counts_the_load_and_an_engine_that_stays_does_not() -> None:
    shape = Shape(30, 250)
    assert best(HERE.measured, Use.RESIDENT, shape, DEFAULT) is REPACKED_HERE
    assert best(HERE.measured, Use.ONE_SHOT, Shape(30, 200), DEFAULT) is PLAIN_HERE


def test_what_memory_does_not_hold_is_left_out_unless_nothing_fits() -> None:
    shape = Shape(30, 300)
    assert best(HERE.measured, Use.RESIDENT, shape, DEFAULT, free_bytes=1500 * 10**6) is PLAIN_HERE
    assert best(HERE.measured, Use.RESIDENT, shape, DEFAULT, free_bytes=1) is REPACKED_HERE


def test_a_rounded_cache_has_to_be_a_tenth_faster() -> None:
    rounded = replace(PLAIN_HERE, setting=replace(DEFAULT, kv_type="q8_0"))
    slightly = replace(rounded, prefill_tokens_per_s=108.0 * 1.05, decode_tokens_per_s=19.0 * 1.05)
    barely = replace(rounded, prefill_tokens_per_s=108.0 * 1.12, decode_tokens_per_s=19.0 * 1.12)
    clearly = replace(rounded, prefill_tokens_per_s=108.0 * 1.2, decode_tokens_per_s=19.0 * 1.2)
    assert best((PLAIN_HERE, slightly), Use.RESIDENT, USUAL_SHAPE, DEFAULT) is PLAIN_HERE
    assert best((PLAIN_HERE, barely), Use.RESIDENT, USUAL_SHAPE, DEFAULT) is PLAIN_HERE
    assert best((PLAIN_HERE, clearly), Use.RESIDENT, USUAL_SHAPE, DEFAULT) is clearly


def chosen(tuning: Tuning | None = HERE, **values: object) -> tuple[Setting, dict[str, str]]:
    explicit = explicit_fields(replace(Settings(), **values))  # type: ignore[arg-type]
    choice = choose(DEFAULT, explicit, tuning, use=Use.RESIDENT, shape=Shape(30, 300))
    return choice.setting, dict(choice.origins)


def test_without_a_measurement_everything_is_default() -> None:
    setting, origins = chosen(None)
    assert setting == DEFAULT
    assert set(origins.values()) == {"default"}


def test_what_was_compared_is_tuned_and_the_rest_is_default() -> None:
    setting, origins = chosen()
    assert setting == REPACKED
    assert {name for name, origin in origins.items() if origin == "tuned"} == {
        "repack_weights",
        "flash_attention",
    }


def test_what_the_person_set_when_it_was_measured_does_not_stay_when_it_is_unset() -> None:
    """Both were measured with one thread: nothing is known of two, and nothing speaks for one."""
    alone = [replace(one, setting=replace(one.setting, n_threads=1)) for one in HERE.measured]
    setting, origins = chosen(replace(HERE, measured=tuple(alone)))
    assert setting.n_threads == DEFAULT.n_threads
    assert origins["n_threads"] == "default"


@given(
    st.lists(measurements, max_size=5),
    st.fixed_dictionaries(
        {},
        optional={
            "repack": st.booleans(),
            "flash_attention": st.booleans(),
            "ubatch": st.sampled_from((32, 100, 512)),
            "threads": st.integers(1, 4),
        },
    ),
)
def test_what_the_person_set_always_wins(measured: list[Measured], values: dict[str, object]) -> None:
    setting, origins = chosen(Tuning(tuple(measured), on_gpu=False, took_s=1.0), **values)
    explicit = explicit_fields(replace(Settings(), **values))  # type: ignore[arg-type]
    assert {name: getattr(setting, name) for name in explicit} == explicit
    assert {name for name, origin in origins.items() if origin == "set"} == set(explicit)


def test_what_the_person_set_is_combined_with_what_was_measured_beside_it() -> None:
    """Plain weights are asked for: of what was measured with them, the best counts."""
    slower = Measured(replace(DEFAULT, flash_attention=False), 90.0, 18.0, 0.4, 1)
    setting, _ = chosen(replace(HERE, measured=(slower, *HERE.measured)), repack=False)
    assert setting == DEFAULT


def test_a_rounded_cache_without_flash_attention_can_only_be_asked_for_by_mistake() -> None:
    """llama.cpp refuses to load it."""
    setting, _ = chosen(kv_type="q8_0")  # tuned: no flash attention
    assert setting.flash_attention
    rounded = replace(PLAIN_HERE, setting=replace(DEFAULT, kv_type="q8_0"), decode_tokens_per_s=100.0)
    setting, _ = chosen(replace(HERE, measured=(PLAIN_HERE, rounded)), flash_attention=False)
    assert setting.kv_type == "f16"
    with pytest.raises(ConfigError, match="q8_0 needs flash attention"):
        chosen(kv_type="q8_0", flash_attention=False)


def test_doubtful_figures_never_replace_those_of_a_quiet_machine() -> None:
    busy, busier, again = replace(HERE, busy=0.4), replace(HERE, busy=0.9), replace(HERE, took_s=7.0)
    assert worth_keeping(HERE, busy) is HERE
    assert worth_keeping(HERE, again) is again
    assert worth_keeping(None, busy) is busy  # it was asked for, and there is nothing better
    assert worth_keeping(busy, busier) is busier
    on_gpu = replace(busy, on_gpu=True)
    assert worth_keeping(HERE, on_gpu) is on_gpu  # what was measured on the CPU says nothing of it


def test_drafts_know_from_the_first_token_what_batches_cost_here() -> None:
    guessed, known = BatchCosts(), BatchCosts({4: 2.0, 16: 4.0, 32: 6.0})
    assert [known.in_steps(n) for n in (1, 4, 16, 32)] == [1.0, 2.0, 4.0, 6.0]
    assert known.in_steps(24) < guessed.in_steps(24)  # as much cheaper as the others
    for _ in range(30):
        known.note(1, 0.05)
        known.note(16, 0.5)
    assert known.in_steps(16) > 9  # what is measured at work counts more
