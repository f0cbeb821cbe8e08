"""`aigc models tune`, as a person and as a script use it, with a tiny model."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.tune import Subject, conclude, measure, subject_of
from aigc_cli.config import Directories
from aigc_cli.engine.tuning import Measured, Setting, Tuning
from aigc_cli.engine.tuning_search import Search
from aigc_cli.errors import ExitCode, Interrupted
from aigc_cli.models.store import StoredModel
from tests.cli.command_line import CommandLine, Stream
from tests.scripted_engine import ScriptedEngine
from tests.tiny_model import write_tiny_model

ONE_THREAD = {"AIGC_THREADS": "1", "GOMP_SPINCOUNT": "1000"}  # a test machine has other work
AIGC = [sys.executable, "-m", "aigc_cli"]


@pytest.fixture
def home(isolated: Path) -> Path:
    """A home with one model."""
    models = isolated / "aigc" / "data" / "models"
    models.mkdir(parents=True)
    write_tiny_model(models / "tiny.gguf")
    return isolated / "aigc"


def run(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "AIGC_HOME": str(home), **ONE_THREAD, **env}
    return subprocess.run([*AIGC, *words], env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_model_is_tuned_shown_used_and_forgotten(home: Path) -> None:
    tuned = run(home, "models", "tune", "tiny")
    assert tuned.returncode == ExitCode.DONE, tuned.stderr
    title, *rows = tuned.stdout.splitlines()
    assert title.split() == ["SETTING", "PREFILL", "DECODE", "LOAD", "MEMORY", "CHOSEN"]
    assert {row.split(",")[0] for row in rows} == {"plain", "repacked"}
    assert sum("resident" in row for row in rows) == 1
    assert sum("one-shot" in row for row in rows) == 1
    assert "tuning tiny: at most 60 s" in tuned.stderr
    assert "for 1,000 tokens to read and 200 to write" in tuned.stderr
    assert "\x1b" not in tuned.stdout + tuned.stderr
    (file,) = (home / "state" / "tuning").iterdir()

    facts = json.loads(run(home, "doctor", "--json", "-m", "tiny").stdout)
    assert facts["run"]["setting"]["repack_weights"]["origin"] == "tuned"
    assert facts["run"]["setting"]["n_threads"] == {"value": 1, "origin": "set"}
    told = run(home, "doctor", "-m", "tiny", AIGC_REPACK="true").stdout
    assert "repacked weights, 1 thread (set)" in told
    assert "(tuned)" in told

    file.write_text("damaged")
    assert "(tuned)" not in run(home, "doctor", "-m", "tiny").stdout
    assert "runs with the default settings again" in run(home, "models", "tune", "tiny", "--forget").stderr
    assert not file.exists()
    assert "was not tuned" in run(home, "models", "tune", "tiny", "--forget").stderr


def test_a_script_gets_json_and_nothing_else_on_stdout(home: Path) -> None:
    facts = json.loads(run(home, "models", "tune", "--json", "tiny", "--limit", "30").stdout)
    assert facts["model"] == "tiny"
    assert Path(facts["file"]).exists()
    assert facts["took_s"] <= 30
    assert facts["shape"] == {"n_prompt": 1000, "n_reply": 200}
    chosen = [use for row in facts["measured"] for use in row["chosen_for"]]
    assert sorted(chosen) == ["one-shot", "resident"]
    assert all(row["prefill_tokens_per_s"] > 0 for row in facts["measured"])


def test_a_narrow_terminal_shows_fewer_columns_and_leaves_no_progress_behind(home: Path) -> None:
    env = {**os.environ, "AIGC_HOME": str(home), **ONE_THREAD}
    child = pexpect.spawn(
        AIGC[0], [*AIGC[1:], "models", "tune", "tiny"], env=env, dimensions=(24, 60), timeout=90
    )
    child.expect("SETTING")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == ExitCode.DONE
    assert b"CHOSEN" in (child.before or b"")
    assert b"MEMORY" not in (child.before or b"")


@dataclass(frozen=True)
class Tuner:
    """A person's terminal, and the model of that home."""

    app: AppContext
    out: Stream
    err: Stream
    subject: Subject

    def conclude(self, tuning: Tuning, *, as_json: bool = False) -> tuple[str, str]:
        """What the command writes on stdout and stderr when this was measured."""
        before = len(self.out.written()), len(self.err.written())
        conclude(self.app, self.subject, tuning, as_json=as_json)
        return self.out.written()[before[0] :], self.err.written()[before[1] :]


@pytest.fixture
def tuner(home: Path) -> Tuner:
    env = {"AIGC_HOME": str(home)}
    out, err = Stream(), Stream()
    app = AppContext(
        Stream(),
        out,
        err,
        home,
        env,
        Directories.from_environment(env),
        time.monotonic,
        time.time,
        lambda *_: ScriptedEngine([]),
    )
    path = home / "data" / "models" / "tiny.gguf"
    stored = StoredModel("tiny", path, path.stat().st_size, None, "a test", None, None)
    return Tuner(app, out, err, subject_of(app, stored))


def measured_beside(busy: float, repacked_rate: float) -> Tuning:
    """Other programs take that share of the processor, and rearranged weights read and write so fast."""
    plain = Measured(Setting(1, 1), 100.0, 20.0, 0.4, 10**9)
    repacked = Measured(
        Setting(1, 1, repack_weights=True), 5 * repacked_rate, repacked_rate, 0.4, 10**9, {4: 2.0}
    )
    return Tuning((plain, repacked), on_gpu=False, took_s=40.0, busy=busy)


QUIET, BUSY = measured_beside(0.1, 10.0), measured_beside(0.45, 90.0)


def test_figures_from_beside_busy_programs_do_not_replace_those_of_a_quiet_machine(tuner: Tuner) -> None:
    kept = tuner.subject.store
    tuner.conclude(QUIET)
    table, said = tuner.conclude(BUSY)
    assert kept.read(tuner.subject.model.path) == QUIET
    assert "90.0 tok/s" in table
    assert "resident" not in table, "what runs is not in this table"
    runs, busy, stays = said.splitlines()
    assert runs.startswith("aigc: tiny runs with: plain, flash attention, 1 thread; best for 1,000 tokens")
    assert runs.endswith("measured before")
    assert busy == (
        "aigc: other programs took 45 % of the processor meanwhile: tune again when the machine is quiet"
    )
    assert stays.startswith("aigc: until then, what was measured on a quieter machine stays")
    assert stays.endswith("drop it first: aigc models tune tiny --forget")
    facts = json.loads(tuner.conclude(BUSY, as_json=True)[0])
    assert (facts["kept"], facts["busy"]) == (False, 0.45)
    assert [row["chosen_for"] for row in facts["measured"]] == [[], []]
    again = measured_beside(0.0, 95.0)
    facts = json.loads(tuner.conclude(again, as_json=True)[0])
    assert facts["kept"]
    assert [row["chosen_for"] for row in facts["measured"]] == [[], ["one-shot", "resident"]]
    assert kept.read(tuner.subject.model.path) == again


def test_where_nothing_better_is_known_figures_from_beside_busy_programs_are_used(tuner: Tuner) -> None:
    kept, path = tuner.subject.store, tuner.subject.model.path
    for forget in (False, True):
        if forget:
            tuner.conclude(QUIET)
            assert kept.forget(path)
        table, said = tuner.conclude(BUSY)
        assert kept.read(path) == BUSY
        assert "resident" in table
        assert "runs with: repacked" in said
        assert "other programs took 45 % of the processor meanwhile: tune again" in said
        assert "--forget" not in said


def test_ctrl_c_ends_it_and_nothing_changes(tuner: Tuner, home: Path) -> None:
    """Pressed while the other thread measures, and would go on for ever."""

    def measure_for_ever(search: Search) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            search.probe()

    with pytest.raises(Interrupted):
        measure(tuner.app, tuner.subject, 60.0, measure_for_ever)
    assert not (home / "state" / "tuning").exists()


def test_what_is_not_there_is_told(tmp_path: Path, isolated: Path) -> None:
    aigc = CommandLine(cwd=tmp_path, home=isolated)
    missing = aigc.run("models", "tune", "1.5b")
    assert missing.code == ExitCode.NO_MODEL
    assert missing.error_lines[1] == "hint: aigc models pull qwen2.5-coder-1.5b"
    assert aigc.run("models", "tune", "no-such-model").code == ExitCode.NO_MODEL


def test_a_damaged_model_is_told_in_two_lines(home: Path) -> None:
    path = home / "data" / "models" / "tiny.gguf"
    path.write_bytes(path.read_bytes()[:5000])
    outcome = run(home, "models", "tune", "tiny")
    assert outcome.returncode == ExitCode.NO_MODEL
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""


def test_a_pull_at_a_terminal_tunes_what_is_soon_done_or_says_how(home: Path, tmp_path: Path) -> None:
    """Either way the pull has worked, and its path is on the first line of stdout."""
    source = write_tiny_model(tmp_path / "other.gguf", n_ctx=1024)
    env = {**os.environ, "AIGC_HOME": str(home), **ONE_THREAD}
    child = pexpect.spawn(AIGC[0], [*AIGC[1:], "models", "pull", str(source)], env=env, timeout=90)
    child.expect("other.gguf")
    child.expect(r"runs with: |aigc models tune other")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == ExitCode.DONE


def test_a_pull_in_a_script_measures_nothing(home: Path, tmp_path: Path) -> None:
    source = write_tiny_model(tmp_path / "other.gguf", n_ctx=1024)
    outcome = run(home, "models", "pull", str(source))
    assert outcome.returncode == ExitCode.DONE
    assert "tun" not in outcome.stderr.replace("other", "")
    assert not (home / "state").exists()
