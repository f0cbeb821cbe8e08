"""LoRA adapters over a loaded model: what they change, and which KV prefixes they may share."""

from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGUFValueType

from aigc_cli.engine.adapters import MOST_RESTING
from aigc_cli.engine.base import Adapter, Request, Sampling
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.errors import AigcError, ExitCode, InvalidModelFile, ModelLoadError, UsageError
from aigc_cli.events import Delta
from tests.engine.conftest import OpenEngine
from tests.engine.replies import GREEDY, ask, done_of, reply
from tests.tiny_adapter import Making, write_tiny_adapter
from tests.tiny_model import N_FF, write_tiny_model

LONG = "hello world, once more with feeling " * 12


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_adapter(tmp_path_factory.mktemp("adapters") / "first.gguf")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_adapter(tmp_path_factory.mktemp("adapters") / "second.gguf", seed=2)


def adapted(request: Request, *adapters: tuple[Path, float]) -> Request:
    return replace(request, adapters=tuple(Adapter(str(path), scale) for path, scale in adapters))


def logprobs(engine: LlamaEngine, request: Request) -> list[float]:
    """The log-probabilities of the most probable first tokens: they tell adapters apart to the last digit."""
    one = replace(request, sampling=Sampling(temperature=0, max_tokens=1), top_logprobs=20)
    (delta,) = [event for event in engine.stream(one) if isinstance(event, Delta)]
    return [other.logprob for other in delta.tokens[0].alternatives]


def test_an_adapter_changes_the_reply_and_leaves_nothing_behind(engine: LlamaEngine, first: Path) -> None:
    plain = reply(engine, ask("hello"))
    with_it = reply(engine, adapted(ask("hello"), (first, 1.0)))
    assert with_it != plain
    assert reply(engine, ask("hello")) == plain
    assert reply(engine, adapted(ask("hello"), (first, 1.0))) == with_it


def test_a_scale_of_zero_is_no_adapter(engine: LlamaEngine, open_engine: OpenEngine, first: Path) -> None:
    assert logprobs(engine, adapted(ask("hello"), (first, 0.0))) == logprobs(open_engine(), ask("hello"))


def test_the_scale_counts(open_engine: OpenEngine, first: Path) -> None:
    by_scale = [logprobs(open_engine(), adapted(ask("hello"), (first, scale))) for scale in (-1, 0.5, 1)]
    assert len({tuple(values) for values in by_scale}) == 3


def test_two_adapters_work_together_in_any_order(
    open_engine: OpenEngine, engine: LlamaEngine, first: Path, second: Path
) -> None:
    both = logprobs(engine, adapted(ask("hello"), (first, 1.0), (second, 0.5)))
    alone = [logprobs(open_engine(), adapted(ask("hello"), (path, 1.0))) for path in (first, second)]
    assert both not in alone
    turned_round = list(engine.stream(adapted(ask("hello"), (second, 0.5), (first, 1.0))))
    stats = done_of(turned_round).stats
    assert stats.cached_tokens == stats.prompt_tokens - 1, "the same adapters read the prompt again"


def test_what_one_adapter_read_is_not_used_for_another(
    engine: LlamaEngine, open_engine: OpenEngine, first: Path, second: Path
) -> None:
    """Cached equals uncached, whatever was in force before."""
    one, half, other = (first, 1.0), (first, 0.5), (second, 1.0)
    for adapters in ((), (one,), (half,), (), (other,), (one,), (one, other), ()):
        request = adapted(ask(LONG), *adapters)
        fresh = open_engine()
        assert logprobs(engine, request) == pytest.approx(logprobs(fresh, request), abs=0.02), adapters
        assert reply(engine, request) == reply(fresh, request), adapters


def test_what_an_adapter_read_is_there_when_it_is_back(engine: LlamaEngine, first: Path) -> None:
    for request in (ask(LONG), adapted(ask(LONG), (first, 1.0))):
        assert done_of(list(engine.stream(request))).stats.cached_tokens == 0
    for request in (ask(LONG), adapted(ask(LONG), (first, 1.0))):
        stats = done_of(list(engine.stream(request))).stats
        assert stats.cached_tokens == stats.prompt_tokens - 1


@pytest.mark.parametrize("other", [(), ((0, 0.5),), ((1, 1.0),), ((0, 1.0), (1, 1.0))])
def test_a_saved_prefix_is_used_with_its_own_adapters_only(
    open_engine: OpenEngine,
    tmp_path: Path,
    first: Path,
    second: Path,
    other: tuple[tuple[int, float], ...],
) -> None:
    kv = tmp_path / "kv"
    request = adapted(ask(LONG), (first, 1.0))
    before = open_engine(kv_directory=kv)
    said = reply(before, request)
    before.close()
    elsewhere = adapted(ask(LONG), *[((first, second)[number], scale) for number, scale in other])
    after = open_engine(kv_directory=kv)
    events = list(after.stream(elsewhere))
    assert done_of(events).stats.cached_tokens == 0
    assert reply(after, elsewhere) == reply(open_engine(), elsewhere)
    restored = list(open_engine(kv_directory=kv).stream(request))
    assert done_of(restored).stats.cached_tokens == done_of(restored).stats.prompt_tokens - 1
    assert "".join(event.text for event in restored if isinstance(event, Delta)) == said


def test_a_plain_prefix_on_disk_is_not_used_with_an_adapter(
    open_engine: OpenEngine, tmp_path: Path, first: Path
) -> None:
    before = open_engine(kv_directory=tmp_path / "kv")
    reply(before, ask(LONG))
    before.close()
    request = adapted(ask(LONG), (first, 1.0))
    after = open_engine(kv_directory=tmp_path / "kv")
    assert done_of(list(after.stream(request))).stats.cached_tokens == 0
    assert done_of(list(after.stream(ask(LONG)))).stats.cached_tokens > 0


def test_an_adapter_that_was_written_anew_is_another_one(
    open_engine: OpenEngine, tmp_path: Path, engine: LlamaEngine
) -> None:
    path = write_tiny_adapter(tmp_path / "trained.gguf")
    old = logprobs(engine, adapted(ask("hello"), (path, 1.0)))
    write_tiny_adapter(path, seed=3)
    new = logprobs(engine, adapted(ask("hello"), (path, 1.0)))
    assert new != old
    assert new == logprobs(open_engine(), adapted(ask("hello"), (path, 1.0)))


def test_the_cache_grows_under_an_adapter(open_engine: OpenEngine, tmp_path: Path, first: Path) -> None:
    """A larger context is a new one for llama.cpp: the adapter has to be put on again."""
    model = write_tiny_model(tmp_path / "wide.gguf", n_ctx=8192)
    sampling = Sampling(temperature=0, max_tokens=20)
    short, long = "hello", "hello " * 2200
    engine = open_engine(model, n_ctx=8192)
    reply(engine, adapted(ask(short, sampling=sampling), (first, 1.0)))
    grown = reply(engine, adapted(ask(long, sampling=sampling), (first, 1.0)))
    assert engine.report().n_cells > 4096
    assert grown == reply(open_engine(model, n_ctx=8192), adapted(ask(long, sampling=sampling), (first, 1.0)))
    assert grown != reply(open_engine(model, n_ctx=8192), ask(long, sampling=sampling))


def test_candidates_and_speculation_go_with_an_adapter(engine: LlamaEngine, first: Path) -> None:
    request = replace(adapted(ask("hello"), (first, 1.0)), candidates=3)
    texts = {event.candidate: "" for event in engine.stream(request) if isinstance(event, Delta)}
    for event in engine.stream(request):
        if isinstance(event, Delta):
            texts[event.candidate] += event.text
    alone = reply(engine, replace(request, candidates=1))
    assert set(texts.values()) == {alone}
    predicted = replace(request, candidates=1, prediction=alone)
    assert reply(engine, predicted) == alone


def test_few_adapters_stay_in_memory(engine: LlamaEngine, tmp_path: Path) -> None:
    paths = [write_tiny_adapter(tmp_path / f"{n}.gguf", seed=n) for n in range(MOST_RESTING + 3)]
    said = [reply(engine, adapted(ask("hello", sampling=GREEDY), (path, 1.0))) for path in paths]
    assert engine.report().adapters == tuple(map(str, paths[-MOST_RESTING - 1 :]))
    assert reply(engine, adapted(ask("hello", sampling=GREEDY), (paths[0], 1.0))) == said[0]


BAD: dict[str, tuple[Making, str]] = {
    "a whole model": (Making(kind="model"), "is a whole model"),
    "another kind": (Making(way="control_vector"), "'control_vector', not 'lora'"),
    "another architecture": (Making(architecture="qwen2"), "is for qwen2 models, and this is a llama one"),
    "another width": (Making(n_out=N_FF + 1), "has incorrect shape"),
    "ranks apart": (Making(rank_of_b=5), "ranks 4 and 5"),
    "a half": (Making(halves="a"), "one half of"),
    "nothing": (Making(halves=""), "changes no weights"),
    # llama.cpp aborts the process on each of these
    "alpha of 64 bits": (Making(alpha_type=GGUFValueType.FLOAT64), "its alpha is no float32"),
    "alpha that counts": (Making(alpha=8, alpha_type=GGUFValueType.UINT32), "its alpha is no float32"),
    "alpha in words": (Making(alpha="8", alpha_type=GGUFValueType.STRING), "its alpha is no float32"),
    "alphas": (Making(alpha=[8.0, 8.0], alpha_type=GGUFValueType.ARRAY), "its alpha is no float32"),
    "many alphas": (Making(alpha=[8.0] * 2000, alpha_type=GGUFValueType.ARRAY), "its alpha is no float32"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_adapter_that_does_not_fit_is_told_in_one_line(
    engine: LlamaEngine, tmp_path: Path, name: str
) -> None:
    making, said = BAD[name]
    path = write_tiny_adapter(tmp_path / "bad.gguf", making=making)
    plain = reply(engine, ask("hello"))
    with pytest.raises(AigcError) as caught:
        reply(engine, adapted(ask("hello"), (path, 1.0)))
    assert said in caught.value.message
    assert "bad.gguf" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.NO_MODEL
    assert reply(engine, ask("hello")) == plain, "the engine is of no use afterwards"


def test_a_file_that_is_missing_or_no_gguf(engine: LlamaEngine, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(InvalidModelFile, match=r"missing\.gguf can't be read: No such file"):
        reply(engine, adapted(ask("hello"), (tmp_path / "missing.gguf", 1.0)))
    with pytest.raises(InvalidModelFile, match=r"text\.gguf is no adapter"):
        reply(engine, adapted(ask("hello"), (tmp_path / "text.gguf", 1.0)))


def test_a_truncated_adapter(engine: LlamaEngine, first: Path, tmp_path: Path) -> None:
    content = first.read_bytes()
    for size in (20, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.gguf").write_bytes(content[:size])
        with pytest.raises((InvalidModelFile, ModelLoadError), match=r"cut\.gguf"):
            reply(engine, adapted(ask("hello"), (tmp_path / "cut.gguf", 1.0)))


def test_requests_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="given twice"):
        replace(ask("x"), adapters=(Adapter("/a.gguf"), Adapter("/a.gguf", 0.5)))
    for scale in (float("nan"), float("inf"), 11.0):
        with pytest.raises(UsageError, match="scale"):
            Adapter("/a.gguf", scale)
