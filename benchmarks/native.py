"""llama.cpp's own programs, to compare with: built from the sources that llama-cpp-python is built from.

    python -m benchmarks.native             build what is missing (10 to 20 minutes), print where it is

`AIGC_NATIVE_BIN` names a directory that holds the programs already; otherwise they are built once into the
user's cache, from the source distribution of the installed version of llama-cpp-python. Needs cmake and a
C++17 compiler.
"""

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs

PROGRAMS = ("llama-server", "llama-bench", "llama-completion", "llama-cli")
VARIABLE = "AIGC_NATIVE_BIN"
PACKAGE = "llama-cpp-python"
# No downloads and no web page: what is compared is the computing.
_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TOOLS=ON",
    "-DLLAMA_BUILD_SERVER=ON",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_BUILD_WEBUI=OFF",
)


def find_program(name: str, env: Mapping[str, str]) -> Path | None:
    """One of the programs, where it is built already: named by the variable, in the cache, or on the PATH."""
    folders = [Path(env[VARIABLE])] if env.get(VARIABLE) else [cache_folder(), None]
    for folder in folders:
        found = shutil.which(name, path=str(folder) if folder else env.get("PATH"))
        if found:
            return Path(found)
    return None


def cache_folder() -> Path:
    """Where the programs of the installed version are built to."""
    version = importlib.metadata.version(PACKAGE)
    return platformdirs.user_cache_path("aigc-benchmarks") / f"llama.cpp-of-{PACKAGE}-{version}" / "bin"


def build(target: Path) -> None:
    """Fetch the sources and build the programs into a directory; nothing is left there when it fails."""
    version = importlib.metadata.version(PACKAGE)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as name:
        folder = Path(name)
        source = fetch_source(f"{PACKAGE}=={version}", folder)
        compiled = folder / "build"
        run("cmake", "-S", str(source), "-B", str(compiled), *_FLAGS)
        run("cmake", "--build", str(compiled), f"-j{os.cpu_count() or 1}", "--target", *PROGRAMS)
        (compiled / "bin").replace(target)


def fetch_source(requirement: str, folder: Path) -> Path:
    """The sources of llama.cpp inside a source distribution."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE]
    run(*pip, "--dest", str(folder), requirement)
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return next(folder.glob("*/vendor/llama.cpp"))


def run(*argv: str) -> None:
    """Run a step; its own output tells how far it is."""
    subprocess.run(argv, check=True, stdout=sys.stderr)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    missing = [name for name in PROGRAMS if find_program(name, os.environ) is None]
    if missing:
        if os.environ.get(VARIABLE):
            sys.exit(f"{VARIABLE} holds no {', '.join(missing)}")
        build(cache_folder())
    for name in PROGRAMS:
        print(find_program(name, os.environ))


if __name__ == "__main__":
    main()
