"""Pulls from Hugging Face's protocol: what comes is verified, what fails is told, what stopped goes on."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.errors import ModelNotFound, PullError, UsageError
from aigc_cli.models.catalog import Catalog, ModelSpec
from tests.models.conftest import REPO, Puller
from tests.models.hub_server import COMMIT, HubServer


@pytest.fixture
def only_hub(puller: Puller, hub: HubServer, spec: ModelSpec, model_bytes: bytes) -> Puller:
    """A puller whose model comes from the hub alone."""
    hub.files["tiny.gguf"] = model_bytes
    puller.catalog = Catalog((replace(spec, sources=spec.sources[:1]),))
    return puller


def unfinished(puller: Puller) -> list[Path]:
    return [
        path
        for path in puller.store.partial_directory.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    ]


def held_bytes(puller: Puller) -> int:
    return sum(path.stat().st_size for path in unfinished(puller) if path.name == "web")


def failure(puller: Puller, reference: str = "tiny") -> str:
    with pytest.raises(PullError) as caught:
        puller(reference)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert puller.store.list() == ()
    return caught.value.message


def test_a_known_model_is_downloaded_verified_and_stored(
    only_hub: Puller, spec: ModelSpec, model_bytes: bytes
) -> None:
    stored = only_hub("T")
    assert stored.path.read_bytes() == model_bytes
    assert (stored.name, stored.sha256, stored.licence) == ("tiny", spec.sha256, "MIT")
    assert stored.source == f"Hugging Face ({REPO})"
    assert only_hub.phases() == ["connect", "download", "verify"]
    assert only_hub.seen[-1].done_bytes == len(model_bytes)
    assert not unfinished(only_hub)


def test_a_model_on_disk_is_not_downloaded_again(only_hub: Puller, hub: HubServer) -> None:
    first = only_hub()
    hub.seen.clear()
    assert only_hub() == first
    assert not hub.seen


def test_a_known_file_put_there_by_hand_is_verified_instead_of_downloaded(
    only_hub: Puller, hub: HubServer, model_bytes: bytes, spec: ModelSpec
) -> None:
    only_hub.store.directory.mkdir()
    (only_hub.store.directory / "tiny.gguf").write_bytes(model_bytes)
    assert only_hub().sha256 == spec.sha256
    assert not hub.downloads()


def test_a_cut_connection_is_taken_up_where_it_stopped(
    only_hub: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    hub.faults.cut_after = [50_000, 60_000]
    assert only_hub().path.read_bytes() == model_bytes
    ranges = [one.headers.get("range") for one in hub.downloads()]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(later and later.startswith("bytes=") for later in ranges[1:])


def test_a_connection_that_brings_nothing_more_is_given_up_and_resumed_by_the_next_pull(
    only_hub: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    hub.faults.cut_after = [50_000, 0, 0, 0, 0, 0]
    assert "connection was cut at " in failure(only_hub)
    held = held_bytes(only_hub)
    assert 0 < held <= 50_000
    hub.faults.cut_after = []
    hub.seen.clear()
    assert only_hub().path.read_bytes() == model_bytes
    assert [one.headers.get("range") for one in hub.downloads()] == [f"bytes={held}-"]


def test_a_server_without_ranges_is_asked_for_the_whole_file_again(
    only_hub: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    hub.faults.cut_after = [50_000]
    hub.faults.ignores_range = True
    assert only_hub().path.read_bytes() == model_bytes


def test_a_server_that_sends_another_range_is_not_believed(only_hub: Puller, hub: HubServer) -> None:
    hub.faults.cut_after = [50_000]
    hub.faults.range_lies = True
    assert "another part of the file" in failure(only_hub)


def test_a_wrong_hash_is_told_and_the_bytes_are_deleted(
    only_hub: Puller, hub: HubServer, spec: ModelSpec
) -> None:
    hub.faults.corrupt = True
    message = failure(only_hub)
    assert "wrong SHA-256" in message
    assert str(spec.sha256) in message
    assert not unfinished(only_hub)


def test_another_file_at_the_hub_is_told_before_a_byte_is_downloaded(
    only_hub: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    hub.files["tiny.gguf"] = model_bytes[:-1] + b"x"
    assert "another file there" in failure(only_hub)
    assert not hub.downloads()


@pytest.mark.parametrize("extra", [1000, -1000])
def test_a_lying_content_length_is_told(only_hub: Puller, hub: HubServer, extra: int) -> None:
    hub.faults.claimed_extra = extra
    assert "expected" in failure(only_hub)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "no such repository"),
        (404, "EntryNotFound", "no file tiny.gguf"),
        (404, "RevisionNotFound", "no revision main"),
        (401, "RepoNotFound", "HF_TOKEN"),
        (403, "GatedRepo", "accept its terms at"),
        (500, "", "answers HTTP 500"),
        (503, "", "answers HTTP 503"),
        (429, "", "answers HTTP 429"),
    ],
)
def test_a_refusal_of_the_hub_is_told_in_words(
    only_hub: Puller, hub: HubServer, status: int, code: str, words: str
) -> None:
    hub.faults.status, hub.faults.error_code = status, code
    assert words in failure(only_hub)


def test_a_hub_that_can_not_be_reached_is_told_with_its_address(only_hub: Puller) -> None:
    only_hub.env["HF_ENDPOINT"] = "http://127.0.0.1:9"
    assert "can't reach 127.0.0.1:9" in failure(only_hub)


def test_the_token_goes_to_the_hub_and_not_to_the_server_it_redirects_to(
    only_hub: Puller, hub: HubServer
) -> None:
    only_hub.env["HF_TOKEN"] = "hf_secret"
    only_hub()
    to_hub = [one for one in hub.seen if "/resolve/" in one.path]
    assert {one.headers.get("authorization") for one in to_hub} == {"Bearer hf_secret"}
    assert [one.headers.get("authorization") for one in hub.downloads()] == [None]


def test_the_hub_learns_nothing_of_what_is_installed_here(only_hub: Puller, hub: HubServer) -> None:
    only_hub()
    assert {one.headers["user-agent"] for one in hub.seen} == {"aigc"}


def test_a_full_disk_is_told_before_the_download(only_hub: Puller) -> None:
    only_hub.free_bytes = lambda _: 1000
    assert "not enough disk space" in failure(only_hub)
    assert held_bytes(only_hub) == 0


def test_a_second_pull_waits_for_the_first_and_finds_its_file(only_hub: Puller, hub: HubServer) -> None:
    hub.faults.hold = threading.Event()
    second = Puller(only_hub.catalog, only_hub.store, only_hub.env)
    started, waited = threading.Event(), threading.Event()
    only_hub.on_phase = {"download": started}
    second.on_phase = {"wait": waited}
    threads = [threading.Thread(target=only_hub), threading.Thread(target=second)]
    threads[0].start()
    assert started.wait(60)
    threads[1].start()
    assert waited.wait(60)
    hub.faults.hold.set()
    for thread in threads:
        thread.join(60)
    assert len(hub.downloads()) == 1
    assert [model.name for model in only_hub.store.list()] == ["tiny"]
    assert second.phases() == ["wait"]


@pytest.mark.parametrize("selector", ["tiny-q8_0.gguf", "Q8_0", "q8_0"])
def test_any_repository_is_pulled_by_file_or_quantization(
    puller: Puller, hub: HubServer, model_bytes: bytes, selector: str
) -> None:
    hub.files = {"tiny-q8_0.gguf": model_bytes, "tiny-q4_k_m.gguf": b"another", "README.md": b"x"}
    stored = puller(f"hf:{REPO}:{selector}")
    assert stored.path.read_bytes() == model_bytes
    assert stored.path.name == "tiny-q8_0.gguf"
    assert stored.licence == "MIT"  # its hash is a known one
    assert stored.name == "tiny"
    assert any(f"/resolve/{COMMIT}/" in one.path for one in hub.seen)


def test_a_repository_alone_gives_its_four_bit_file(
    puller: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    puller.catalog = Catalog(())
    hub.files = {"tiny.Q8_0.gguf": b"another", "tiny.Q4_K_M.gguf": model_bytes}
    stored = puller(f"hf:{REPO}")
    assert (stored.name, stored.licence) == ("tiny.q4_k_m", "mit")


@pytest.mark.parametrize(
    ("files", "selector", "words"),
    [
        (["README.md"], "", "no GGUF file"),
        (["a-q8_0.gguf"], ":Q4_K_M", "it has a-q8_0.gguf"),
        (["a-iq2_m.gguf", "b-iq3_m.gguf"], "", "usual quantization"),
        (["a-q8_0.gguf", "b-q8_0.gguf"], ":Q8_0", "several files fit"),
        (["a-q8_0-00001-of-00002.gguf", "a-q8_0-00002-of-00002.gguf"], ":Q8_0", "split"),
    ],
)
def test_a_selection_that_fits_no_single_file_is_told(
    puller: Puller, hub: HubServer, files: list[str], selector: str, words: str
) -> None:
    hub.files = dict.fromkeys(files, b"content")
    assert words in failure(puller, f"hf:{REPO}{selector}")


def test_a_file_that_is_no_model_is_told_and_deleted(puller: Puller, hub: HubServer) -> None:
    hub.files = {"page.gguf": b"<html>please log in</html>" * 10}
    assert "not a GGUF file" in failure(puller, f"hf:{REPO}:page.gguf")
    assert not unfinished(puller)


def test_an_address_on_the_hub_is_pulled_with_the_hubs_hash(
    puller: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    hub.files = {"sub/tiny.gguf": model_bytes}
    stored = puller(f"{hub.endpoint}/{REPO}/blob/main/sub/tiny.gguf?download=true")
    assert stored.path.name == "tiny.gguf"
    assert any(one.method == "HEAD" for one in hub.seen)


@pytest.mark.parametrize("reference", ["hf:owner", "hf:", "hf:a/b/c", "hf:../../etc"])
def test_a_repository_name_that_is_none_is_told(puller: Puller, reference: str) -> None:
    with pytest.raises(UsageError, match="names no repository"):
        puller(reference)


@pytest.mark.parametrize("reference", ["unknown", "missing.gguf", "no/such/file.gguf"])
def test_a_reference_that_means_nothing_is_told(puller: Puller, reference: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        puller(reference)
    assert "aigc models list" in caught.value.hint


def test_a_mistyped_name_is_told_with_the_one_that_comes_close(puller: Puller) -> None:
    with pytest.raises(ModelNotFound) as caught:
        puller("tinny")
    assert "did you mean tiny?" in caught.value.hint
