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
WAIT_S = 30


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_what_is_done_stays_whole_and_the_rest_comes_later(tmp_path: Path, stop: signal.Signals) -> None:
    argv = scripted_argv(tmp_path, replies=[PLAN, CODE, CODE], delay_s=0.01)
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
    assert "part2.py" not in left
    assert all((folder / name).read_text("utf-8") == CODE for name in left if name.endswith(".py"))
    argv = scripted_argv(tmp_path, replies=[CODE])
    done = subprocess.run([*argv, "new", "made", "--resume"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert below(folder) == {"part0.py", "part1.py", "part2.py", "README.md"}
