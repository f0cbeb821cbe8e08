"""llama-cpp-python's ctypes bindings, without the classes that its package imports beside them.

`import llama_cpp` runs the package's `__init__`, which also imports the high-level `Llama` and with it numpy,
jinja2 and diskcache: 0.15 s of CPU time, where the bindings take 0.02 s. A cold start would wait for them.
"""

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_PACKAGE = "llama_cpp"
_BINDINGS = "llama_cpp.llama_cpp"


def import_bindings() -> ModuleType:
    """The module of the bindings; loads llama.cpp's shared library.

    The package stands for the bindings alone then. Its other modules can still be imported by their names,
    since what they take from the package is there.

    Raises:
        ImportError: llama-cpp-python is not installed, or its library can't be loaded.
    """
    if _PACKAGE in sys.modules:
        return importlib.import_module(_BINDINGS)
    spec = find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError("llama-cpp-python is not installed", name=_PACKAGE)
    package = module_from_spec(spec)
    sys.modules[_PACKAGE] = package
    try:
        bindings = importlib.import_module(_BINDINGS)
    except BaseException:
        del sys.modules[_PACKAGE]
        raise
    for name, value in vars(bindings).items():
        if not name.startswith("_"):
            vars(package).setdefault(name, value)
    return bindings
