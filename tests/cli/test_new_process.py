"""A project as a process that is killed, or interrupted, in the middle."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.scripted_aigc import scripted_argv

PLAN = json.dumps(
    {
        "files": [
            {"path": f"part{n}.py", "language": "python", "purpose": "a part", "depends_on": []}
            for n in range(3)
        ],
        "run": [],
    }
)
CODE = "x = 1\n" * 40
ENDLESS = "x = 1\n" * 3000  # a minute and a half
WAIT_S = 60


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_what_is_done_stays_whole_and_the_rest_comes_later(tmp_path: Path, stop: signal.Signals) -> None:
    argv = scripted_argv(tmp_path, replies=[PLAN, CODE, ENDLESS], delay_s=0.01)
    folder = tmp_path / "made"
    command = [*argv, "new", "made", "three parts", "-y", "--no-stdin"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as running:
        end = time.monotonic() + WAIT_S
        while not (folder / "part0.py").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.1)  # in the middle of the second file
        os.kill(running.pid, stop)
        _, err = running.communicate(timeout=WAIT_S)
    assert running.returncode == (-signal.SIGKILL if stop is signal.SIGKILL else 130), err
    left = below(folder)
    assert {"part0.py", ".aigc/plan.json"} <= left
    assert {"part1.py", "part2.py"}.isdisjoint(left)
    assert (folder / "part0.py").read_text("utf-8") == CODE
    argv = scripted_argv(tmp_path, replies=[CODE])
    done = subprocess.run([*argv, "new", "made", "--resume"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert below(folder) == {"part0.py", "part1.py", "part2.py", "README.md"}
