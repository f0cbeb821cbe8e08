"""What this build of llama.cpp says of itself."""

import subprocess
import sys

from aigc_cli.engine import library


def test_the_cpu_is_among_the_devices_and_has_memory() -> None:
    (cpu,) = [device for device in library.list_devices() if not device.is_gpu and "CPU" in device.name]
    assert cpu.description
    assert cpu.total_bytes >= cpu.free_bytes > 0


def test_build_features_name_the_cpu_backend() -> None:
    features = library.build_features()
    assert "CPU" in features
    assert features["CPU"]


def test_the_abort_callback_reads_the_flag() -> None:
    import ctypes

    callback = library.c_abort_callback()
    flag = ctypes.create_string_buffer(2)
    assert callback(ctypes.addressof(flag)) is False
    flag[0] = b"\x01"
    assert callback(ctypes.addressof(flag)) is True


def test_the_bindings_come_without_the_classes_of_their_package_which_still_work_afterwards() -> None:
    script = (
        "import sys\n"
        "from aigc_cli.engine.library import lib, library_version\n"
        "assert lib.llama_max_devices() > 0\n"
        "print(sorted({'numpy', 'jinja2', 'diskcache', 'llama_cpp.llama'} & sys.modules.keys()))\n"
        "from llama_cpp.llama_chat_format import Jinja2ChatFormatter\n"
        "import llama_cpp.llama\n"
        "print(llama_cpp.llama_cpp is lib, llama_cpp.llama.Llama.__name__, library_version()[:2])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue Llama 0.\n"
