"""What was measured, on disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aigc_cli.config import Settings
from aigc_cli.engine.connect import choice_for, machine_with
from aigc_cli.engine.placement import Device
from aigc_cli.engine.tuning import USUAL_SHAPE, Measured, Setting, Shape, Tuning, Use
from aigc_cli.engine.tuning_store import (
    LEAST_REPLIES,
    TuningStore,
    add_to_shape,
    machine_facts,
    read_shape,
)
from aigc_cli.models.machine import Machine, cpu_name

MACHINE = Machine(memory_bytes=16 << 30, available_bytes=8 << 30, n_cores=4)
GPU = Device("CUDA0", "A GPU", is_gpu=True, free_bytes=8 << 30, total_bytes=8 << 30)
SETTING = Setting(n_threads=3, n_threads_prefill=5, repack_weights=True, n_ubatch=128, kv_type="q8_0")
TUNING = Tuning(
    (
        Measured(Setting(4, 4), 100.5, 19.25, 0.4, 1270 * 10**6),
        Measured(SETTING, 300.0, 90.0, 2.0, 1870 * 10**6, {4: 3.1, 16: 7.5, 32: 12.25}),
    ),
    on_gpu=False,
    took_s=41.5,
    busy=0.03,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(range(256)) * 300)
    return path


@pytest.fixture
def store(tmp_path: Path) -> TuningStore:
    return TuningStore(tmp_path / "tuning", machine_facts(MACHINE, ()))


def test_what_is_written_is_read_again(store: TuningStore, model: Path) -> None:
    assert store.read(model) is None
    store.write(model, "model", TUNING)
    assert store.read(model) == TUNING
    assert store.forget(model)
    assert store.read(model) is None
    assert not store.forget(model)


@pytest.mark.parametrize(
    "other",
    [
        machine_facts(replace(MACHINE, n_cores=8), ()),
        machine_facts(replace(MACHINE, memory_bytes=32 << 30), ()),
        machine_facts(MACHINE, (GPU,)),
        machine_facts(MACHINE, ()) | {"cpu": "another"},
        machine_facts(MACHINE, ()) | {"llama_cpp": "another build"},
    ],
)
def test_another_machine_or_build_measures_for_itself(
    store: TuningStore, model: Path, tmp_path: Path, other: dict[str, object]
) -> None:
    store.write(model, "model", TUNING)
    elsewhere = TuningStore(tmp_path / "tuning", other)
    assert elsewhere.read(model) is None
    # a file that was copied there under the right name is still another machine's
    elsewhere.path(model).write_bytes(store.path(model).read_bytes())
    assert elsewhere.read(model) is None


def test_free_memory_is_no_part_of_a_machine(store: TuningStore, model: Path, tmp_path: Path) -> None:
    store.write(model, "model", TUNING)
    busier = machine_facts(replace(MACHINE, available_bytes=1 << 30), ())
    assert TuningStore(tmp_path / "tuning", busier).read(model) == TUNING


def test_a_model_is_known_by_its_content(store: TuningStore, model: Path, tmp_path: Path) -> None:
    store.write(model, "model", TUNING)
    renamed = model.rename(tmp_path / "renamed.gguf")
    assert store.read(renamed) == TUNING
    renamed.write_bytes(renamed.read_bytes()[:-1] + b"x")
    assert store.read(renamed) is None
    assert store.read(tmp_path / "missing.gguf") is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 5000, b'{"version": 1}'])
def test_a_damaged_file_counts_as_none(store: TuningStore, model: Path, content: bytes) -> None:
    store.write(model, "model", TUNING)
    store.path(model).write_bytes(content)
    assert store.read(model) is None
    store.write(model, "model", TUNING)
    assert store.read(model) == TUNING


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=6,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_no_foreign_value_anywhere_gives_more_than_none(
    store: TuningStore, model: Path, data: st.DataObject
) -> None:
    """Whatever stands in a file, what is read can be given to llama.cpp."""
    store.write(model, "model", TUNING)
    fact = json.loads(store.path(model).read_text())
    places = [(fact, key) for key in fact]
    places += [(fact["measured"][1], key) for key in fact["measured"][1]]
    places += [(fact["measured"][1]["setting"], key) for key in fact["measured"][1]["setting"]]
    place, key = data.draw(st.sampled_from(places))
    place[key] = data.draw(json_values)
    store.path(model).write_text(json.dumps(fact))
    tuning = store.read(model)
    for one in tuning.measured if tuning else ():
        assert one.seconds(Use.ONE_SHOT, Shape(10, 10)) > 0
        assert type(one.setting.n_threads) is int
        assert 0 < one.setting.n_ubatch <= 512
        assert one.setting.kv_type in {"f16", "q8_0"}


def choice(model: Path, directory: Path | None, *, on_gpu: bool = False, **values: object) -> Setting:
    settings = replace(Settings(), **values)  # type: ignore[arg-type]
    here = machine_with(())
    return choice_for(settings, model, (), here, on_gpu=on_gpu, use=Use.RESIDENT, directory=directory).setting


def test_an_engine_starts_with_what_was_measured_unless_the_person_said_otherwise(
    model: Path, tmp_path: Path
) -> None:
    here = machine_with(())
    TuningStore(tmp_path, machine_facts(here, ())).write(model, "model", TUNING)
    assert choice(model, tmp_path) == SETTING
    assert choice(model, tmp_path, ubatch=256) == replace(SETTING, n_ubatch=256)
    assert choice(model, tmp_path, threads=1) == replace(SETTING, n_threads=1, n_threads_prefill=1)
    untuned = Setting(here.n_cores, here.n_cores)
    assert choice(model, None) == untuned
    assert choice(model, tmp_path, on_gpu=True) == untuned  # it was measured on the CPU


def test_the_usual_shape_is_known_after_some_replies(tmp_path: Path) -> None:
    add_to_shape(tmp_path, LEAST_REPLIES - 1, 40 * (LEAST_REPLIES - 1), 300 * (LEAST_REPLIES - 1))
    assert read_shape(tmp_path) == USUAL_SHAPE
    add_to_shape(tmp_path, 1, 40, 300)
    assert read_shape(tmp_path) == Shape(40, 300)


def test_what_was_long_ago_counts_less(tmp_path: Path) -> None:
    add_to_shape(tmp_path, 400, 400 * 1000, 400 * 100)
    for _ in range(8):
        add_to_shape(tmp_path, 300, 300 * 10, 300 * 200)
    shape = read_shape(tmp_path)
    assert shape.n_prompt < 50
    assert shape.n_reply > 190


def test_a_damaged_shape_counts_as_none(tmp_path: Path) -> None:
    for content in ("", "[]", '{"replies": -3, "read_tokens": 1, "written_tokens": 1}', '{"replies": "x"}'):
        (tmp_path / "shape.json").write_text(content)
        assert read_shape(tmp_path) == USUAL_SHAPE
    add_to_shape(tmp_path, 30, 300, 3000)
    assert read_shape(tmp_path) == Shape(10, 100)


def test_the_processor_names_itself(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nprocessor\t: 1\n")
    assert cpu_name(file) == "Some CPU @ 3 GHz"
    assert cpu_name(tmp_path / "none")
