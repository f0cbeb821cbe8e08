"""Starts the process of a resident engine: what it is told, what it sees of the person's shell."""

import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aigc_cli.config import Directories, Settings, Value
from aigc_cli.engine.installed_build import build_stamp
from aigc_cli.models.draft import as_told_elsewhere
from aigc_cli.models.store import StoredModel
from aigc_cli.serve.engine_log import open_log, rotate_if_long
from aigc_cli.serve.socket_place import SocketPlace

# What a loaded model depends on; everything else comes with each request.
LOAD_SETTINGS = (
    "context",
    "threads",
    "gpu_layers",
    "loop_guard",
    "kv_cache_gb",
    "repack",
    "flash_attention",
    "ubatch",
    "kv_type",
    "draft_model",
)
SPARE_SHARE = 1 / 32
_BACKLOG = 128
# What the interpreter, the loader, OpenMP and the GPU drivers read. Nothing else of the shell is needed.
_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|PYTHON(PATH|HOME|UTF8|NOUSERSITE|USERBASE)"
    r"|(LD|DYLD|XDG|OMP|GOMP|KMP|GGML|LLAMA|CUDA|HIP|HSA|ROCR|ROCM|VK|NVIDIA|MTL|ONEAPI|ZE|SYCL)_\w+"
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.IGNORECASE)
# -P: the current directory, which is "/", is no place to import from
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from aigc_cli.serve.process import main; main(sys.argv[2:])"
)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a resident engine is started with.

    Attributes:
        version: of the program that starts it; a later program with another one replaces it.
        spare_share: when less of the machine's memory than this is free, an idle engine leaves.
    """

    version: str
    model: StoredModel
    settings: Mapping[str, Value]
    directories: Directories
    keep_alive_s: float
    spare_share: float = SPARE_SHARE

    @property
    def name(self) -> str:
        """The fingerprint of the model file, of the settings and of this installation."""
        file = self.model.path.resolve()
        found = file.stat()
        identity = [
            str(file),
            found.st_size,
            found.st_mtime_ns,
            found.st_ino,  # of another file that came with the size and the time of this one
            dict(self.settings),
            str(package_root()),
            sys.prefix,
        ]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """For the command line of the process."""
        model = asdict(replace(self.model, spec=None)) | {
            "spec": self.model.spec.name if self.model.spec else None
        }
        fields: dict[str, Any] = {"version": self.version, "settings": dict(self.settings), "model": model}
        fields |= {"keep_alive_s": self.keep_alive_s, "spare_share": self.spare_share}
        return json.dumps(fields | {"directories": asdict(self.directories)}, default=str)

    @classmethod
    def from_json(cls, text: str) -> "Launch":
        """What `to_json` wrote."""
        from aigc_cli.models.catalog import load_catalog

        fields: dict[str, Any] = json.loads(text)
        model = fields["model"]
        spec = load_catalog().find(model["spec"]) if model["spec"] else None
        places = {name: Path(path) for name, path in fields["directories"].items()}
        fields["model"] = StoredModel(**(model | {"path": Path(model["path"]), "spec": spec}))
        return cls(**(fields | {"directories": Directories(**places)}))


def launch_for(settings: Settings, model: StoredModel, directories: Directories, version: str) -> Launch:
    """What to start for these settings and this model file."""
    loading = {name: getattr(settings, name) for name in LOAD_SETTINGS}
    loading["draft_model"] = as_told_elsewhere(settings.draft_model)
    stamped = f"{version}, llama.cpp of {build_stamp()}"
    return Launch(stamped, model, loading, directories, settings.keep_alive)


def package_root() -> Path:
    """The directory that this package is imported from."""
    return Path(__file__).parents[2]


def engine_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What a background process needs of a shell's environment: no secrets, nothing of the terminal."""
    kept = {name: value for name, value in env.items() if _KEPT.fullmatch(name) and not _SECRET.search(name)}
    # No debugger is to be started on a crash. Threads that wait for each other sleep soon (docs/engine.md).
    kept |= {"GGML_NO_BACKTRACE": "1"}
    if "OMP_WAIT_POLICY" not in kept:
        kept.setdefault("GOMP_SPINCOUNT", "1000")
    return kept


def start_process(place: SocketPlace, launch: Launch, env: Mapping[str, str]) -> int:
    """Start an engine and give its process id; who connects before it serves is let in when it does.

    The caller holds the engine's lock, and no living engine has its name.

    Raises:
        OSError: the socket or the process can't be made.
    """
    import subprocess  # 10 ms that a warm start need not pay

    name = launch.name
    path = place.socket(name)
    path.unlink(missing_ok=True)
    rotate_if_long(place.log(name))
    log = open_log(place.log(name))
    with socket.socket(socket.AF_UNIX) as listener, open(log, "wb") as output:  # noqa: PTH123  # a descriptor
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        code = [sys.executable, "-P", "-c", _BOOT, str(package_root())]
        process = subprocess.Popen(
            [*code, name, str(listener.fileno()), str(place.directory), launch.to_json()],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=engine_environment(env),
            start_new_session=True, pass_fds=[listener.fileno()],
        )  # fmt: skip
    with suppress(OSError):  # the disk is full: only who ends it by force would miss it
        place.pid(name).write_text(str(process.pid), encoding="ascii")
    # It outlives this process as a rule. Where it does not, somebody has to take note of its end.
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid
