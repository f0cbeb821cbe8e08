"""KV prefixes on disk, as a person meets them: an engine that stopped, and one that goes on."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat, Message, Request, Sampling
from aigc_cli.engine.kv_store import store_size
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.engine.saved_prefixes import LEAST_NEW, LONG_PREFILL
from aigc_cli.events import Delta, Stats
from tests.engine.conftest import OpenEngine
from tests.engine.replies import GREEDY, ask, done_of, reply, text_of
from tests.tiny_model import write_tiny_model

LONG = "hello world, 再说一遍 " * 20
SYSTEM = Message("system", "You are a careful assistant that answers in one word. " * 3)


@pytest.fixture
def kv(tmp_path: Path) -> Path:
    return tmp_path / "kv"


def told(engine: LlamaEngine, request: Request) -> tuple[str, Stats]:
    events = list(engine.stream(request))
    return text_of(events), done_of(events).stats


def talk(engine: LlamaEngine, *questions: str, private: bool = False) -> list[str]:
    """The contents of a conversation of greedy replies."""
    contents: list[str] = []
    for question in questions:
        contents.append(question)
        contents.append(reply(engine, replace(ask(*contents), private=private)))
    return contents


def test_a_conversation_goes_on_without_being_read_again(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    contents = talk(first, LONG, "and in Rust?", "shorter 🙂")
    request = ask(*contents, "thanks")
    undisturbed, stats = told(first, request)
    n_new = stats.prompt_tokens - stats.cached_tokens
    first.close()
    restored, stats = told(open_engine(kv_directory=kv), request)
    assert restored == undisturbed
    assert stats.prompt_tokens - stats.cached_tokens <= n_new


def test_a_prompt_after_a_restore_says_what_it_says_after_a_prefill(
    open_engine: OpenEngine, kv: Path
) -> None:
    request = ask(LONG)
    open_engine(kv_directory=kv).close()
    first = open_engine(kv_directory=kv)
    prefilled = reply(first, request)
    first.close()
    restored, stats = told(open_engine(kv_directory=kv), request)
    assert restored == prefilled
    assert stats.cached_tokens == stats.prompt_tokens - 1


def test_part_of_a_saved_conversation_serves_another_one(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    talk(first, LONG + "one", "two")
    first.close()
    other = ask(LONG + "1, then?")
    restored, stats = told(open_engine(kv_directory=kv), other)
    assert stats.cached_tokens > 0.9 * stats.prompt_tokens
    assert restored == reply(open_engine(), other)


def test_a_long_prompt_is_saved_before_the_engine_closes(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    assert first.count(ask(LONG)) > LONG_PREFILL
    reply(first, ask(LONG))
    reply(first, ask("hi"))  # the worker saved before it took this up
    _, stats = told(open_engine(kv_directory=kv), ask(LONG))
    assert stats.cached_tokens == stats.prompt_tokens - 1


def test_the_tokens_of_replies_survive(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    contents = talk(first, LONG, "next")
    request = ask(*contents, "go on")
    n_tokens = first.count(request)
    first.close()
    assert open_engine().count(request) != n_tokens, "a reply that is tokenized anew has the same tokens"
    assert open_engine(kv_directory=kv).count(request) == n_tokens


def test_a_cold_start_finds_the_system_prompt_read(open_engine: OpenEngine, kv: Path) -> None:
    def question(text: str) -> Request:
        return Request(Chat((SYSTEM, Message("user", text))), Sampling(temperature=0, max_tokens=3))

    first = open_engine(kv_directory=kv)
    reply(first, question("why?"))
    first.close()
    assert store_size(kv).n_files == 1
    again = open_engine(kv_directory=kv)
    _, stats = told(again, question("how?"))
    assert stats.cached_tokens >= stats.prompt_tokens - 20
    again.close()
    assert store_size(kv).n_files == 1, "the same beginning was written again"


def test_a_short_conversation_is_not_written(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    request = ask("hi", sampling=Sampling(temperature=0, max_tokens=3))
    assert first.count(request) + 3 < LEAST_NEW
    reply(first, request)
    first.close()
    assert store_size(kv).n_files == 0


def test_nothing_private_reaches_the_disk(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    contents = talk(first, LONG, "go on", private=True)
    first.close()
    assert store_size(kv).n_files == 0
    assert open_engine(kv_directory=kv)._replies.recall(contents[1]) is None


def test_a_saved_conversation_that_goes_on_in_private_is_not_saved_again(
    open_engine: OpenEngine, kv: Path
) -> None:
    first = open_engine(kv_directory=kv)
    contents = talk(first, LONG)
    first.close()
    before = {path.name: path.read_bytes() for path in kv.iterdir()}
    again = open_engine(kv_directory=kv)
    reply(again, replace(ask(*contents, LONG), private=True))
    again.close()
    assert {path.name: path.read_bytes() for path in kv.iterdir()} == before


def test_what_begins_like_something_private_is_saved_without_it(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    n_common = first.count(ask(LONG))
    reply(first, replace(ask(LONG + "secret " * 50), private=True))
    reply(first, ask(LONG + "public"))
    first.close()
    _, secret = told(open_engine(kv_directory=kv), replace(ask(LONG + "secret " * 50), private=True))
    assert 0 < secret.cached_tokens <= n_common
    _, public = told(open_engine(kv_directory=kv), ask(LONG + "public"))
    assert public.cached_tokens == public.prompt_tokens - 1


def test_candidates_are_saved_when_somebody_goes_on_from_them(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    sampling = Sampling(temperature=2, seed=1, max_tokens=100)
    events = list(first.stream(replace(ask("hello " * 20, sampling=sampling), candidates=4)))
    second = "".join(e.text for e in events if isinstance(e, Delta) and e.candidate == 1)
    follow_up = ask("hello " * 20, second, "go on")
    stats = told(first, follow_up)[1]
    assert stats.cached_tokens >= stats.prompt_tokens - 40
    first.close()
    assert store_size(kv).n_files == 2, "the one that goes on, and the one that its request was opened in"
    stats = told(open_engine(kv_directory=kv), follow_up)[1]
    assert stats.cached_tokens == stats.prompt_tokens - 1


def test_an_evicted_conversation_comes_back(open_engine: OpenEngine, kv: Path) -> None:
    engine = open_engine(kv_directory=kv, n_ctx=1024)
    question = ask(LONG)
    said = reply(engine, question)
    for n in range(3):
        reply(engine, ask(f"{n}" + "x" * 400))
    assert all(
        sequence.shares([*engine._prompt_tokens(question)]) < 20 for sequence in engine._context.sequences
    )
    returned, stats = told(engine, question)
    assert returned == said
    assert stats.cached_tokens == stats.prompt_tokens - 1


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_byte, cut_off, empty])
def test_a_damaged_file_is_dropped_and_the_prompt_read(
    open_engine: OpenEngine, kv: Path, damage: object
) -> None:
    first = open_engine(kv_directory=kv)
    said = reply(first, ask(LONG))
    first.close()
    files = list(kv.glob("*.kv"))
    assert files
    for path in files:
        damage(path)  # type: ignore[operator]
    again = open_engine(kv_directory=kv)
    restored, stats = told(again, replace(ask(LONG), private=True))  # private: it writes nothing anew
    assert restored == said
    assert stats.cached_tokens == 0
    assert not any(path.exists() for path in files)


def test_another_model_does_not_use_it(open_engine: OpenEngine, kv: Path, tmp_path: Path) -> None:
    first = open_engine(kv_directory=kv)
    reply(first, ask(LONG))
    first.close()
    other = write_tiny_model(tmp_path / "other.gguf", ascii_only=True)
    assert told(open_engine(other, kv_directory=kv), ask(LONG))[1].cached_tokens == 0


def test_a_model_file_that_was_replaced_is_another_model(
    open_engine: OpenEngine, kv: Path, tmp_path: Path, tiny_model: Path
) -> None:
    path = tmp_path / "model.gguf"
    shutil.copyfile(tiny_model, path)
    first = open_engine(path, kv_directory=kv, sha256="known")
    reply(first, ask(LONG))
    first.close()
    os.utime(path, (1, 1))
    assert told(open_engine(path, kv_directory=kv, sha256="known"), ask(LONG))[1].cached_tokens
    write_tiny_model(path, ascii_only=True)
    assert path.stat().st_size == tiny_model.stat().st_size
    assert not told(open_engine(path, kv_directory=kv, sha256="known"), ask(LONG))[1].cached_tokens


def test_a_saved_conversation_longer_than_the_window_is_left_alone(open_engine: OpenEngine, kv: Path) -> None:
    first = open_engine(kv_directory=kv)
    talk(first, LONG, LONG, LONG)
    first.close()
    small = open_engine(kv_directory=kv, n_ctx=512)
    request = ask(LONG)
    assert told(small, request)[0] == reply(open_engine(), request)


def test_the_report_names_what_is_held_and_saved(open_engine: OpenEngine, kv: Path) -> None:
    engine = open_engine(kv_directory=kv)
    assert engine.report().held == ()
    reply(engine, ask(LONG))
    reply(engine, replace(ask("x" * 100), private=True))
    newest, oldest = engine.report().held
    assert newest.private
    assert not oldest.private
    assert oldest.n_tokens == engine.count(ask(LONG)) + GREEDY.max_tokens - 1  # type: ignore[operator]
    assert 0 < oldest.last_used_s < newest.last_used_s
    assert engine.report().saved == store_size(kv)
    assert open_engine().report().saved is None
