"""What this build of llama.cpp says of itself."""

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
