"""What every test gets: a home, a cache and a current directory of its own; real models on request."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import platformdirs
import pytest

from aigc_cli.models.catalog import load_catalog

# as they are before a test replaces them
_ENV = dict(os.environ)
_MODELS = Path(_ENV.get("AIGC_TEST_MODELS") or platformdirs.user_cache_path("aigc-tests"))
_PULL_TIMEOUT_S = 1800


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--download", action="store_true", help="run the tests that need a real model file")


def pytest_configure() -> None:
    """A run in the background inherits that Ctrl-C is ignored, and so would the programs that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # llama.cpp's threads must not spin where other programs want the cores; read when its library is loaded
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # how long an example takes says more of the machine's other work than of this program
    too_slow = hypothesis.HealthCheck.too_slow
    hypothesis.settings.register_profile("unhurried", deadline=None, suppress_health_check=[too_slow])
    hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    runs_them = config.getoption("--download") or _ENV.get("CI", "").lower() == "true"
    skip = pytest.mark.skip(reason="needs a real model file: --download")
    patient = pytest.mark.timeout(_PULL_TIMEOUT_S)  # whichever comes first pulls the file
    for item in items:
        if item.get_closest_marker("download"):
            item.add_marker(patient if runs_them else skip)


@pytest.fixture(autouse=True)
def isolated(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """No test reads or writes what belongs to the person who runs it; gives the home directory."""
    home = tmp_path_factory.mktemp("home")
    for name in os.environ:
        if name.startswith(("AIGC_", "_AIGC_", "OPENAI_", "HF_", "XDG_")):
            monkeypatch.delenv(name)
    for name in (
        "NO_COLOR",
        "FORCE_COLOR",
        "COLORTERM",
        "COLORFGBG",
        "EDITOR",
        "VISUAL",
        "PWD",
        "PYTHONUNBUFFERED",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("AIGC_HOME", str(home / "aigc"))
    monkeypatch.setenv(
        "AIGC_RESIDENT", "0"
    )  # no process outlives a test, but where it asks for one and ends it
    monkeypatch.setenv("TERM", "xterm-256color")
    for kind in ("CONFIG", "DATA", "CACHE", "STATE", "RUNTIME"):
        monkeypatch.setenv(f"XDG_{kind}_{'DIR' if kind == 'RUNTIME' else 'HOME'}", str(home / kind.lower()))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture(scope="session")
def kept_model() -> Callable[[str], Path]:
    """The same for a model that no test pulls, since it is large: without its file the test is skipped."""

    def find(name: str) -> Path:
        path = _on_disk(name)
        return path or pytest.skip(f"{name} is not beside the other models of the tests")

    return find


def _on_disk(name: str) -> Path | None:
    spec = load_catalog().find(name)
    assert spec is not None, f"the catalog knows no model {name!r}"
    candidates = (_MODELS / spec.filename, _MODELS / "data" / "models" / spec.filename)
    return next((path for path in candidates if path.exists()), None)


@pytest.fixture(scope="session")
def real_model() -> Callable[[str], Path]:
    """The file of a catalog model, from $AIGC_TEST_MODELS or the user's cache; pulled there when missing."""

    def find(name: str) -> Path:
        if not _on_disk(name):
            # a process of its own: this one may not use the network, and pip wants the person's real settings
            pull = [sys.executable, "-m", "aigc_cli", "models", "pull", name]
            env = {**_ENV, "AIGC_HOME": str(_MODELS)}
            subprocess.run(pull, env=env, check=True, timeout=_PULL_TIMEOUT_S)
        path = _on_disk(name)
        assert path, f"{name} was pulled and is not there"
        return path

    return find
