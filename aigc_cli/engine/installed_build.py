"""Which build of llama.cpp is installed, told by its files: loading it takes 0.2 s."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

# libggml-cpu also comes in variants, e.g. libggml-cpu-haswell; a backend of any other name may drive a GPU.
_WITHOUT_GPU = ("ggml", "ggml-base", "ggml-cpu", "ggml-blas", "ggml-rpc", "llama", "llama-common", "mtmd")


@cache
def _library_files() -> tuple[Path, ...]:
    found = find_spec("llama_cpp")
    if found is None or not found.submodule_search_locations:
        return ()
    return tuple(sorted((Path(found.submodule_search_locations[0]) / "lib").glob("*")))


def may_have_gpu() -> bool:
    """Whether this build could compute on a GPU; only then is it worth loading it to ask which there are."""
    stems = {path.name.partition(".")[0].removeprefix("lib") for path in _library_files()}
    return any(not stem.startswith("ggml-cpu") and stem not in _WITHOUT_GPU for stem in stems)


def build_stamp() -> str:
    """A text that changes when another build is installed."""
    return str(max((path.stat().st_mtime_ns for path in _library_files()), default=0))
