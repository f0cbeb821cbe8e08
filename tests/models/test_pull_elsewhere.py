"""Pulls from plain web servers and from local files."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aigc_cli.errors import InvalidModelFile, PullError
from aigc_cli.models.catalog import Catalog
from tests.models.conftest import Puller
from tests.models.gguf_files import write_model
from tests.models.hub_server import HubServer


@pytest.fixture
def url(hub: HubServer, model_bytes: bytes, puller: Puller) -> str:
    """An address of the model, which is not in the catalog."""
    hub.files["some%20model.gguf"] = model_bytes
    puller.catalog = Catalog(())
    return f"{hub.endpoint}/cdn/some%20model.gguf"


def failure(puller: Puller, reference: str) -> str:
    with pytest.raises(PullError) as caught:
        puller(reference)
    return caught.value.message


def held_bytes(puller: Puller) -> int:
    return sum(path.stat().st_size for path in puller.store.partial_directory.rglob("web") if path.is_file())


def test_an_address_is_downloaded_under_a_plain_name(puller: Puller, url: str, model_bytes: bytes) -> None:
    stored = puller(url)
    assert stored.path.read_bytes() == model_bytes
    assert (stored.name, stored.path.name) == ("some-model", "some-model.gguf")
    assert stored.sha256
    assert puller(url) == stored


def test_an_address_resumes_only_while_its_file_stays_the_same(
    puller: Puller, hub: HubServer, url: str, model_bytes: bytes
) -> None:
    hub.faults.cut_after = [50_000, 0, 0, 0]
    failure(puller, url)
    held = held_bytes(puller)
    hub.seen.clear()
    changed = bytearray(model_bytes)
    changed[-1] ^= 1
    hub.files["some%20model.gguf"] = bytes(changed)
    assert puller(url).path.read_bytes() == changed
    first = hub.downloads()[0]
    assert first.headers["range"] == f"bytes={held}-"
    assert first.headers["if-range"].startswith('"')


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_an_address_without_a_validator_is_downloaded_anew(
    puller: Puller, hub: HubServer, url: str, model_bytes: bytes, etag: str | None
) -> None:
    hub.faults.etag = etag
    hub.faults.cut_after = [50_000, 0, 0, 0]
    failure(puller, url)
    hub.seen.clear()
    assert puller(url).path.read_bytes() == model_bytes
    assert "range" not in hub.downloads()[0].headers


@pytest.mark.parametrize(
    ("path", "words"), [("/cdn/none.gguf", "HTTP 404"), ("", "HTTP 404"), (":70000/x.gguf", "")]
)
def test_a_bad_address_is_told(puller: Puller, hub: HubServer, path: str, words: str) -> None:
    assert words in failure(puller, f"{hub.endpoint}{path}")


def test_credentials_in_an_address_are_not_shown(puller: Puller) -> None:
    message = failure(puller, "http://user:secret@127.0.0.1:9/x.gguf?signature=secret")
    assert "secret" not in message


def test_another_model_of_the_same_name_is_not_overwritten(puller: Puller, url: str, tmp_path: Path) -> None:
    mine = write_model(tmp_path / "some-model.gguf")
    stored = puller(str(mine))
    assert "from another source" in failure(puller, url)
    assert stored.path.read_bytes() == mine.read_bytes()


def test_a_local_file_is_linked_and_recognized_by_its_hash(
    puller: Puller, tmp_path: Path, model_bytes: bytes
) -> None:
    original = tmp_path / "renamed.gguf"
    original.write_bytes(model_bytes)
    stored = puller(str(original))
    assert stored.name == "tiny"  # the catalog's
    assert stored.source == f"linked from {original}"
    assert stored.path.samefile(original)
    assert puller("tiny") == stored
    assert puller(str(stored.path)) == stored


def test_a_link_to_a_file_brings_the_file(puller: Puller, tmp_path: Path, model_bytes: bytes) -> None:
    (tmp_path / "real").write_bytes(model_bytes)
    (tmp_path / "link.gguf").symlink_to(tmp_path / "real")
    stored = puller(str(tmp_path / "link.gguf"))
    assert not stored.path.is_symlink()
    assert stored.path.samefile(tmp_path / "real")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_file_on_another_file_system_is_copied(puller: Puller, model_bytes: bytes) -> None:
    original = Path("/dev/shm") / f"aigc-test-{os.getpid()}.gguf"
    try:
        original.write_bytes(model_bytes)
        stored = puller(str(original))
    finally:
        original.unlink()
    assert stored.source == f"copied from {original}"
    assert stored.path.read_bytes() == model_bytes


def test_a_local_file_that_is_no_model_is_refused(puller: Puller, tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>")
    with pytest.raises(InvalidModelFile, match="not a GGUF file"):
        puller(str(page))
    assert puller.store.list() == ()


def test_a_directory_that_can_not_be_written_is_told(puller: Puller, url: str) -> None:
    puller.store.directory.write_text("a file where the directory should be")
    assert str(puller.store.directory) in failure(puller, url)


def test_an_interrupted_download_is_resumed(
    puller: Puller, hub: HubServer, url: str, model_bytes: bytes, tmp_path: Path
) -> None:
    hub.faults.hold = threading.Event()
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    environment = {**puller.env, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(driver), str(puller.store.directory), url], env=environment
    )
    while not held_bytes(puller):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    held = held_bytes(puller)
    hub.faults.hold.set()
    hub.faults.hold = None
    hub.seen.clear()
    assert puller(url).path.read_bytes() == model_bytes
    assert hub.downloads()[0].headers["range"] == f"bytes={held}-"
    assert "wait" not in puller.phases()


DRIVER = """
import os, sys
from pathlib import Path
from aigc_cli.models.catalog import Catalog
from aigc_cli.models.pull import pull
from aigc_cli.models.store import ModelStore
store = ModelStore(Path(sys.argv[1]), Catalog(()))
try:
    pull(sys.argv[2], catalog=Catalog(()), store=store, env=dict(os.environ), on_progress=lambda p: None)
except KeyboardInterrupt:
    sys.exit(130)
"""
